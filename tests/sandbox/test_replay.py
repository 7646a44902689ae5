"""Replays: recorded files served as they stand, without the candle that was open."""

import json
from pathlib import Path
from typing import Any

import pytest

from bus.errors import SettingsError
from candlebus.sandbox import Sandbox
from tests.sandbox.clients import BTC, bingx_candles, ccxt_client, get, kucoin_candles

QUARTER_MS = 900_000
FIVE_MS = 300_000


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    rows = [(QUARTER_MS * i, 86247.3, 86322, 86153.8, 86154.6, 12142 + i) for i in range(3)]
    return write(tmp_path / "XBTUSDTM_15min.json", rows=rows)


def write(path: Path, rows: Any = (), **changes: Any) -> Path:
    names = ("ts", "open", "high", "low", "close", "volume")
    content = {
        "symbol": "XBTUSDTM",
        "interval": "15min",
        "source": "kucoin_futures",
        "fetchedAt": "1970-01-01T00:40:00.500Z",
        "candles": [dict(zip(names, row, strict=True)) for row in rows],
    }
    path.write_text(json.dumps(content | changes))
    return path


def test_the_candle_that_was_open_is_withheld_and_the_clock_stands_at_the_fetch(one_file: Path) -> None:
    with Sandbox(replay=[one_file], limit="off") as sandbox:
        rows = kucoin_candles(sandbox, granularity=15)
        assert sandbox.now_ms("kucoinfutures") == 2_400_500
        assert get(sandbox, "kucoinfutures", "/api/v1/timestamp").json()["data"] == 2_400_500
    assert rows == [[0, 86247.3, 86322, 86153.8, 86154.6, 12142], [900_000, 86247.3, 86322, 86153.8, 86154.6, 12143]]


def test_numbers_leave_as_they_came(one_file: Path) -> None:
    query = {"symbol": "XBTUSDTM", "granularity": 15}
    with Sandbox(replay=[one_file]) as sandbox:
        text = get(sandbox, "kucoinfutures", "/api/v1/kline/query", **query).text
    assert "[0,86247.3,86322,86153.8,86154.6,12142]" in text


def test_a_venue_without_a_file_generates_by_this_machines_clock(one_file: Path) -> None:
    with Sandbox(replay=[one_file]) as sandbox:
        assert sandbox.now_ms("bingx") > 1_700_000_000_000
        assert len(bingx_candles(sandbox, limit=3)) == 3
        assert sandbox.symbols("kucoinfutures") == (BTC,)


def test_of_two_files_of_one_series_the_later_fetch_holds(one_file: Path, tmp_path: Path) -> None:
    rows = [(900_000, 1, 1, 1, 1, 1), (1_800_000, 2, 2, 2, 2, 2)]
    later = write(tmp_path / "later.json", rows=rows, fetchedAt="1970-01-01T01:00:00Z")
    with Sandbox(replay=[later, one_file]) as sandbox:
        assert [row[1] for row in kucoin_candles(sandbox, granularity=15)] == [86247.3, 1, 2]


def test_a_folder_is_searched_and_files_without_candles_are_skipped(one_file: Path) -> None:
    (one_file.parent / "deep").mkdir()
    one_file.rename(one_file.parent / "deep" / one_file.name)
    (one_file.parent / "contracts.json").write_text('{"code": 0}')
    (one_file.parent / "notes.csv").write_text("a,b\n")
    with Sandbox(replay=[one_file.parent]) as sandbox:
        assert len(kucoin_candles(sandbox, granularity=15)) == 2


def test_a_table_of_minutes_plays_bingx_until_a_second_after_its_last_candle(tmp_path: Path) -> None:
    folder = tmp_path / "lean_19700102"
    folder.mkdir()
    (folder / "perp_bybit_btcusdt_1m.csv").write_text("0,17194,17199.5,17193.5,17199,78.677\n60000,17199,17200,1,2,3\n")
    with Sandbox(replay=[folder]) as sandbox:
        rows = bingx_candles(sandbox)
        assert sandbox.now_ms("bingx") == 86_400_000 + 121_000
        assert sandbox.truth("bingx", BTC, "1m", 0)[0] == (86_400_000, 17194, 17199.5, 17193.5, 17199, 78.677)
    assert [row["time"] for row in rows] == [86_460_000, 86_400_000]
    assert (rows[1]["open"], rows[1]["volume"]) == ("17194", "78.677")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"interval": "7min"}, "unknown interval '7min'"),
        ({"source": "elsewhere"}, "unknown source 'elsewhere'"),
        ({"fetchedAt": "soon"}, "Invalid isoformat"),
        ({"candles": [{"ts": 0}]}, "no 'open'"),
        ({"rows": [(1, 1, 1, 1, 1, 1)]}, "off the 15m grid"),
        ({"rows": [(0, "1", 1, 1, 1, 1)]}, "something else than numbers"),
        ({"symbol": "NOSUCHUSDTM"}, "lists no NOSUCHUSDTM"),
        ({"symbol": None}, "symbol"),
    ],
)
def test_a_file_that_cannot_be_served_is_named_with_its_cause(
    tmp_path: Path, changes: dict[str, Any], cause: str
) -> None:
    path = write(tmp_path / "bad.json", **changes)
    with pytest.raises(SettingsError, match=cause) as caught:
        Sandbox(replay=[path])
    assert "bad.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", '{"code": 0}', "[]", "\xff"])
def test_a_file_that_is_no_candle_file_is_refused_when_it_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"bad\.json: not a candle file"):
        Sandbox(replay=[path])


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file or folder"):
        Sandbox(replay=[tmp_path / "missing"])
    with pytest.raises(SettingsError, match="no candle files in"):
        Sandbox(replay=[tmp_path])


def test_the_recorded_quarter_hours_lack_the_one_that_was_open(recorded: Path) -> None:
    path = recorded / "kucoin_futures/XBTUSDTM_15min_30d.json"
    rows = json.loads(path.read_text())["candles"]
    with Sandbox(replay=[path], limit="off") as sandbox:
        served = _pages(sandbox, "XBTUSDTM", 15, rows[0]["ts"])
        truth = sandbox.truth("kucoinfutures", BTC, "15m", 0)
    assert len(rows) == 2880
    assert served == [[row[name] for name in ("ts", "open", "high", "low", "close", "volume")] for row in rows[:-1]]
    assert served[0][1] == 86247.3
    assert [(c.open_time, c.close, c.volume) for c in truth] == [(r[0], r[4], round(r[5] * 0.001, 3)) for r in served]


def test_the_recorded_hour_is_withheld_too(recorded: Path) -> None:
    with Sandbox(replay=[recorded / "kucoin_futures/XBTUSDTM_1hour_30d.json"]) as sandbox:
        assert len(sandbox.truth("kucoinfutures", BTC, "1h", 0)) == 719


def test_the_recorded_bnb_lacks_62_candles_that_nobody_traded(recorded: Path) -> None:
    with Sandbox(replay=[recorded / "kucoin_futures/BNBUSDTM_5min_30d.json"], limit="off") as sandbox:
        served = [int(row[0]) for row in _pages(sandbox, "BNBUSDTM", 5, 1_766_030_100_000)]
    missing = set(range(served[0], served[-1], FIVE_MS)) - set(served)
    assert (len(served), len(missing)) == (8577, 62)


def test_recorded_binance_candles_play_bingx_through_ccxt(recorded: Path) -> None:
    path = recorded / "binance_futures/BTCUSDT_15m_30d.json"
    rows = json.loads(path.read_text())["candles"][:-1]
    with Sandbox(venues=("bingx",), replay=[path]) as sandbox:
        got = ccxt_client(sandbox, "bingx").fetch_ohlcv(BTC, "15m", since=rows[0]["ts"], limit=1440, params={
            "until": rows[1439]["ts"]})  # fmt: skip
    assert got == [[row[name] for name in ("ts", "open", "high", "low", "close", "volume")] for row in rows[:1440]]


def test_all_recorded_files_can_be_replayed_at_once(recorded: Path) -> None:
    with Sandbox(replay=[recorded]) as sandbox:
        assert set(sandbox.symbols("kucoinfutures")) == {f"{c}/USDT:USDT" for c in ("BTC", "ETH", "BNB", "DOGE")}
        assert set(sandbox.symbols("bingx")) == {f"{c}/USDT:USDT" for c in ("BTC", "ETH", "ADA")}
        assert len(sandbox.truth("bingx", BTC, "1m", 0)) == 721
        assert get(sandbox, "kucoinfutures", "/api/v1/contracts/active").json()["code"] == "200000"


def _pages(sandbox: Sandbox, symbol: str, minutes: int, since_ms: int) -> list[list[float]]:
    step_ms, rows = minutes * 60_000, []
    while since_ms <= sandbox.now_ms("kucoinfutures"):
        bounds = {"from": since_ms, "to": since_ms + 499 * step_ms}
        rows += kucoin_candles(sandbox, symbol=symbol, granularity=minutes, **bounds)
        since_ms += 500 * step_ms
    return rows
