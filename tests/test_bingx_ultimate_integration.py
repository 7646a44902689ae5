"""The original integration's nine promises for BingX, against a stand-in over HTTP; runs alone, too:
``python3 tests/test_bingx_ultimate_integration.py``."""

import sys
from pathlib import Path

if __name__ == "__main__":  # beside this file lie the tests of packages that have the same names
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import pytest

from bus.clock import SystemClock
from bus.errors import BusUnavailable, PartialResult, UnsupportedTimeframe
from bus.timeframes import TIMEFRAMES
from candlebus import VST_CONFIG, MultiExchangeManager, align_timestamps
from candlebus.sandbox.bingx import CONTRACTS, TIME
from tests.alone import run_alone
from tests.original import BTC, DAY_MS, ETH, HOUR_MS, MINUTE_MS, NOW_MS, VST, VST_LISTING, stand_ins

TEN_MINUTES_MS = 10 * MINUTE_MS


def test_server_time_sync_and_offset_caching() -> None:
    with stand_ins(clock_skew_ms={"bingx": TEN_MINUTES_MS}) as both:
        client = both.client("bingx")
        assert abs(client._get_bingx_server_time() - (both.clock.now_ms() + TEN_MINUTES_MS)) <= 1
        assert both.requests("bingx", TIME) == 1
        both.clock.jump(4 * MINUTE_MS)
        assert abs(client._get_bingx_server_time() - (both.clock.now_ms() + TEN_MINUTES_MS)) <= 100
        assert both.requests("bingx", TIME) == 1  # the offset is cached, the time runs on
        both.clock.jump(2 * MINUTE_MS)
        client._get_bingx_server_time()
        assert both.requests("bingx", TIME) == 2  # and measured anew after five minutes

        both.sandbox.plan("bingx", faults="time#1-99=http_500")
        both.clock.jump(HOUR_MS)
        assert abs(client._get_bingx_server_time() - (both.clock.now_ms() + TEN_MINUTES_MS)) <= 1_000
        assert client.time_status().source == "cached"
        stranger = both.client("bingx")
        assert abs(stranger._get_bingx_server_time() - both.clock.now_ms()) <= 1
        assert stranger.time_status().source == "local"


def test_contract_discovery_with_vst() -> None:
    with stand_ins(extra=[VST_LISTING]) as both:
        client = both.client("bingx")
        contracts = client._get_bingx_contracts()
        assert set(contracts) == set(both.sandbox.symbols("bingx"))
        assert (contracts[BTC], contracts[VST]) == ("BTC-USDT", "VST-USDT")
        assert contracts["1000PEPE/USDT:USDT"] == "1000PEPE-USDT"
        rows = client.ohlcv(VST, "1m", 5)
        assert rows == both.truth("bingx", VST, "1m", rows[0][0], both.clock.now_ms())

    with stand_ins() as both:
        assert VST not in both.client("bingx")._get_bingx_contracts()
        both.sandbox.plan("bingx", faults="contracts#1-99=http_503")
        known = both.client("bingx")._get_bingx_contracts()
        assert known == {BTC: "BTC-USDT", ETH: "ETH-USDT", VST: "VST-USDT"}  # the fallback


def test_interval_conversion() -> None:
    with stand_ins() as both:
        client = both.client("bingx")
        for name, frame in TIMEFRAMES.items():
            if name not in client.timeframes:
                continue
            rows = client._fetch_with_ultimate_bingx_format(BTC, name, NOW_MS - 9 * frame.duration_ms, NOW_MS, 3)
            step_ms = frame.duration_ms
            assert [row[0] for row in rows] == [frame.floor(NOW_MS) - k * step_ms for k in (2, 1, 0)], name
            assert rows[:2] == both.truth("bingx", BTC, name, rows[0][0], rows[2][0])
        assert " ".join(client.timeframes).startswith("1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d")
        asked = both.requests("bingx")
        for wrong in ("7m", "1H", "45", "", None):
            with pytest.raises(UnsupportedTimeframe):
                client._fetch_with_ultimate_bingx_format(BTC, wrong)  # type: ignore[arg-type]
            with pytest.raises(UnsupportedTimeframe):
                client.fetch_ohlcv_bulk(BTC, wrong, 10)  # type: ignore[arg-type]
        assert both.requests("bingx") == asked  # refused before any request


def test_manager_initialisation() -> None:
    with MultiExchangeManager() as manager:
        assert manager.exchanges == ("kucoinfutures", "bingx")
        assert manager.errors == {}
    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1"):
        MultiExchangeManager(redis_url="redis://127.0.0.1:1/0")
    with stand_ins() as both:
        with MultiExchangeManager({"bingx": both.client("bingx")}) as manager:
            assert manager.exchanges == ("bingx",)
        assert both.requests("bingx") == 0


def test_exchange_summary() -> None:
    with stand_ins(clock_skew_ms={"bingx": TEN_MINUTES_MS}, extra=[VST_LISTING]) as both:
        with MultiExchangeManager(both.clients()) as manager:
            bingx = manager.get_exchange_summary()["bingx"]
        assert (bingx["status"], bingx["error"]) == ("ok", None)
        assert bingx["contracts"] == len(both.sandbox.symbols("bingx"))
        assert bingx["server_time"]["low_ms"] <= TEN_MINUTES_MS <= bingx["server_time"]["high_ms"]
        assert (bingx["server_time"]["source"], bingx["vst_supported"]) == ("ok", True)
        assert (bingx["pace"], bingx["page_rows"]) == ("conservative", 500)
        assert {"weight": 500, "window_ms": 10_000} in bingx["limits"]
        assert "30m" in bingx["timeframes"]

        both.sandbox.plan("bingx", faults="any#1-99=http_503")
        with MultiExchangeManager(both.clients()) as manager:
            summary = manager.get_exchange_summary()
        assert (summary["bingx"]["status"], summary["kucoinfutures"]["status"]) == ("degraded", "ok")
        assert "fallback" in summary["bingx"]["error"]
        assert summary["bingx"].keys() == bingx.keys()


def test_vst_validation() -> None:
    with stand_ins() as both, MultiExchangeManager(both.clients()) as manager:
        report = manager.validate_vst_contract()
        again = manager.validate_vst_contract()
        assert (again["source"], again["reason"]) == ("cache", report["reason"])
        assert both.requests("bingx", CONTRACTS) == 1
        assert (report["available"], report["symbol"]) == (False, VST)
        assert (report["source"], report["demo_host"]) == ("exchange", "open-api-vst.bingx.com")
        assert "lists no VST-USDT" in report["reason"]
        assert manager.validate_vst_contract("kucoinfutures")["available"] is False
    with stand_ins(extra=[VST_LISTING]) as both, MultiExchangeManager(both.clients()) as manager:
        report = manager.validate_vst_contract("bingx")
        assert (report["available"], report["reason"]) == (True, "")
        assert (report["symbol"], report["native_symbol"]) == (VST_CONFIG["symbol"], VST_CONFIG["native_symbol"])
    with stand_ins(faults="contracts#1-99=http_503") as both, MultiExchangeManager(both.clients()) as manager:
        report = manager.validate_vst_contract("bingx")
        assert (report["available"], report["source"]) == (False, "fallback")
        assert "nobody knows" in report["reason"]


def test_unified_data_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"kucoinfutures": [BTC], "bingx": [BTC, ETH, "NOPE/USDT:USDT"]}
    with stand_ins() as both:
        monkeypatch.setattr(SystemClock, "sleep", lambda _, seconds: both.clock.sleep(seconds))
        with MultiExchangeManager(both.clients()) as manager:
            with pytest.warns(PartialResult, match="bingx lists no NOPE/USDT:USDT"):
                data = manager.fetch_unified_data(wanted, "30m", 40)
            assert both.clock.slept_s.count(0.5) == 2  # between BingX's three symbols
            assert list(manager.errors) == ["bingx:NOPE/USDT:USDT"]
        assert {exchange: list(symbols) for exchange, symbols in data.items()} == {
            "kucoinfutures": [BTC],
            "bingx": [BTC, ETH],
        }
        until_ms = NOW_MS - NOW_MS % (30 * MINUTE_MS)
        for exchange, symbols in data.items():
            for symbol, rows in symbols.items():
                assert rows == both.truth(exchange, symbol, "30m", until_ms - 40 * 30 * MINUTE_MS, until_ms)
        assert len(data["bingx"][BTC]) == 40
        assert {type(row) for row in data["bingx"][BTC]} == {list}


def test_timestamp_alignment() -> None:
    with stand_ins(omission_rate=0.2) as both, MultiExchangeManager(both.clients()) as manager:
        data = manager.fetch_unified_data({"bingx": [BTC], "kucoinfutures": [BTC]}, "5m", 200)
        aligned = manager.align_timestamps(data, tolerance_ms=60_000)
        ours, theirs = data["bingx"][BTC], data["kucoinfutures"][BTC]
        assert len(theirs) < len(ours) == 200  # KuCoin has no candle where nothing was traded
        common = sorted({row[0] for row in ours} & {row[0] for row in theirs})
        assert [row[0] for row in aligned["bingx"][BTC]] == [row[0] for row in aligned["kucoinfutures"][BTC]] == common
        assert all(row in ours for row in aligned["bingx"][BTC])

        near = {"bingx": {BTC: ours}, "late": {BTC: [[row[0] + 60_000, *row[1:]] for row in ours]}}
        far = {"bingx": {BTC: ours}, "late": {BTC: [[row[0] + 60_001, *row[1:]] for row in ours]}}
        assert len(align_timestamps(near)["late"][BTC]) == 200
        assert align_timestamps(far) == {"bingx": {BTC: []}, "late": {BTC: []}}


def test_one_hour_cache_behaviour() -> None:
    with stand_ins() as both:
        client = both.client("bingx")
        known = client._get_bingx_contracts()
        both.clock.jump(HOUR_MS - 1_000)
        assert client._get_bingx_contracts() == known
        assert both.requests("bingx", CONTRACTS) == 1
        both.clock.jump(2_000)
        assert client._get_bingx_contracts() == known
        assert both.requests("bingx", CONTRACTS) == 2

        both.sandbox.plan("bingx", faults="contracts#1-99=http_503")
        both.clock.jump(DAY_MS)
        assert client._get_bingx_contracts() == known  # the last good map, rather than the fallback
        assert both.requests("bingx", CONTRACTS) > 2


if __name__ == "__main__":
    sys.exit(run_alone(__file__, "BingX"))
