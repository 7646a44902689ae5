"""The counterparts for KuCoin Futures of the original integration's promises, against a stand-in over HTTP; runs alone,
too: ``python3 tests/test_kucoin_futures_integration.py``."""

import sys
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":  # beside this file lie the tests of packages that have the same names
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import pytest

from bus.errors import RequestError, UnsupportedTimeframe
from bus.timeframes import TIMEFRAMES
from candlebus import MultiExchangeManager
from candlebus.sandbox.kucoinfutures import CANDLES, CONTRACTS, TIME
from tests.alone import run_alone
from tests.original import BTC, DAY_MS, ETH, HOUR_MS, MINUTE_MS, NOW_MS, stand_ins

BEHIND_MS = -3 * MINUTE_MS


def test_server_time_sync_and_offset_caching() -> None:
    with stand_ins(clock_skew_ms={"kucoinfutures": BEHIND_MS}) as both:
        client = both.client("kucoinfutures")
        assert abs(client._get_kucoin_server_time() - (both.clock.now_ms() + BEHIND_MS)) <= 1
        both.clock.jump(4 * MINUTE_MS)
        assert abs(client._get_kucoin_server_time() - (both.clock.now_ms() + BEHIND_MS)) <= 100
        assert both.requests("kucoinfutures", TIME) == 1
        both.clock.jump(2 * MINUTE_MS)
        client._get_kucoin_server_time()
        assert both.requests("kucoinfutures", TIME) == 2

        both.sandbox.plan("kucoinfutures", faults="time#1-99=html")
        both.clock.jump(HOUR_MS)
        assert abs(client._get_kucoin_server_time() - (both.clock.now_ms() + BEHIND_MS)) <= 1_000
        assert client.time_status().source == "cached"
        with pytest.raises(RequestError, match="CcxtClient\\('bingx'\\)"):
            client._get_bingx_server_time()


def test_contract_discovery() -> None:
    with stand_ins() as both:
        contracts = both.client("kucoinfutures")._get_kucoin_contracts()
        assert contracts[BTC] == "XBTUSDTM"
        assert contracts["PEPE/USDT:USDT"] == "PEPEUSDTM"
        assert contracts["LTC/USDT:USDT"] == "LTCUSDTM"  # about to be delisted, and a perpetual all the same
        assert not {"XBTUSDM", "XBTMM27"} & set(contracts.values())  # inverse; dated
        both.sandbox.plan("kucoinfutures", faults="contracts#1-99=http_503")
        known = both.client("kucoinfutures")._get_kucoin_contracts()
        assert known == {BTC: "XBTUSDTM", ETH: "ETHUSDTM"}  # the fallback


def test_granularity_conversion() -> None:
    with stand_ins(omission_rate=0) as both:
        client = both.client("kucoinfutures")
        minutes = {name: TIMEFRAMES[name].duration_ms // MINUTE_MS for name in client.timeframes if name in TIMEFRAMES}
        assert list(minutes.values()) == [1, 5, 15, 30, 60, 120, 240, 480, 720, 1440]
        for name, length in minutes.items():
            frame = TIMEFRAMES[name]
            since_ms = frame.floor(NOW_MS) - 5 * frame.duration_ms
            for spelled in (name, str(length)):
                rows = client._fetch_with_ultimate_kucoin_format(BTC, spelled, since_ms, NOW_MS)
                assert [row[0] for row in rows] == list(range(since_ms, NOW_MS, frame.duration_ms)), spelled
            assert rows[:5] == both.truth("kucoinfutures", BTC, name, since_ms, rows[5][0])
        asked = both.requests("kucoinfutures")
        for wrong in ("3m", "6h", "30min", "3"):
            with pytest.raises(UnsupportedTimeframe):
                client._fetch_with_ultimate_kucoin_format(BTC, wrong)
        assert both.requests("kucoinfutures") == asked  # refused before any request


def test_bulk_fetch_in_base_coins() -> None:
    with stand_ins(omission_rate=0) as both:
        client = both.client("kucoinfutures")
        client.contracts()
        client.server_time()
        both.clock.asked_ms.clear()
        rows = client.fetch_ohlcv_bulk(BTC, "1m", 2000)
        assert both.requests("kucoinfutures", CANDLES) == 4
        assert min(later - earlier for earlier, later in pairwise(both.clock.asked_ms)) >= 700
        until_ms = NOW_MS - NOW_MS % MINUTE_MS
        truth = both.truth("kucoinfutures", BTC, "1m", until_ms - 2000 * MINUTE_MS, until_ms)
        assert rows == truth  # chronological, unique, closed; lots made base coins
        with pytest.raises(RequestError, match="candlebus fetch kucoinfutures:BTC/USDT:USDT"):
            client.fetch_ohlcv_bulk(BTC, "1m", 2001)


def test_unified_data_and_alignment_across_candles_without_trades() -> None:
    with stand_ins(omission_rate=0.2) as both, MultiExchangeManager(both.clients()) as manager:
        data = manager.fetch_unified_data({"kucoinfutures": [BTC], "bingx": [BTC]}, "1m", 300)
        assert list(data) == ["kucoinfutures", "bingx"]
        theirs = data["kucoinfutures"][BTC]
        until_ms = NOW_MS - NOW_MS % MINUTE_MS
        assert theirs == both.truth("kucoinfutures", BTC, "1m", until_ms - 300 * MINUTE_MS, until_ms)
        assert 200 < len(theirs) < 280  # one slot in five holds no candle; none is invented
        aligned = manager.align_timestamps(data, tolerance_ms=20_000)
        assert aligned["kucoinfutures"][BTC] == theirs
        assert [row[0] for row in aligned["bingx"][BTC]] == [row[0] for row in theirs]
        told = manager.get_exchange_summary()["kucoinfutures"]
        assert (told["status"], told["vst_supported"]) == ("ok", False)
        assert told["limits"] == ({"weight": 2000, "window_ms": 30_000},)


def test_one_hour_cache_behaviour() -> None:
    with stand_ins() as both:
        client = both.client("kucoinfutures")
        known = client._get_kucoin_contracts()
        both.clock.jump(HOUR_MS - 1_000)
        assert client._get_kucoin_contracts() == known
        assert both.requests("kucoinfutures", CONTRACTS) == 1
        both.clock.jump(2_000)
        assert client._get_kucoin_contracts() == known
        assert both.requests("kucoinfutures", CONTRACTS) == 2

        both.sandbox.plan("kucoinfutures", faults="contracts#1-99=html")
        both.clock.jump(DAY_MS)
        assert client._get_kucoin_contracts() == known  # the last good map, rather than the fallback


if __name__ == "__main__":
    sys.exit(run_alone(__file__, "KuCoin"))
