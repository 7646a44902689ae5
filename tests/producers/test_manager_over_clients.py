"""The manager over clients, without a bus: side by side, considerate, and no failure without a name."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bus.errors import PartialResult, UnknownExchange
from candlebus import MultiExchangeManager
from candlebus.client_venues import BETWEEN_SYMBOLS_S, ClientVenues
from producers.manager import ExchangeManager
from tests.original import BTC, ETH, JumpingClock, StandIns, stand_ins
from workers.ccxt_client import CcxtClient


@pytest.fixture
def both() -> Iterator[StandIns]:
    with stand_ins() as served:
        yield served


class PlayedClient:
    """A client whose every fetch is a call."""

    id = "bingx"
    pace = "conservative"
    timeframes = ("1m",)

    def __init__(self, fetch: Callable[[str], Any]) -> None:
        self._fetch = fetch
        self.is_closed = False

    def fetch_ohlcv_bulk(self, symbol: str, timeframe: str, limit: int) -> Any:
        return self._fetch(symbol)

    def close(self) -> None:
        self.is_closed = True


def manager_of(clock: JumpingClock, **clients: Any) -> ExchangeManager:
    return ExchangeManager(ClientVenues(clients, clock))


def test_the_exchanges_are_asked_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)  # breaks when one waits for the other to end

    def meet(symbol: str) -> list[int]:
        return [meeting.wait()]

    manager = manager_of(JumpingClock(), a=PlayedClient(meet), b=PlayedClient(meet))
    data = manager.fetch_unified_data({"a": [BTC], "b": [BTC]}, "1m", 10)
    assert sorted(data["a"][BTC] + data["b"][BTC]) == [0, 1]


@pytest.mark.parametrize(("pace", "pauses"), [("conservative", 2), ("half", 0), ("full", 0)])
def test_between_symbols_of_one_exchange_half_a_second_passes_at_the_conservative_pace(pace: str, pauses: int) -> None:
    clock = JumpingClock()
    client = PlayedClient(lambda _: [])
    client.pace = pace
    manager_of(clock, a=client).fetch_unified_data({"a": [BTC, ETH, "SOL/USDT:USDT"]}, "1m", 10)
    assert clock.slept_s == [BETWEEN_SYMBOLS_S] * pauses
    assert BETWEEN_SYMBOLS_S == 0.5


def test_a_bug_is_not_taken_for_an_error_of_the_exchange_and_ends_the_fetch() -> None:
    asked: list[str] = []

    def fetch(symbol: str) -> Any:
        asked.append(symbol)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        manager_of(JumpingClock(), a=PlayedClient(fetch)).fetch_unified_data({"a": [BTC, ETH]}, "1m", 10)
    assert asked == [BTC]


def test_clients_are_closed_with_their_manager() -> None:
    clients = {"a": PlayedClient(lambda _: []), "b": PlayedClient(lambda _: [])}
    with manager_of(JumpingClock(), **clients) as manager:
        assert manager.exchanges == ("a", "b")
    assert [client.is_closed for client in clients.values()] == [True, True]


def test_what_fails_is_named_and_the_rest_is_what_the_exchange_has(both: StandIns) -> None:
    wanted = {"bingx": [BTC], "kucoinfutures": [BTC], "okx": [BTC, ETH]}
    with MultiExchangeManager(both.clients()) as manager:
        with pytest.warns(PartialResult):
            data = manager.fetch_unified_data(wanted, "3m", 20)
        told = {series: str(error) for series, error in manager.errors.items()}
    assert told[f"okx:{BTC}"] == told[f"okx:{ETH}"] == "no client for 'okx' here; there are: bingx kucoinfutures"
    assert told[f"kucoinfutures:{BTC}"].startswith("kucoinfutures has no 3m candles")
    assert (data["kucoinfutures"], data["okx"]) == ({}, {})
    rows = data["bingx"][BTC]
    assert rows == both.truth("bingx", BTC, "3m", rows[0][0], rows[-1][0] + 1)


def test_an_exchange_keeps_its_identity_under_any_name(both: StandIns) -> None:
    with MultiExchangeManager({"main": both.client("bingx")}) as manager:
        report = manager.validate_vst_contract("main")
        assert (report["exchange"], report["demo_host"]) == ("bingx", "open-api-vst.bingx.com")
        with pytest.raises(UnknownExchange, match="no client for 'bingx' here; there are: main"):
            manager.validate_vst_contract("bingx")


def test_a_client_of_the_callers_settings_is_told_of_with_its_pace(both: StandIns) -> None:
    client: CcxtClient = both.client("kucoinfutures")
    with MultiExchangeManager({"kucoinfutures": client}) as manager:
        told = manager.get_exchange_summary()["kucoinfutures"]
    assert (told["status"], told["pace"], told["page_rows"]) == ("ok", "conservative", 500)
    assert told["timeframes"] == tuple(client.timeframes)
