"""The dialect of BingX's USDT-margined perpetuals."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from bus.messages import Candle
from bus.timeframes import TIMEFRAMES, Timeframe
from candlebus.sandbox import contracts, slots
from candlebus.sandbox.answers import Answer, Query, Refusal, Thin, instant, json_answer, plain, whole
from candlebus.sandbox.dialect import Question
from candlebus.sandbox.listings import Listing
from candlebus.sandbox.sources import DAY_MS, Source

DEFAULT_ROWS: Final = 500
MAX_ROWS: Final = 1440

TIME: Final = "/openApi/swap/v2/server/time"
CONTRACTS: Final = "/openApi/swap/v2/quote/contracts"
CANDLES: Final = "/openApi/swap/v3/quote/klines"
CANDLES_V2: Final = "/openApi/swap/v2/quote/klines"
TICKER: Final = "/openApi/swap/v2/quote/ticker"
INVERSE: Final = "/openApi/cswap/v1/market/contracts"
SPOT: Final = "/openApi/spot/v1/common/symbols"

#: The venue's spelling → its timeframe. Months, which differ in length, are left out.
INTERVALS: Final = {
    **TIMEFRAMES,
    "3d": Timeframe("3d", 3 * DAY_MS),
    "1w": Timeframe("1w", 7 * DAY_MS),
}
_QUESTIONS: Final[dict[str, Question]] = {
    TIME: "time",
    CONTRACTS: "contracts",
    CANDLES: "candles",
    CANDLES_V2: "candles",
    TICKER: "ticker",
}


class Row(msgspec.Struct, frozen=True):
    """One candle on the wire: decimals as text, its open time as a number."""

    open: str
    close: str
    high: str
    low: str
    volume: str
    time: int


class BingX:
    """The dialect over a source of candles.

    Args:
        listings: What the venue lists, in its order.
    """

    def __init__(self, source: Source, listings: Sequence[Listing]) -> None:
        self._source = source
        self._listings = {listing.native_id: listing for listing in listings}
        self._paths: dict[str, Callable[[Query, int, Thin], Any]] = {
            TIME: lambda _query, now_ms, _thin: {"serverTime": now_ms},
            CONTRACTS: lambda _query, _now_ms, _thin: self._contracts(),
            CANDLES: lambda query, now_ms, thin: self._candles(query, now_ms, thin)[::-1],
            CANDLES_V2: self._candles,
            TICKER: self._ticker,
            INVERSE: lambda _query, _now_ms, _thin: contracts.bingx_inverse_contracts(),
            SPOT: lambda _query, _now_ms, _thin: {"symbols": contracts.bingx_spot_symbols()},
        }

    def question(self, path: str) -> Question:
        return _QUESTIONS.get(path, "other")

    def answer(self, path: str, query: Query, now_ms: int, thin: Thin = whole) -> Answer:
        found = self._paths.get(path)
        if found is None:
            return _error(404, 100404, f"no interface at {path[:80]}")
        try:
            return json_answer({"code": 0, "msg": "", "data": found(query, now_ms, thin)})
        except Refusal as refusal:
            return _error(refusal.status, int(refusal.code), str(refusal))

    def too_many(self, now_ms: int, wait_ms: int, *, banned: bool = False) -> Answer:
        message = f"too many requests: this address will be unblocked after {now_ms + wait_ms}"
        return _error(418 if banned else 429, 100410, message)

    def busy(self) -> Answer:
        return _error(200, 100500, "the system is busy, ask again later")

    def overloaded(self) -> Answer:
        return self.busy()

    def _contracts(self) -> list[dict[str, Any]]:
        return [contracts.bingx_contract(listing, number) for number, listing in enumerate(self._listings.values())]

    def _candles(self, query: Query, now_ms: int, thin: Thin) -> list[Row]:
        listing = self._listing(query.get("symbol", ""))
        timeframe = INTERVALS.get(query.get("interval", ""))
        if timeframe is None:
            raise _invalid(f"interval {query.get('interval', '')[:20]!r} is unknown")
        since_ms, until_ms = instant(query, "startTime", _invalid), instant(query, "endTime", _invalid)
        if since_ms is not None and until_ms is not None and since_ms > until_ms:
            raise _invalid("startTime lies after endTime")
        span = slots.asked(timeframe, since_ms, until_ms, now_ms, _rows(query), slots.newest)
        rows = self._source.candles(listing, timeframe, span.first_ms, span.last_ms, now_ms)
        return [_row(candle) for candle in thin(f"{listing.native_id} {timeframe.name}", rows)]

    def _ticker(self, query: Query, now_ms: int, _thin: Thin) -> Any:
        if query.get("symbol"):
            return self._ticker_of(self._listing(query["symbol"]), now_ms)
        return [self._ticker_of(listing, now_ms) for listing in self._listings.values()]

    def _ticker_of(self, listing: Listing, now_ms: int) -> dict[str, Any]:
        day = self._source.day(listing, now_ms) or [Candle(now_ms, 0.0, 0.0, 0.0, 0.0, 0.0)]
        return _ticker(listing, day, now_ms)

    def _listing(self, symbol: str) -> Listing:
        if not symbol:
            raise _invalid("symbol is missing")
        if "-" not in symbol or symbol != symbol.upper():
            raise _invalid(f"symbol {symbol[:40]!r} is not written BASE-QUOTE")
        found = self._listings.get(symbol)
        if found is None:
            raise Refusal(200, 109425, f"symbol {symbol[:40]} does not exist")
        return found


def _invalid(message: str) -> Refusal:
    return Refusal(200, 109400, f"invalid parameters: {message}")


def _error(status: int, code: int, message: str) -> Answer:
    return json_answer({"code": code, "msg": message, "data": {}}, status)


def _rows(query: Query) -> int:
    text = query.get("limit", "") or str(DEFAULT_ROWS)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_ROWS):
        raise _invalid(f"limit {text[:20]!r} is not a number from 1 to {MAX_ROWS}")
    return int(text)


def _row(candle: Candle) -> Row:
    time, open_, high, low, close, volume = candle
    return Row(plain(open_), plain(close), plain(high), plain(low), plain(volume), time)


def _ticker(listing: Listing, day: Sequence[Candle], now_ms: int) -> dict[str, Any]:
    opened, last = day[0].open, day[-1].close
    volume = sum(candle.volume for candle in day)
    change = round(last - opened, listing.price_decimals)
    return {
        "symbol": listing.native_id,
        "priceChange": plain(change),
        "priceChangePercent": f"{100 * change / opened if opened else 0:.2f}",
        "lastPrice": plain(last),
        "lastQty": "1",
        "highPrice": plain(max(candle.high for candle in day)),
        "lowPrice": plain(min(candle.low for candle in day)),
        "volume": plain(round(volume, listing.volume_decimals)),
        "quoteVolume": f"{volume * last:.2f}",
        "openPrice": plain(opened),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "askPrice": plain(round(last + listing.tick, listing.price_decimals)),
        "askQty": "2",
        "bidPrice": plain(last),
        "bidQty": "2",
    }
