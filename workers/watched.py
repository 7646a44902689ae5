"""An exchange whose refusals and complaints reach those who must act on them, whoever asked."""

from collections.abc import Callable
from typing import TypeVar

from bus.errors import (
    CandleBusError,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    OutOfService,
    Paused,
    RateLimited,
)
from bus.messages import Contract
from bus.timeframes import Timeframe
from workers.exchanges.base import Exchange, Facts, Page, Ticker
from workers.http import HttpClient

_T = TypeVar("_T")


class Watched:
    """An adapter that reports what concerns all who ask the exchange, and raises it as before.

    Attributes:
        facts: Those of the adapter.
    """

    facts: Facts

    def __init__(
        self,
        exchange: Exchange,
        *,
        on_refusal: Callable[[RateLimited], None],
        on_clock_rejected: Callable[[], None],
        on_failure: Callable[[ExchangeError], None] = lambda _: None,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        """Watch an adapter.

        Args:
            on_refusal: Called when the exchange refuses for the rate.
            on_clock_rejected: Called when it finds our clock wrong, before anybody asks again.
            on_failure: Called when it does not answer, or with trouble of its own, or what cannot be believed.
            on_answer: Called when it answers in its right mind, be it with a refusal.
        """
        self._exchange = exchange
        self._on_refusal = on_refusal
        self._on_clock_rejected = on_clock_rejected
        self._on_failure = on_failure
        self._on_answer = on_answer
        self.facts = exchange.facts

    def server_time(self, http: HttpClient) -> int:
        # Measuring anew would ask for the time again: a complaint about the clock goes no further here.
        return self._told(lambda: self._exchange.server_time(http))

    def contracts(self, http: HttpClient) -> dict[str, Contract]:
        return self.checked(lambda: self._exchange.contracts(http))

    def candles(self, http: HttpClient, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Page:
        return self.checked(lambda: self._exchange.candles(http, contract, timeframe, since_ms, until_ms))

    def ticker(self, http: HttpClient, contract: Contract) -> Ticker:
        return self.checked(lambda: self._exchange.ticker(http, contract))

    def checked(self, ask: Callable[[], _T]) -> _T:
        """What another question to the exchange brings, watched like these."""
        try:
            return self._told(ask)
        except ClockRejected:
            self._on_clock_rejected()
            raise

    def _told(self, ask: Callable[[], _T]) -> _T:
        try:
            answer = ask()
        except (Paused, OutOfService):
            raise  # known already: it is why nothing was asked
        except (ExchangeUnavailable, MalformedPage) as error:
            self._on_failure(error)
            raise
        except CandleBusError as error:
            self._on_answer()
            if isinstance(error, RateLimited):
                self._on_refusal(error)
            raise
        self._on_answer()
        return answer
