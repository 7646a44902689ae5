"""The dialect of KuCoin Futures."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from bus.messages import Candle
from bus.timeframes import TIMEFRAMES, Timeframe
from candlebus.sandbox import contracts, slots
from candlebus.sandbox.answers import Answer, Query, Refusal, Thin, instant, json_answer, plain, whole
from candlebus.sandbox.dialect import Question
from candlebus.sandbox.listings import Listing
from candlebus.sandbox.sources import DAY_MS, Source

MAX_ROWS: Final = 500

TIME: Final = "/api/v1/timestamp"
CONTRACTS: Final = "/api/v1/contracts/active"
CONTRACT: Final = "/api/v1/contracts/"
CANDLES: Final = "/api/v1/kline/query"
TICKER: Final = "/api/v1/ticker"
TICKERS: Final = "/api/v1/allTickers"
STATUS: Final = "/api/v1/status"
CURRENCIES: Final = "/api/v3/currencies"

_SERVED: Final = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")
#: Minutes, the venue's spelling, → its timeframe.
GRANULARITIES: Final = {
    str(timeframe.duration_ms // 60_000): timeframe
    for timeframe in (*(TIMEFRAMES[name] for name in _SERVED), Timeframe("1w", 7 * DAY_MS))
}
_QUESTIONS: Final[dict[str, Question]] = {
    TIME: "time",
    CONTRACTS: "contracts",
    CANDLES: "candles",
    TICKER: "ticker",
    TICKERS: "ticker",
    STATUS: "status",
}


class KuCoinFutures:
    """The dialect over a source of candles.

    Args:
        listings: What the venue lists, in its order.
    """

    def __init__(self, source: Source, listings: Sequence[Listing]) -> None:
        self._source = source
        self._listings = {listing.native_id: listing for listing in listings}
        self._paths: dict[str, Callable[[Query, int, Thin], Any]] = {
            TIME: lambda _query, now_ms, _thin: now_ms,
            CONTRACTS: lambda _query, now_ms, _thin: [self._contract(each, now_ms) for each in self._listings.values()],
            CANDLES: self._candles,
            TICKER: lambda query, now_ms, _thin: self._ticker(self._listing(query.get("symbol", "")), now_ms),
            TICKERS: lambda _query, now_ms, _thin: [self._ticker(each, now_ms) for each in self._listings.values()],
            STATUS: lambda _query, _now_ms, _thin: {"msg": "", "status": "open"},
            CURRENCIES: lambda _query, _now_ms, _thin: contracts.kucoin_currencies(),
        }

    def question(self, path: str) -> Question:
        return _QUESTIONS.get(path, "contracts" if path.startswith(CONTRACT) else "other")

    def answer(self, path: str, query: Query, now_ms: int, thin: Thin = whole) -> Answer:
        try:
            return json_answer({"code": "200000", "data": self._data(path, query, now_ms, thin)})
        except Refusal as refusal:
            return _error(refusal.status, str(refusal.code), str(refusal))

    def too_many(self, now_ms: int, wait_ms: int, *, banned: bool = False) -> Answer:  # noqa: ARG002 - as others
        refused = _error(418 if banned else 429, "429000", "too many requests: the quota of this window is used up")
        refused.headers.update({"gw-ratelimit-remaining": "0", "gw-ratelimit-reset": str(wait_ms)})
        return refused

    def busy(self) -> Answer:
        return _error(200, "500000", "the server is busy, ask again later")

    def overloaded(self) -> Answer:
        return _error(429, "429000", "too many requests: the server is overloaded")

    def _data(self, path: str, query: Query, now_ms: int, thin: Thin) -> Any:
        found = self._paths.get(path)
        if found is not None:
            return found(query, now_ms, thin)
        if path.startswith(CONTRACT):
            return self._contract(self._listing(path.removeprefix(CONTRACT)), now_ms)
        raise Refusal(404, "404000", f"no interface at {path[:80]}")

    def _candles(self, query: Query, now_ms: int, thin: Thin) -> list[Candle]:
        listing = self._listing(query.get("symbol", ""))
        timeframe = GRANULARITIES.get(query.get("granularity", ""))
        if timeframe is None:
            raise _invalid(f"granularity {query.get('granularity', '')[:20]!r} is unknown")
        since_ms, until_ms = instant(query, "from", _invalid), instant(query, "to", _invalid)
        if since_ms is not None and until_ms is not None and since_ms > until_ms:
            raise _invalid("from lies after to")
        span = slots.asked(timeframe, since_ms, until_ms, now_ms, MAX_ROWS, slots.oldest)
        rows = self._source.candles(listing, timeframe, span.first_ms, span.last_ms, now_ms)
        return thin(f"{listing.native_id} {timeframe.name}", rows)

    def _contract(self, listing: Listing, now_ms: int) -> dict[str, Any]:
        day = self._source.day(listing, now_ms)
        last, opened = (day[-1].close, day[0].open) if day else (0.0, 0.0)
        return contracts.kucoin_contract(listing, last, opened, now_ms)

    def _ticker(self, listing: Listing, now_ms: int) -> dict[str, Any]:
        day = self._source.day(listing, now_ms)
        return _ticker(listing, day[-1].close if day else 0.0, now_ms)

    def _listing(self, symbol: str) -> Listing:
        if not symbol:
            raise _invalid("symbol is missing")
        found = self._listings.get(symbol)
        if found is None:
            # Which code an unknown symbol gets is documented for other endpoints only.
            raise Refusal(200, "100003", f"contract {symbol[:40]} does not exist")
        return found


def _invalid(message: str) -> Refusal:
    return Refusal(400, "400100", f"parameter error: {message}")


def _error(status: int, code: str, message: str) -> Answer:
    return json_answer({"code": code, "msg": message}, status)


def _ticker(listing: Listing, last: float, now_ms: int) -> dict[str, Any]:
    return {
        "sequence": now_ms,
        "symbol": listing.native_id,
        "side": "buy",
        "size": 8,
        "tradeId": str(now_ms),
        "price": plain(last),
        "bestBidPrice": plain(last),
        "bestBidSize": 2146,
        "bestAskPrice": plain(round(last + listing.tick, listing.price_decimals)),
        "bestAskSize": 4,
        "ts": now_ms * 1_000_000,  # nanoseconds (recorded ticker of 2024-03)
    }
