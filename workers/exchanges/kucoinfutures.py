"""KuCoin Futures: its facts, its requests, its answers."""

import logging
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from bus.errors import ClockRejected, ExchangeUnavailable, MalformedPage, RateLimited, UnknownSymbol
from bus.messages import Candle, Contract, Terms
from bus.timeframes import Timeframe
from workers.exchanges.allowance import allowance
from workers.exchanges.answers import Dialect, Refusal, decode, payload
from workers.exchanges.base import Facts, Limit, Page, Ticker, Weights
from workers.exchanges.pauses import bounded_ms
from workers.exchanges.rows import as_candles, is_plausible, native_rows, page
from workers.exchanges.symbols import is_native_id, perpetual
from workers.exchanges.terms import number
from workers.http import HttpClient, Params, Response

_log = logging.getLogger(__name__)

_FACTS: Final = Facts(
    name="kucoinfutures",
    base_url="https://api-futures.kucoin.com",  # futures-api-docs 2023-06-09
    # In minutes; 3 and 360 exist only on the WebSocket (ccxt 4.5.90; hummingbot's kucoin_perpetual candle feed).
    timeframes={
        "1m": "1",
        "5m": "5",
        "15m": "15",
        "30m": "30",
        "1h": "60",
        "2h": "120",
        "4h": "240",
        "8h": "480",
        "12h": "720",
        "1d": "1440",
    },
    page_rows=500,  # kucoin-universal-sdk 2025-11-04, GetKlines; older clients page by 200
    limits=(Limit(2000, 30_000),),  # pool "Public", per address, every VIP level (docs-new/rate-limit)
    weights=Weights(server_time=2, contracts=3, candles=3, ticker=2),  # kucoin-universal-sdk 2025-11-04
    volume_unit="base",  # lots on the wire, converted here
    hole_reason="no_trades",  # no trades, no candle (kucoin-universal-sdk 2025-11-04; JKorf/Kucoin.Net issues 152, 177)
    # On every answer; the reset is in ms (kucoin-universal-sdk 2025-11-04, example headers).
    allowance_headers=("gw-ratelimit-remaining", "gw-ratelimit-reset"),
)

#: Products below it are exact, and still when rounded to their decimals.
_EXACT: Final = 2.0**50
#: Powers of ten up to this one are exact.
_MOST_DECIMALS: Final = 22

# ccxt 4.5.90, commonCurrencies of kucoin: coins that share a name with another one.
_ALIASES: Final = MappingProxyType(
    {
        "XBT": "BTC",
        "BCHSV": "BSV",
        "BIFI": "BIFIF",
        "VAI": "VAIOT",
        "WAX": "WAXP",
        "ALT": "APTOSLAUNCHTOKEN",
        "KALT": "ALT",
        "FUD": "FTX Users' Debt",
    }
)


def _stated_pause_ms(response: Response, _message: str) -> int | None:
    # ms to the next refill of the pool (kucoin-universal-sdk 2025-11-04, example headers; docs-new/rate-limit).
    reset = response.headers.get("gw-ratelimit-reset", "")
    return bounded_ms(int(reset)) if reset.isascii() and reset.isdigit() and len(reset) <= 12 else None


#: With so much left of the pool, a refusal is not for ours.
_OVERLOAD_LEFT: Final = 50


def _is_overload(response: Response) -> bool:
    # 429000 below one's own quota means that the exchange is overloaded (docs-new/rate-limit). It is then asked again
    # as one in trouble is; a pause until the pool refills would help nobody.
    left = allowance(response.headers, _FACTS.allowance_headers or ("", ""))
    return left is not None and left.remaining >= _OVERLOAD_LEFT and "retry-after" not in response.headers


# futures-api-docs 2023-06-09, errors; docs/basic-info/errors-code/futures-errors-code. 400100, 100001 and 300000 are
# wrong parameters, 404000 a wrong address: faults of ours, not listed.
_DIALECT: Final = Dialect(
    exchange=_FACTS.name,
    success="200000",
    refusals=MappingProxyType(
        {
            "100003": Refusal(UnknownSymbol),
            "200003": Refusal(UnknownSymbol),
            "400002": Refusal(ClockRejected),
            "429000": Refusal(RateLimited),
            "200002": Refusal(RateLimited, 10_000),  # limit of one endpoint, blocked for 10 s
            "1015": Refusal(RateLimited, 30_000),  # Cloudflare, blocked for 30 s
            "500000": Refusal(ExchangeUnavailable),
        }
    ),
    pause_ms=30_000,  # the pool refills as a block after 30 s
    stated_pause_ms=_stated_pause_ms,
    is_overload=_is_overload,
)


class _Listing(msgspec.Struct, rename="camel"):
    symbol: str = ""
    base_currency: str | None = None
    quote_currency: str | None = None
    settle_currency: str | None = None
    multiplier: float | None = None
    is_inverse: bool | None = None
    expire_date: int | None = None
    next_funding_rate_time: int | None = None
    first_open_date: int | None = None
    status: str | None = None
    lot_size: object = None
    max_order_qty: object = None
    tick_size: object = None
    maker_fee_rate: object = None
    taker_fee_rate: object = None
    max_leverage: object = None


class _Row(msgspec.Struct, array_like=True, gc=False):
    """The first six elements; some clients know a seventh (JKorf/Kucoin.Net 04e948d)."""

    time: int
    open: float
    high: float
    low: float
    close: float
    lots: float


class _Quote(msgspec.Struct, rename="camel"):
    symbol: str
    price: float
    best_bid_price: float | None = None
    best_ask_price: float | None = None
    ts: int | None = None


_TIME = msgspec.json.Decoder(int, strict=False)
_LISTINGS = msgspec.json.Decoder(list[_Listing], strict=False)
_ROWS = msgspec.json.Decoder(list[_Row], strict=False)
_QUOTE = msgspec.json.Decoder(_Quote, strict=False)


class KucoinFutures:
    """The adapter; keeps nothing between questions."""

    facts = _FACTS
    #: Our name of every candle length that it serves, weeks included, → its spelling.
    native_intervals: Final = MappingProxyType(_FACTS.timeframes | {"1w": "10080"})

    def server_time(self, http: HttpClient) -> int:
        data = self._ask(http, "/api/v1/timestamp", {}, self.facts.weights.server_time, "its time")
        now_ms = decode(self.facts.name, _TIME, data, "its time")
        if not is_plausible(now_ms):
            raise MalformedPage(self.facts.name, f"{self.facts.name} gives its time as {now_ms}, which is no ms")
        return now_ms

    def contracts(self, http: HttpClient) -> dict[str, Contract]:
        data = self._ask(http, "/api/v1/contracts/active", {}, self.facts.weights.contracts, "contracts")
        listings = [x for x in decode(self.facts.name, _LISTINGS, data, "contracts") if _is_linear_perpetual(x)]
        found: dict[str, Contract] = {}
        for contract in map(_contract, listings):
            if contract is not None:
                found.setdefault(contract.symbol, contract)
        if not found:
            raise MalformedPage(self.facts.name, f"{self.facts.name} lists {len(listings)} perpetuals, none readable")
        if len(found) < len(listings):
            _log.info("contracts skipped", extra={"exchange": self.facts.name, "count": len(listings) - len(found)})
        return found

    def candles(self, http: HttpClient, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Page:
        params: Params = {
            "symbol": contract.native_id,
            "granularity": self.facts.spelling(timeframe),
            # Both inclusive, compared with the open time (github.com/Kucoin/kucoin-api-docs/issues/360).
            "from": since_ms,
            "to": until_ms - 1,
        }
        asked = f"{timeframe.name} candles of {contract.symbol}"
        data = self._ask(http, "/api/v1/kline/query", params, self.facts.weights.candles, asked)
        candles = _candles(decode(self.facts.name, _ROWS, data, asked), contract)
        return page(self.facts.name, candles, timeframe, since_ms, until_ms, bytes(data))

    def native_candles(
        self,
        http: HttpClient,
        contract: Contract,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int | None,
    ) -> list[Candle]:
        """One request with the exchange's own bounds, both inclusive, absent where None; at most ``limit`` rows.

        The exchange knows no limit: here it counts back from the end, or on from the start where there is no end.
        """
        start_ms, end_ms = _bounds(int(interval) * 60_000, start_ms, end_ms, limit)
        params: dict[str, str | int] = {"symbol": contract.native_id, "granularity": interval}
        params |= {name: bound for name, bound in {"from": start_ms, "to": end_ms}.items() if bound is not None}
        asked = f"candles of {interval} min of {contract.symbol}"
        data = self._ask(http, "/api/v1/kline/query", params, self.facts.weights.candles, asked)
        candles = native_rows(self.facts.name, _candles(decode(self.facts.name, _ROWS, data, asked), contract))
        return candles if limit is None else candles[-limit:]

    def ticker(self, http: HttpClient, contract: Contract) -> Ticker:
        asked, params = f"ticker of {contract.symbol}", {"symbol": contract.native_id}
        data = self._ask(http, "/api/v1/ticker", params, self.facts.weights.ticker, asked)
        quote = decode(self.facts.name, _QUOTE, data, asked)
        if quote.symbol != contract.native_id:
            raise MalformedPage(self.facts.name, f"{self.facts.name} answered {asked} with another contract's")
        return Ticker(
            symbol=contract.symbol,
            last=quote.price,
            bid=quote.best_bid_price or None,
            ask=quote.best_ask_price or None,
            time_ms=quote.ts // 1_000_000 if quote.ts else None,  # ns (ccxt 0cad838, recorded answer)
        )

    def _ask(self, http: HttpClient, path: str, params: Params, weight: int, asked: str) -> msgspec.Raw:
        return payload(_DIALECT, http.get(path, params, weight=weight), asked)


def _is_linear_perpetual(listing: _Listing) -> bool:
    # An announced delisting gives a perpetual an expiry date (github.com/ccxt/ccxt/issues/26849); only dated
    # contracts are without a funding time.
    is_dated = listing.expire_date is not None and listing.next_funding_rate_time is None
    return listing.is_inverse is False and not is_dated


def _contract(listing: _Listing) -> Contract | None:
    names = (listing.base_currency or "", listing.quote_currency or "", listing.settle_currency or "")
    symbol, multiplier = perpetual(_FACTS.name, *names, _ALIASES), abs(listing.multiplier or 0.0)
    if symbol is None or not is_native_id(listing.symbol) or not multiplier:
        return None
    listed_ms = listing.first_open_date
    return Contract(
        symbol=symbol,
        native_id=listing.symbol,
        multiplier=multiplier,
        multiplier_decimals=_decimals(multiplier),
        listed_ms=listed_ms if listed_ms is not None and is_plausible(listed_ms) else None,
        is_open=listing.status == "Open",
        terms=Terms(
            amount_step=number(listing.lot_size),
            amount_min=number(listing.lot_size),
            amount_max=number(listing.max_order_qty),
            price_step=number(listing.tick_size),
            maker=number(listing.maker_fee_rate),
            taker=number(listing.taker_fee_rate),
            leverage_max=number(listing.max_leverage),
        ),
    )


def _bounds(step_ms: int, start_ms: int | None, end_ms: int | None, limit: int | None) -> tuple[int | None, int | None]:
    if limit is None:
        return start_ms, end_ms
    if end_ms is not None:
        earliest_ms = end_ms - limit * step_ms + 1
        return max(start_ms if start_ms is not None else earliest_ms, earliest_ms, 0), end_ms
    return start_ms, None if start_ms is None else start_ms + limit * step_ms - 1


def _decimals(multiplier: float) -> int:
    exponent = Decimal(repr(multiplier)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _candles(rows: list[_Row], contract: Contract) -> list[Candle]:
    """The rows with volumes in base coins: lots times coins per lot, freed of the noise of that product in binary."""
    volumes = _base_coins([row.lots for row in rows], contract.multiplier, contract.multiplier_decimals)
    for row, volume in zip(rows, volumes, strict=True):
        row.lots = volume
    return as_candles(rows)


def _base_coins(lots: list[float], coins: float, decimals: int) -> list[float]:
    if decimals <= _MOST_DECIMALS and coins < _EXACT and all(map(float.is_integer, lots)):
        scale = 10.0**decimals
        units = round(coins * scale)
        # Whole lots times whole units is exact, and one division rounds as the decimal would, five times as fast.
        if max(map(abs, lots), default=0.0) * units < _EXACT:
            return [x * units / scale for x in lots]
    return [round(x * coins, decimals) for x in lots]
