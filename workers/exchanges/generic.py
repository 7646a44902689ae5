"""Any of ccxt's venues as an exchange: its questions asked by ccxt, one page at a time, its answers checked by us."""

import logging
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

import ccxt
import msgspec

from bus.errors import ExchangeError, MalformedPage, SeriesError
from bus.messages import Candle, Contract
from bus.series import Series
from bus.timeframes import Timeframe
from workers.exchanges.base import Page, Ticker
from workers.exchanges.generic_errors import UNREADABLE, ours
from workers.exchanges.generic_facts import facts_of
from workers.exchanges.generic_venue import Wire, open_venue, through
from workers.exchanges.pauses import http_date_ms
from workers.exchanges.rows import is_plausible, page
from workers.http import HttpClient, Response

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Row = list[Any]

#: Candles this close to the venue's newest one are its newest, whatever was asked for.
_NEWEST: Final = 2


def names() -> list[str]:
    """ccxt's ids, those of venues without perpetual swaps included."""
    return list(ccxt.exchanges)


@cache
def venues() -> list[str]:
    """The ids of ccxt's venues that have candles of perpetual swaps, by what ccxt states of them."""
    has = {name: getattr(ccxt, name)().has for name in ccxt.exchanges}
    return [name for name, can in has.items() if can.get("swap") is True and can.get("fetchOHLCV") is True]


class GenericExchange:
    """The adapter of one of ccxt's venues; keeps the venue's markets in memory."""

    def __init__(self, name: str) -> None:
        """Prepare to ask; sends nothing yet.

        Args:
            name: One of ccxt's ids.

        Raises:
            UnknownExchange: The venue offers no candles of perpetual swaps to everybody.
        """
        self.facts, self._rehearsed = facts_of(name)
        self._wire = Wire(name, _nowhere)
        self._venue = open_venue(name, self._wire)
        self._asking = threading.Lock()

    def server_time(self, http: HttpClient) -> int:
        tells = self.facts.clock_step_ms == 1
        now_ms, _ = self._ask(http, "its time", self._venue.fetch_time if tells else self._date_ms)
        if not isinstance(now_ms, int) or not is_plausible(now_ms):
            raise MalformedPage(self.facts.name, f"{self.facts.name} gives its time as {now_ms}, which is no ms")
        return now_ms

    def contracts(self, http: HttpClient) -> dict[str, Contract]:
        markets, _ = self._ask(http, "contracts", lambda: self._venue.load_markets(True))
        if not markets:
            raise MalformedPage(self.facts.name, f"{self.facts.name} lists no contracts")
        linear = [market for market in markets.values() if _is_linear_perpetual(market)]
        found = {market["symbol"]: self._contract(market) for market in linear if self._has_a_name(market)}
        if not found:
            # Another answer would not come from asking again.
            raise ExchangeError(
                self.facts.name, f"{self.facts.name} lists {len(markets)} markets and no linear perpetual among them"
            )
        if len(found) < len(linear):
            _log.info("contracts skipped", extra={"exchange": self.facts.name, "count": len(linear) - len(found)})
        return found

    def candles(self, http: HttpClient, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Page:
        self.facts.spelling(timeframe)
        name, asked = self.facts.name, f"{timeframe.name} candles of {contract.symbol}"
        rows = min(max(timeframe.slots(since_ms, until_ms), 1), self.facts.page_rows)
        served, raw = self._ask(http, asked, lambda: self._rows(contract.symbol, timeframe, since_ms, until_ms, rows))
        candles = [_candle(name, row) for row in served]
        if not self._rehearsed.sends_until and _lies_past(candles, until_ms, self._venue.milliseconds(), timeframe):
            candles = []
        return page(name, candles, timeframe, since_ms, until_ms, raw)

    def ticker(self, http: HttpClient, contract: Contract) -> Ticker:
        asked = f"ticker of {contract.symbol}"
        quote, _ = self._ask(http, asked, lambda: self._quote(contract.symbol))
        if not isinstance(quote.get("last"), int | float):
            raise MalformedPage(self.facts.name, f"{self.facts.name} answered {asked} without a last price")
        return Ticker(
            symbol=contract.symbol,
            last=float(quote["last"]),
            bid=quote.get("bid") or None,
            ask=quote.get("ask") or None,
            time_ms=quote.get("timestamp"),
        )

    def _ask(self, http: HttpClient, asked: str, question: Callable[[], _T]) -> tuple[_T, bytes]:
        """What ccxt makes of the answer, and the answer's last body; one question at a time, whoever asks."""
        with self._asking:
            self._wire.send, self._wire.answer = through(http, self.facts.base_url), None
            try:
                found = question()
            except (ccxt.BaseError, *UNREADABLE) as error:
                raise ours(self.facts.name, error, self._wire.answer, asked) from error
            return found, b"" if self._wire.answer is None else self._wire.answer.body

    def _rows(self, symbol: str, timeframe: Timeframe, since_ms: int, until_ms: int, rows: int) -> list[_Row]:
        self._know(symbol)
        params = {"until": until_ms - 1} if self._rehearsed.sends_until else {}
        served: list[_Row] = self._venue.fetch_ohlcv(symbol, timeframe.name, since_ms, rows, params)
        return served

    def _quote(self, symbol: str) -> dict[str, Any]:
        self._know(symbol)
        quote: dict[str, Any] = self._venue.fetch_ticker(symbol)
        return quote

    def _know(self, symbol: str) -> None:
        # The contract map comes from whichever worker loaded it; ccxt wants the markets in this process too.
        if symbol not in (self._venue.markets or {}):
            self._venue.load_markets(True)

    def _date_ms(self) -> int | None:
        """The time at which the venue dated an answer, cut to the second: never ahead of its clock."""
        if self._venue.markets:
            symbol = next(iter(self._venue.markets))
            self._venue.fetch_ohlcv(symbol, next(iter(self.facts.timeframes)), None, 1)
        else:
            self._venue.load_markets()
        return None if self._wire.answer is None else http_date_ms(self._wire.answer.headers.get("date"))

    def _has_a_name(self, market: dict[str, Any]) -> bool:
        try:
            Series.parse(f"{self.facts.name}:{market['symbol']}")
        except SeriesError:
            return False
        return bool(market["id"])

    def _contract(self, market: dict[str, Any]) -> Contract:
        listed_ms = market.get("created")
        return Contract(
            symbol=market["symbol"],
            native_id=str(market["id"]),
            multiplier=float(market.get("contractSize") or 1) if self.facts.volume_unit == "contracts" else 1.0,
            listed_ms=listed_ms if isinstance(listed_ms, int) and is_plausible(listed_ms) else None,
            is_open=market.get("active") is not False,
        )


def _nowhere(*_: Any) -> Response:
    raise RuntimeError("a venue was asked before it had an HTTP client")


def _is_linear_perpetual(market: dict[str, Any]) -> bool:
    return market.get("swap") is True and market.get("linear") is True and market.get("expiry") is None


def _candle(name: str, row: _Row) -> Candle:
    try:
        open_time, *numbers = row[:6]
        return Candle(int(open_time), *map(float, numbers))
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedPage(name, f"{name} sent a candle that cannot be: {msgspec.json.encode(row)!r}"[:200]) from error


def _lies_past(candles: list[Candle], until_ms: int, now_ms: int, timeframe: Timeframe) -> bool:
    """Whether the venue went on to what it has after the span, for it was given no end and has nothing within.

    Its newest candles do not count: it may be one that ignores the beginning too, and nothing is known of the span.
    """
    if not candles or min(candles).open_time < until_ms:
        return False
    return max(candles).open_time < now_ms - _NEWEST * timeframe.duration_ms
