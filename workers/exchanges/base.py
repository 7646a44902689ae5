"""What every exchange adapter is: its facts, and four questions it answers over HTTP."""

from typing import Literal, Protocol

import msgspec

from bus.errors import MalformedPage, UnsupportedTimeframe
from bus.messages import Candle, Contract, Rejected, VolumeUnit
from bus.timeframes import Timeframe
from workers.http import HttpClient


class Limit(msgspec.Struct, frozen=True):
    """So much weight may be asked for in any window of that length, from one address."""

    weight: int
    window_ms: int


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What each question draws from the limit."""

    server_time: int = 1
    contracts: int = 1
    candles: int = 1
    ticker: int = 1


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an exchange without asking it.

    Attributes:
        name: Our name of it, such as ``bingx``.
        base_url: Scheme and host of its REST interface.
        timeframes: Our timeframe → its spelling.
        page_rows: Most candles in one answer.
        limits: All hold at once, per address.
        hole_reason: What a confirmed hole between its candles means.
        clock_step_ms: What its time is cut to; a second where it is read from the date of an answer.
        allowance_headers: Lower-case names of the headers that tell the weight left and when the limit is whole again.
    """

    name: str
    base_url: str
    timeframes: dict[str, str]
    page_rows: int
    limits: tuple[Limit, ...]
    weights: Weights
    volume_unit: VolumeUnit
    hole_reason: Literal["no_trades", "unavailable"]
    clock_step_ms: int = 1
    allowance_headers: tuple[str, str] | None = None

    def spelling(self, timeframe: Timeframe) -> str:
        """The exchange's own spelling of the timeframe.

        Raises:
            UnsupportedTimeframe: The exchange has none; the message names those it has.
        """
        found = self.timeframes.get(timeframe.name)
        if found is None:
            known = " ".join(self.timeframes)
            raise UnsupportedTimeframe(f"{self.name} has no {timeframe.name} candles; it has: {known}")
        return found


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The candles of one answer: valid, unique, oldest first, within the bounds asked for; the last may be open.

    Attributes:
        long_decimals: How many numbers came with more digits than float64 keeps (15).
        rejected: The rows that cannot be true, of the span or of no time that could be believed.
        passed_over: How many rows came twice alike, or lie beside the span.
    """

    candles: list[Candle]
    long_decimals: int = 0
    rejected: tuple[Rejected, ...] = ()
    passed_over: int = 0


class NothingTrue(MalformedPage):
    """No row of an answer can be true.

    Attributes:
        rejected: The rows, but for those beside the span.
    """

    rejected: tuple[Rejected, ...] = ()


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """Last trade and best quotes of a contract; None where the exchange does not say."""

    symbol: str
    last: float
    bid: float | None = None
    ask: float | None = None
    time_ms: int | None = None


class Exchange(Protocol):
    """One venue. Every method asks one question and raises an ``ExchangeError`` that says what to do about it.

    A question is one request; through ccxt it may take more, to load the venue's markets into this process.
    """

    facts: Facts

    def server_time(self, http: HttpClient) -> int:
        """The exchange's clock, ms UTC."""
        ...

    def contracts(self, http: HttpClient) -> dict[str, Contract]:
        """All linear perpetuals by ccxt's unified symbol."""
        ...

    def candles(self, http: HttpClient, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Page:
        """The candles that open in ``[since_ms, until_ms)``; the caller asks for at most ``page_rows`` slots."""
        ...

    def ticker(self, http: HttpClient, contract: Contract) -> Ticker:
        """Last trade and best quotes now."""
        ...
