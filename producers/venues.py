"""What a manager needs of its exchanges, whether it asks them over the bus or by clients of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from bus.errors import CandleBusError
from bus.messages import Contract, ContractMap

#: Exchange → symbol → rows ``[open time in ms, open, high, low, close, volume]``, oldest first.
Unified = dict[str, dict[str, list[list[Any]]]]


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a fetch of several series.

    Attributes:
        candles: Series as ``EXCHANGE:SYMBOL`` → its rows; only those that ran to their end.
        errors: Series → why it did not.
        losses: One line for each series that ran to its end and lacks candles that its exchange should have.
    """

    candles: dict[str, list[list[Any]]]
    errors: dict[str, CandleBusError]
    losses: tuple[str, ...] = ()


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """The contracts of an exchange, and where the list came from.

    Attributes:
        exchange: Our name of the exchange, such as ``bingx``, whatever its client is called.
        contracts: Symbol → contract.
        source: ``exchange`` when it is new here, ``cache`` when it was known before (over a bus: to anybody on it),
            ``fallback`` when the exchange never gave one.
        fetched_ms: When the exchange served it, ms UTC; 0 for the fallback.
    """

    exchange: str
    contracts: dict[str, Contract]
    source: Literal["exchange", "cache", "fallback"]
    fetched_ms: int

    @classmethod
    def of(cls, found: ContractMap, *, was_known: bool) -> "Listed":
        """The contracts of a map that somebody had fetched before, or that was fetched for us."""
        known: Literal["exchange", "cache"] = "cache" if was_known else "exchange"
        source = found.source if found.source == "fallback" else known
        return cls(exchange=found.exchange, contracts=found.contracts, source=source, fetched_ms=found.fetched_ms)


class TimeSync(msgspec.Struct, frozen=True, kw_only=True):
    """Exchange time minus ours, as an interval that holds the truth, and where it comes from.

    Attributes:
        source: ``ok`` when measured within five minutes, ``cached`` when measured longer ago and wider by the drift
            since, ``local`` when not measured: then only as true as our own clock.
        low_ms, high_ms: The interval, ms.
    """

    source: Literal["ok", "cached", "local"]
    low_ms: int
    high_ms: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How an exchange is asked.

    Attributes:
        timeframes: Those that it has, shortest first.
        page_rows: Most candles in one answer.
        pace: Of the limit how much; None where the workers of a shared bus decide.
        limits: ``{"weight": …, "window_ms": …}``, all at once, per address, as the exchange documents them.
    """

    timeframes: tuple[str, ...]
    page_rows: int
    pace: str | None
    limits: tuple[dict[str, int], ...]


class Venues(Protocol):
    """Several exchanges that can be asked."""

    @property
    def names(self) -> tuple[str, ...]:
        """The exchanges."""
        ...

    def fetch(self, wanted: Mapping[str, Sequence[str]], timeframe: str, limit: int) -> Fetched:
        """The last ``limit`` closed candles of every series of exchange → symbols, the exchanges side by side.

        Raises:
            BusError: The bus itself has failed; of a series that fails the error is in the result.
        """
        ...

    def contracts(self, exchange: str) -> Listed:
        """The exchange's contracts.

        Raises:
            CandleBusError: There is no such exchange here, or nobody answers.
        """
        ...

    def time_sync(self, exchange: str) -> TimeSync:
        """How the exchange's clock is known.

        Raises:
            CandleBusError: As :meth:`contracts`.
        """
        ...

    def profile(self, exchange: str) -> Profile:
        """How the exchange is asked; sends nothing.

        Raises:
            CandleBusError: There is no such exchange here.
        """
        ...

    def close(self) -> None:
        """End what was started."""
        ...
