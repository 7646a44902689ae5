"""Two exchanges' recorded candles of one coin, aligned."""

import json
import os
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bus.alignment import AlignedRow, align_candles
from bus.messages import Candle

QUARTER = 900_000


@pytest.fixture
def folder() -> Path:
    where = os.environ.get("CANDLEBUS_RECORDED")  # noqa: TID251
    if not where:
        pytest.skip("CANDLEBUS_RECORDED names no folder of recorded candles")
    return Path(where)


def closed_candles(path: Path) -> list[Candle]:
    """The candles of a file that had closed when it was fetched."""
    recorded: dict[str, Any] = json.loads(path.read_text())
    fetched_ms = int(datetime.fromisoformat(recorded["fetchedAt"]).timestamp() * 1000)
    rows = [[row[name] for name in ("ts", "open", "high", "low", "close", "volume")] for row in recorded["candles"]]
    return [Candle(*row) for row in rows if row[0] + QUARTER <= fetched_ms]


def distance_bp(rows: list[AlignedRow]) -> float:
    """Median distance of the closes, in basis points."""
    return median(abs(r.candles["kucoin"].close / r.candles["binance"].close - 1) * 1e4 for r in rows)


def test_recorded_candles_of_two_exchanges_match_bar_by_bar(folder: Path) -> None:
    kucoin = closed_candles(folder / "kucoin_futures" / "XBTUSDTM_15min_30d.json")
    binance = closed_candles(folder / "binance_futures" / "BTCUSDT_15m_30d.json")
    rows = align_candles({"kucoin": kucoin, "binance": binance}, 60_000, QUARTER)
    assert len(rows) == 2_864
    assert {row.spread_ms for row in rows} == {0}
    assert round(distance_bp(rows), 1) == 3.6

    shifted = [candle._replace(open_time=candle.open_time + QUARTER) for candle in kucoin]
    assert distance_bp(align_candles({"kucoin": shifted, "binance": binance}, 60_000, QUARTER)) > 2 * distance_bp(rows)
