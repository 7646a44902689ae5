"""The manager over exchanges played by the test: shapes, errors, honesty about VST."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bus.errors import BusUnavailable, CandleBusError, ExchangeUnavailable, PartialResult, RequestError, UnknownSymbol
from bus.messages import Contract, ContractMap
from producers.manager import ExchangeManager
from producers.venues import Fetched, Listed, Profile, TimeSync
from producers.vst import VST_CONFIG

BTC, ETH, VST = "BTC/USDT:USDT", "ETH/USDT:USDT", "VST/USDT:USDT"


class PlayedVenues:
    """Two exchanges: every series has three candles, except those that are given an error."""

    names = ("bingx", "kucoinfutures")

    def __init__(self) -> None:
        self.errors: dict[str, CandleBusError] = {}
        self.losses: tuple[str, ...] = ()
        self.listed = {VST: Contract(symbol=VST, native_id="VST-USDT")}
        self.source: Any = "exchange"
        self.silent: set[str] = set()
        self.asked: list[tuple[Any, ...]] = []
        self.is_closed = False

    def fetch(self, wanted: Mapping[str, Sequence[str]], timeframe: str, limit: int) -> Fetched:
        self.asked.append((wanted, timeframe, limit))
        names = [f"{exchange}:{symbol}" for exchange, symbols in wanted.items() for symbol in symbols]
        rows = {name: [[t, 1.0, 2.0, 0.5, 1.5, 10.0] for t in (0, 60_000, 120_000)] for name in names}
        whole = {name: rows[name] for name in names if name not in self.errors}
        return Fetched(candles=whole, errors=self.errors, losses=self.losses)

    def contracts(self, exchange: str) -> Listed:
        if exchange in self.silent:
            raise ExchangeUnavailable(exchange, f"{exchange} does not answer")
        return Listed(exchange=exchange, contracts=self.listed, source=self.source, fetched_ms=5)

    def time_sync(self, exchange: str) -> TimeSync:
        return TimeSync(source="ok", low_ms=-3, high_ms=7)

    def profile(self, exchange: str) -> Profile:
        return Profile(timeframes=("1m", "1h"), page_rows=500, pace="conservative", limits=())

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def venues() -> PlayedVenues:
    return PlayedVenues()


@pytest.fixture
def manager(venues: PlayedVenues) -> ExchangeManager:
    return ExchangeManager(venues)


def test_candles_come_by_exchange_and_symbol_each_symbol_once(manager: ExchangeManager, venues: PlayedVenues) -> None:
    data = manager.fetch_unified_data({"kucoinfutures": [BTC], "bingx": (ETH, BTC, ETH)}, "1m", 3)
    assert {exchange: list(symbols) for exchange, symbols in data.items()} == {
        "kucoinfutures": [BTC],
        "bingx": [ETH, BTC],
    }
    assert data["bingx"][BTC][0] == [0, 1.0, 2.0, 0.5, 1.5, 10.0]
    assert venues.asked == [({"kucoinfutures": [BTC], "bingx": [ETH, BTC]}, "1m", 3)]
    assert manager.errors == {}


def test_a_series_that_fails_is_absent_and_named_with_one_warning(
    manager: ExchangeManager, venues: PlayedVenues
) -> None:
    venues.errors = {f"bingx:{ETH}": UnknownSymbol("no ETH here"), f"kucoinfutures:{BTC}": BusUnavailable("nobody")}
    venues.losses = ("bingx:BTC/USDT:USDT: 1 candles missing in 1 gaps",)
    with pytest.warns(PartialResult) as said:
        data = manager.fetch_unified_data({"bingx": [BTC, ETH], "kucoinfutures": [BTC]}, "1m", 3)
    assert {exchange: list(symbols) for exchange, symbols in data.items()} == {"bingx": [BTC], "kucoinfutures": []}
    assert manager.errors == venues.errors
    assert len(said) == 1
    assert said[0].filename == __file__  # the caller's line, not ours
    assert all(text in str(said[0].message) for text in ("no ETH here", "nobody", "1 candles missing"))


def test_errors_are_those_of_the_last_fetch(manager: ExchangeManager, venues: PlayedVenues) -> None:
    venues.errors = {f"bingx:{BTC}": UnknownSymbol("no BTC here")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PartialResult)
        manager.fetch_unified_data({"bingx": [BTC]}, "1m", 3)
    venues.errors = {}
    manager.fetch_unified_data({"bingx": [BTC]}, "1m", 3)
    assert manager.errors == {}


@pytest.mark.parametrize(
    ("symbols", "limit", "told"),
    [
        ([BTC], 3, "symbols_per_exchange holds"),
        ({"bingx": BTC}, 3, "symbols_per_exchange holds 'BTC/USDT:USDT'; write {'bingx': ['BTC/USDT:USDT', …]"),
        ({"bingx": [7]}, 3, "symbols_per_exchange holds"),
        ({"bingx": None}, 3, "symbols_per_exchange holds"),
        ({"bingx": [BTC]}, "3", "limit is '3'; write a whole number of candles"),
        ({"bingx": [BTC]}, True, "limit is True"),
        ({"bingx": [BTC]}, 2.0, "limit is 2.0"),
        ({"bingx": [BTC]}, None, "limit is None"),
        ({"bingx": [BTC]}, 0, "limit 0 is not between"),
    ],
)
def test_arguments_that_no_exchange_could_serve_are_refused_before_any_request(
    manager: ExchangeManager, venues: PlayedVenues, symbols: Any, limit: Any, told: str
) -> None:
    with pytest.raises(RequestError) as caught:
        manager.fetch_unified_data(symbols, "1m", limit)
    assert told in str(caught.value)
    assert venues.asked == []


def test_what_was_fetched_aligns_over_all_series_or_by_symbol(manager: ExchangeManager) -> None:
    data = manager.fetch_unified_data({"bingx": [BTC, ETH], "kucoinfutures": [BTC]}, "1m", 3)
    del data["bingx"][ETH][0]
    assert [row[0] for row in manager.align_timestamps(data, 1_000)["kucoinfutures"][BTC]] == [60_000, 120_000]
    by_symbol = manager.align_timestamps(data, tolerance_ms=1_000, by_symbol=True)
    assert [row[0] for row in by_symbol["kucoinfutures"][BTC]] == [0, 60_000, 120_000]


def test_vst_is_available_where_it_is_listed_and_open(manager: ExchangeManager) -> None:
    report = manager.validate_vst_contract()
    assert (report["available"], report["reason"], report["source"]) == (True, "", "exchange")
    assert (report["symbol"], report["native_symbol"]) == (VST, "VST-USDT")
    assert (report["contracts_checked"], report["fetched_ms"]) == (1, 5)


@pytest.mark.parametrize(
    ("listed", "source", "exchange", "reason"),
    [
        ({}, "exchange", "bingx", "bingx lists no VST-USDT: VST is play money"),
        ({}, "cache", "bingx", "open-api-vst.bingx.com"),
        ({VST: Contract(symbol=VST, native_id="VST-USDT")}, "fallback", "bingx", "nobody knows"),
        ({VST: Contract(symbol=VST, native_id="VST-USDT", is_open=False)}, "exchange", "bingx", "cannot be traded"),
        ({VST: Contract(symbol=VST, native_id="VSTUSDTM")}, "exchange", "kucoinfutures", "play money of bingx"),
    ],
)
def test_vst_is_not_available_on_an_assumption_and_the_reason_is_given(
    manager: ExchangeManager, venues: PlayedVenues, listed: Any, source: str, exchange: str, reason: str
) -> None:
    venues.listed, venues.source = listed, source
    report = manager.validate_vst_contract(exchange)
    assert (report["available"], report["source"], report["exchange"]) == (False, source, exchange)
    assert reason in report["reason"]
    assert report["demo_host"] == ("open-api-vst.bingx.com" if exchange == "bingx" else None)


def test_a_silent_exchange_says_so_in_the_summary_and_the_others_are_told(
    manager: ExchangeManager, venues: PlayedVenues
) -> None:
    venues.silent = {"kucoinfutures"}
    summary = manager.get_exchange_summary()
    assert summary["bingx"] == {
        "status": "ok",
        "error": None,
        "contracts": 1,
        "contracts_source": "exchange",
        "server_time": {"source": "ok", "offset_ms": 2, "low_ms": -3, "high_ms": 7},
        "vst_supported": True,
        "timeframes": ("1m", "1h"),
        "page_rows": 500,
        "pace": "conservative",
        "limits": (),
    }
    silent = summary["kucoinfutures"]
    assert (silent["status"], silent["error"]) == ("error", "kucoinfutures does not answer")
    assert (silent["contracts"], silent["server_time"], silent["pace"]) == (None, None, "conservative")
    assert silent.keys() == summary["bingx"].keys()


@pytest.mark.parametrize(
    ("contracts_source", "time_source", "told"),
    [
        ("fallback", "ok", "it gives no list of contracts: the fallback stands in"),
        ("cache", "cached", "it does not tell its time: an old offset stands in"),
        ("exchange", "local", "it does not tell its time: our own clock stands in"),
    ],
)
def test_what_stands_in_for_an_answer_degrades_the_status(
    manager: ExchangeManager,
    venues: PlayedVenues,
    monkeypatch: pytest.MonkeyPatch,
    contracts_source: str,
    time_source: Any,
    told: str,
) -> None:
    venues.source = contracts_source
    monkeypatch.setattr(venues, "time_sync", lambda _: TimeSync(source=time_source, low_ms=-9, high_ms=9))
    summary = manager.get_exchange_summary()["bingx"]
    assert (summary["status"], summary["error"]) == ("degraded", told)
    assert (summary["contracts_source"], summary["server_time"]["source"]) == (contracts_source, time_source)


def test_a_list_says_whether_it_was_asked_for_now() -> None:
    known = ContractMap(exchange="bingx", fetched_ms=9, contracts={})
    assert [Listed.of(known, was_known=was_known).source for was_known in (True, False)] == ["cache", "exchange"]
    assumed = ContractMap(exchange="bingx", fetched_ms=0, contracts={}, source="fallback")
    assert [Listed.of(assumed, was_known=was_known).source for was_known in (True, False)] == ["fallback", "fallback"]


def test_a_manager_ends_what_it_started(venues: PlayedVenues) -> None:
    with ExchangeManager(venues) as manager:
        assert manager.exchanges == ("bingx", "kucoinfutures")
    assert venues.is_closed


def test_the_configuration_of_vst_is_what_the_demo_needs() -> None:
    assert VST_CONFIG == {
        "exchange": "bingx",
        "symbol": VST,
        "native_symbol": "VST-USDT",
        "demo_host": "open-api-vst.bingx.com",
        "demo_url": "https://open-api-vst.bingx.com",
        "is_play_money": True,
    }
