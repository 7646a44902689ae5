"""Candles in an exchange's own words: its parameters, its intervals, one request a call."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from bus.errors import RequestError, UnsupportedTimeframe
from bus.messages import Candle, Contract
from bus.timeframes import TIMEFRAMES
from workers.exchanges.base import Exchange, Facts
from workers.http import HttpClient


@runtime_checkable
class NativeExchange(Protocol):
    """An adapter that also takes the exchange's own parameters."""

    facts: Facts
    native_intervals: Mapping[str, str]

    def native_candles(
        self,
        http: HttpClient,
        contract: Contract,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int | None,
    ) -> list[Candle]:
        """The rows of one request, oldest first; the last may be open."""
        ...


def intervals(exchange: Exchange) -> Mapping[str, str]:
    """Our name of every candle length that the exchange serves → its spelling."""
    if isinstance(exchange, NativeExchange):
        return exchange.native_intervals
    # Lengths without a common grid can only be asked for in the exchange's own words.
    return {name: spelled for name, spelled in exchange.facts.timeframes.items() if name in TIMEFRAMES}


def spelling_of(exchange: Exchange, name: object) -> str:
    """The exchange's spelling of a timeframe.

    Raises:
        UnsupportedTimeframe: It has none such; the message names those it has.
    """
    known = intervals(exchange)
    if isinstance(name, str) and name in known:
        return known[name]
    raise UnsupportedTimeframe(f"{exchange.facts.name} has no {str(name)[:40]} candles; it has: {' '.join(known)}")


def name_of(exchange: Exchange, interval: object) -> str:
    """The timeframe that is meant, by our name or by the exchange's spelling: of KuCoin, by minutes.

    Raises:
        UnsupportedTimeframe: It has none such; the message names those it has.
    """
    spelled = str(interval) if isinstance(interval, int) and not isinstance(interval, bool) else interval
    names = {spelling: name for name, spelling in intervals(exchange).items()}
    name = names.get(spelled, spelled) if isinstance(spelled, str) else ""
    spelling_of(exchange, name or interval)
    return name


def native(exchange: Exchange) -> NativeExchange:
    """The adapter, where it takes the exchange's own parameters.

    Raises:
        RequestError: It does not.
    """
    if isinstance(exchange, NativeExchange):
        return exchange
    name = exchange.facts.name
    raise RequestError(f"{name} has no native-format call here; use ohlcv or fetch_ohlcv_bulk")


def check_span(exchange: Exchange, step_ms: int, start_ms: int | None, end_ms: int | None, limit: int | None) -> None:
    """Refuse what the exchange would answer with less than was asked for, without a word.

    Args:
        step_ms: Length of a candle; of months the shortest.

    Raises:
        RequestError: The limit is beyond a page, or the span is wider than one and no limit says how much to keep.
    """
    name, most = exchange.facts.name, exchange.facts.page_rows
    if limit is not None and limit > most:
        raise RequestError(f"{name} gives at most {most} candles a request, not {limit}; use fetch_ohlcv_bulk")
    if start_ms is None or end_ms is None:
        return
    if start_ms > end_ms:
        raise RequestError(f"start {start_ms} lies after end {end_ms}")
    slots = (end_ms - start_ms) // step_ms + 1
    if limit is None and slots > most:
        raise RequestError(f"{slots} candles are more than the {most} of one request; use fetch_ohlcv_bulk")
