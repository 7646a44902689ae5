"""Several exchanges as one: candles in one shape, aligned, and how each exchange is doing."""

import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from bus.alignment import align_timestamps
from bus.errors import CandleBusError, PartialResult, RequestError
from bus.fetch_request import check_span
from producers.summary import exchange_summary
from producers.venues import Unified, Venues
from producers.vst import VST_CONFIG, vst_report


class ExchangeManager:
    """Candles of several exchanges in one shape; use it as a context manager, or call :meth:`close`.

    Attributes:
        errors: Series as ``EXCHANGE:SYMBOL`` → why the last fetch lacks it; empty when it lacks none.
    """

    #: Brings all series to the same points in time; see :func:`bus.alignment.align_timestamps`.
    align_timestamps = staticmethod(align_timestamps)

    def __init__(self, venues: Venues) -> None:
        self._venues = venues
        self.errors: dict[str, CandleBusError] = {}

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Names of the exchanges."""
        return self._venues.names

    def fetch_unified_data(
        self, symbols_per_exchange: Mapping[str, Sequence[str]], timeframe: str, limit: int
    ) -> Unified:
        """The last closed candles of several symbols on several exchanges, the exchanges side by side.

        Args:
            symbols_per_exchange: Exchange → unified symbols, such as ``{"bingx": ["BTC/USDT:USDT"]}``.
            timeframe: Length of a candle, such as ``30m``; one that only some exchanges have fails on the others.
            limit: Timeframe slots back from the last closed candle.

        Returns:
            Exchange → symbol → rows ``[ts, open, high, low, close, volume]``, oldest first. A series that failed is
            absent, is named in :attr:`errors`, and one warning says so.

        Raises:
            RequestError: An argument is wrong, whatever the exchange; its text says which.
            BusError: The bus itself has failed.
        """
        wanted = _checked(symbols_per_exchange)
        _check_limit(limit)
        fetched = self._venues.fetch(wanted, timeframe, limit)
        self.errors = fetched.errors
        troubles = [*(f"{name}: {error}" for name, error in self.errors.items()), *fetched.losses]
        if troubles:
            warnings.warn("; ".join(troubles), PartialResult, stacklevel=2)
        return {
            exchange: {s: rows for s in symbols if (rows := fetched.candles.get(f"{exchange}:{s}")) is not None}
            for exchange, symbols in wanted.items()
        }

    def validate_vst_contract(self, exchange: str = VST_CONFIG["exchange"]) -> dict[str, Any]:
        """Whether the exchange lists BingX's play money, and what to do where it does not.

        Returns:
            What :func:`producers.vst.vst_report` says: ``available``, ``reason``, ``source``, ``demo_host`` and more.

        Raises:
            CandleBusError: There is no such exchange here, or nobody answers.
        """
        return vst_report(self._venues.contracts(exchange))

    def get_exchange_summary(self) -> dict[str, dict[str, Any]]:
        """Exchange → how it is doing; one that does not answer says so and does not keep the others from it.

        Returns:
            Exchange → what :func:`producers.summary.exchange_summary` says.
        """
        return {exchange: exchange_summary(self._venues, exchange) for exchange in self.exchanges}

    def close(self) -> None:
        """End what this object started."""
        self._venues.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(symbols_per_exchange: Any) -> dict[str, list[str]]:
    """Each symbol once, in the order given."""
    if not isinstance(symbols_per_exchange, Mapping):
        raise RequestError(_wrong(symbols_per_exchange))
    for symbols in symbols_per_exchange.values():
        is_list = isinstance(symbols, Sequence) and not isinstance(symbols, str)
        if not is_list or not all(isinstance(symbol, str) for symbol in symbols):
            raise RequestError(_wrong(symbols))
    return {str(exchange): list(dict.fromkeys(symbols)) for exchange, symbols in symbols_per_exchange.items()}


def _wrong(given: object) -> str:
    return f"symbols_per_exchange holds {given!r:.80}; write {{'bingx': ['BTC/USDT:USDT', …], …}}"


def _check_limit(limit: object) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise RequestError(f"limit is {limit!r:.40}; write a whole number of candles")
    check_span(None, None, limit)
