"""Two exchanges' recorded candles of one coin, aligned."""

import json
import random
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bus.alignment import AlignedRow, align_candles
from bus.messages import Candle
from bus.stream_alignment import StreamAligner

MINUTE = 60_000

#: KuCoin's file, Binance's, the timeframe, how many rows they make, how far apart their closes are in the median, bp.
PAIRS = [
    ("XBTUSDTM_15min_30d", "BTCUSDT_15m_30d", 15 * MINUTE, 2_864, 3.6),
    ("XBTUSDTM_1hour_30d", "BTCUSDT_1h_30d", 60 * MINUTE, 715, 3.6),
    ("ETHUSDTM_15min_30d", "ETHUSDT_15m_30d", 15 * MINUTE, 2_864, 3.5),
    ("ETHUSDTM_1hour_30d", "ETHUSDT_1h_30d", 60 * MINUTE, 715, 3.5),
]


def closed_candles(path: Path, timeframe: int) -> list[Candle]:
    """The candles of a file that had closed when it was fetched."""
    recorded: dict[str, Any] = json.loads(path.read_text())
    fetched_ms = int(datetime.fromisoformat(recorded["fetchedAt"]).timestamp() * 1000)
    rows = [[row[name] for name in ("ts", "open", "high", "low", "close", "volume")] for row in recorded["candles"]]
    return [Candle(*row) for row in rows if row[0] + timeframe <= fetched_ms]


def distance_bp(rows: list[AlignedRow]) -> float:
    """Median distance of the closes, in basis points."""
    return median(abs(r.candles["kucoin"].close / r.candles["binance"].close - 1) * 1e4 for r in rows)


def shifted(candles: list[Candle], by_ms: int) -> list[Candle]:
    return [candle._replace(open_time=candle.open_time + by_ms) for candle in candles]


def are_the_same_bars(rows: list[AlignedRow]) -> bool:
    """The check: two venues' closes of one bar lie within a few basis points, those of neighbouring bars do not."""
    return distance_bp(rows) < 5


@pytest.mark.parametrize(("kucoin", "binance", "timeframe", "count", "expected_bp"), PAIRS)
def test_recorded_candles_of_two_exchanges_match_bar_by_bar(
    recorded: Path, kucoin: str, binance: str, timeframe: int, count: int, expected_bp: float
) -> None:
    ours = closed_candles(recorded / "kucoin_futures" / f"{kucoin}.json", timeframe)
    theirs = closed_candles(recorded / "binance_futures" / f"{binance}.json", timeframe)
    rows = align_candles({"kucoin": ours, "binance": theirs}, MINUTE, timeframe)
    assert (len(rows), {row.spread_ms for row in rows}, round(distance_bp(rows), 1)) == (count, {0}, expected_bp)
    assert are_the_same_bars(rows)
    for by_ms in (-timeframe, timeframe):
        apart = align_candles({"kucoin": shifted(ours, by_ms), "binance": theirs}, MINUTE, timeframe)
        assert not are_the_same_bars(apart)


@pytest.mark.parametrize(("kucoin", "binance", "timeframe"), [pair[:3] for pair in PAIRS])
def test_recorded_candles_that_come_in_pages_in_any_order_make_the_same_rows(
    recorded: Path, kucoin: str, binance: str, timeframe: int
) -> None:
    series = {
        "kucoin": closed_candles(recorded / "kucoin_futures" / f"{kucoin}.json", timeframe),
        "binance": closed_candles(recorded / "binance_futures" / f"{binance}.json", timeframe),
    }
    start_ms = max(candles[0].open_time for candles in series.values())
    pages = [(name, candles[k : k + 50]) for name, candles in series.items() for k in range(0, len(candles), 50)]
    random.Random(5).shuffle(pages)  # noqa: S311 - the same order every time
    aligner, rows = StreamAligner(list(series), timeframe, MINUTE, start_ms), list[AlignedRow]()
    for name, page in pages:
        aligner.push(name, 1, page[0].open_time, page[-1].open_time + timeframe, page)
        rows += aligner.poll()
    assert rows == align_candles(series, MINUTE, timeframe)
    assert sum(map(aligner.late_count, series)) == 0
