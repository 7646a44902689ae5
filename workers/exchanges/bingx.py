"""BingX USDT-M perpetual futures: its facts, its requests, its answers."""

import logging
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from bus.errors import ClockRejected, ExchangeUnavailable, MalformedPage, RateLimited, UnknownSymbol
from bus.messages import Candle, Contract, Terms
from bus.timeframes import TIMEFRAMES, Timeframe
from workers.exchanges.answers import Dialect, NoData, Refusal, decode, payload
from workers.exchanges.base import Facts, Limit, Page, Ticker, Weights
from workers.exchanges.pauses import bounded_ms, http_date_ms
from workers.exchanges.rows import as_candles, is_plausible, native_rows, page
from workers.exchanges.symbols import is_native_id, perpetual
from workers.exchanges.terms import number, step_of_decimals
from workers.http import HttpClient, Params, Response

_log = logging.getLogger(__name__)

_FACTS: Final = Facts(
    name="bingx",
    base_url="https://open-api.bingx.com",  # api-ai-skills 2026-04-21, base-urls
    timeframes={name: name for name in TIMEFRAMES},  # 8h is documented though ccxt 4.5.90 lacks it (docs 2023-08-06)
    page_rows=1440,  # docs-v3 2025-10-29, klines: default 500, max 1440
    # Market group 1, per address, all quote interfaces of spot and futures together (docs-v3 2025-10-29, rate limits;
    # support article 31103871611289). The "1/s" of api-ai-skills is the number of that group misread.
    limits=(Limit(500, 10_000), Limit(1000, 60_000)),
    weights=Weights(),
    volume_unit="base",  # docs-v3 2025-10-29, klines; recorded volumes agree
    hole_reason="unavailable",  # none of 46,080 recorded minutes of a thinly traded coin was absent
    # docs-v3 2025-10-29, rate limits; described for accounts, so public answers may lack them. Whether the second one
    # is an instant or a length is not said: both are read.
    allowance_headers=("x-ratelimit-requests-remain", "x-ratelimit-requests-expire"),
)

# ccxt 4.5.90, commonCurrencies of bingx: coins that share a name with an older one.
_ALIASES: Final = MappingProxyType(
    {
        "XBT": "BTC",
        "BCHSV": "BSV",
        "SNOW": "Snowman",
        "OMNI": "OmniCat",
        "NAP": "$NAP",
        "TRUMP": "TRUMPMAGA",
        "TRUMPSOL": "TRUMP",
    }
)

_UNBLOCKED = re.compile(r"unblocked after (\d{13})\b", re.ASCII)


def _stated_pause_ms(response: Response, message: str) -> int | None:
    found, now_ms = _UNBLOCKED.search(message), http_date_ms(response.headers.get("date"))
    return None if found is None or now_ms is None else bounded_ms(int(found[1]) - now_ms)


# Renumbered on 2025-10-09; both numberings are still answered (docs-v3 2025-10-29, change list; api-ai-skills
# 2026-04-21, error-codes; ccxt 4.5.90). 109400, 80014 and 100400 are wrong parameters: a fault of ours, not listed.
_DIALECT: Final = Dialect(
    exchange=_FACTS.name,
    success="0",
    refusals=MappingProxyType(
        {
            "109425": Refusal(UnknownSymbol),
            "109418": Refusal(UnknownSymbol),  # offline
            "109417": Refusal(UnknownSymbol),  # before its launch
            "100490": Refusal(UnknownSymbol),
            "100204": Refusal(NoData),
            "100410": Refusal(RateLimited),
            "109429": Refusal(RateLimited),  # too many invalid requests
            "429": Refusal(RateLimited),
            "1015": Refusal(RateLimited, 30_000),
            "100421": Refusal(ClockRejected),
            "100500": Refusal(ExchangeUnavailable),
            "109500": Refusal(ExchangeUnavailable),
        }
    ),
    pause_ms=300_000,  # the block lifts by itself after five minutes (docs-v3 2025-10-29, rate limits)
    stated_pause_ms=_stated_pause_ms,
)


class _ServerTime(msgspec.Struct):
    serverTime: int  # noqa: N815 - the exchange's spelling


class _Listing(msgspec.Struct):
    symbol: str = ""
    asset: str = ""
    currency: str = ""
    status: int = 0
    launchTime: int = 0  # noqa: N815 - the exchange's spelling
    quantityPrecision: object = None  # noqa: N815
    pricePrecision: object = None  # noqa: N815
    tradeMinQuantity: object = None  # noqa: N815
    tradeMinUSDT: object = None  # noqa: N815
    makerFeeRate: object = None  # noqa: N815
    takerFeeRate: object = None  # noqa: N815


class _ObjectRow(msgspec.Struct, gc=False):
    """In the order of a candle's fields."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _ArrayRow(_ObjectRow, array_like=True, gc=False):
    """The first six of eleven elements (api-ai-skills 2026-04-21, swap-market)."""


class _Quote(msgspec.Struct):
    symbol: str
    lastPrice: float  # noqa: N815 - the exchange's spelling
    bidPrice: float | None = None  # noqa: N815
    askPrice: float | None = None  # noqa: N815
    closeTime: int | None = None  # noqa: N815


# Decimals come as strings, mostly: read leniently.
_TIME = msgspec.json.Decoder(_ServerTime | int, strict=False)
_LISTINGS = msgspec.json.Decoder(list[_Listing], strict=False)
_OBJECT_ROWS: msgspec.json.Decoder[Sequence[_ObjectRow]] = msgspec.json.Decoder(list[_ObjectRow], strict=False)
_ARRAY_ROWS: msgspec.json.Decoder[Sequence[_ObjectRow]] = msgspec.json.Decoder(list[_ArrayRow], strict=False)
_QUOTES = msgspec.json.Decoder(_Quote | list[_Quote], strict=False)


class BingX:
    """The adapter; keeps nothing between questions."""

    facts = _FACTS
    #: Our name of every candle length that it serves, those without a common grid included, → its spelling.
    native_intervals: Final = MappingProxyType(_FACTS.timeframes | {"3d": "3d", "1w": "1w", "1M": "1M"})

    def server_time(self, http: HttpClient) -> int:
        data = self._ask(http, "/openApi/swap/v2/server/time", {}, self.facts.weights.server_time, "its time")
        answer = decode(self.facts.name, _TIME, data, "its time")
        # An object in today's documents, a plain number in older ones.
        now_ms = answer.serverTime if isinstance(answer, _ServerTime) else answer
        if not is_plausible(now_ms):
            raise MalformedPage(self.facts.name, f"{self.facts.name} gives its time as {now_ms}, which is no ms")
        return now_ms

    def contracts(self, http: HttpClient) -> dict[str, Contract]:
        data = self._ask(http, "/openApi/swap/v2/quote/contracts", {}, self.facts.weights.contracts, "contracts")
        listings = decode(self.facts.name, _LISTINGS, data, "contracts")
        found: dict[str, Contract] = {}
        for contract in map(_contract, listings):
            if contract is not None:
                found.setdefault(contract.symbol, contract)
        if not found:
            raise MalformedPage(self.facts.name, f"{self.facts.name} lists {len(listings)} contracts, none readable")
        if len(found) < len(listings):
            _log.info("contracts skipped", extra={"exchange": self.facts.name, "count": len(listings) - len(found)})
        return found

    def candles(self, http: HttpClient, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Page:
        params: Params = {
            "symbol": contract.native_id,
            "interval": self.facts.spelling(timeframe),
            # Inclusive here but exclusive on the spot endpoint (github.com/ccxt/ccxt/pull/24583): right under both.
            "startTime": since_ms - 1,
            "endTime": until_ms - 1,
            # Of a longer window the newest rows come and the oldest are missing without a word.
            "limit": min(max(timeframe.slots(since_ms, until_ms), 1), self.facts.page_rows),
        }
        candles, raw = self._rows(http, params, f"{timeframe.name} candles of {contract.symbol}")
        return page(self.facts.name, candles, timeframe, since_ms, until_ms, raw)

    def native_candles(
        self,
        http: HttpClient,
        contract: Contract,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int | None,
    ) -> list[Candle]:
        """One request with the exchange's own parameters, absent where None; of a longer span its newest rows come."""
        bounds = {"startTime": start_ms, "endTime": end_ms, "limit": limit}
        params: dict[str, str | int] = {"symbol": contract.native_id, "interval": interval}
        params |= {name: bound for name, bound in bounds.items() if bound is not None}
        candles, _ = self._rows(http, params, f"{interval} candles of {contract.symbol}")
        return native_rows(self.facts.name, candles)

    def ticker(self, http: HttpClient, contract: Contract) -> Ticker:
        asked, params = f"ticker of {contract.symbol}", {"symbol": contract.native_id}
        data = self._ask(http, "/openApi/swap/v2/quote/ticker", params, self.facts.weights.ticker, asked)
        quotes = decode(self.facts.name, _QUOTES, data, asked)
        for quote in quotes if isinstance(quotes, list) else [quotes]:
            if quote.symbol == contract.native_id:
                return Ticker(
                    symbol=contract.symbol,
                    last=quote.lastPrice,
                    bid=quote.bidPrice or None,
                    ask=quote.askPrice or None,
                    time_ms=quote.closeTime or None,
                )
        raise MalformedPage(self.facts.name, f"{self.facts.name} answered {asked} with another contract's")

    def _rows(self, http: HttpClient, params: Params, asked: str) -> tuple[list[Candle], bytes]:
        try:
            data = self._ask(http, "/openApi/swap/v3/quote/klines", params, self.facts.weights.candles, asked)
        except NoData:  # an error on some endpoints (github.com/iterativv/NostalgiaForInfinity/issues/333)
            return [], b""
        raw = bytes(data)
        return _candles(data, raw, asked), raw

    def _ask(self, http: HttpClient, path: str, params: Params, weight: int, asked: str) -> msgspec.Raw:
        return payload(_DIALECT, http.get(path, params, weight=weight), asked)


def _contract(listing: _Listing) -> Contract | None:
    symbol = perpetual(_FACTS.name, listing.asset, listing.currency, listing.currency, _ALIASES)
    if symbol is None or not is_native_id(listing.symbol):
        return None
    return Contract(
        symbol=symbol,
        native_id=listing.symbol,
        listed_ms=listing.launchTime if is_plausible(listing.launchTime) else None,  # 0 where it is not known
        is_open=listing.status == 1,  # 25: opening forbidden, 5: before its launch, 0: offline (docs-v3 2025-10-29)
        terms=Terms(
            amount_step=step_of_decimals(listing.quantityPrecision),
            amount_min=number(listing.tradeMinQuantity),
            price_step=step_of_decimals(listing.pricePrecision),
            cost_min=number(listing.tradeMinUSDT),
            maker=number(listing.makerFeeRate),
            taker=number(listing.takerFeeRate),
        ),
    )


def _candles(data: msgspec.Raw, raw: bytes, asked: str) -> list[Candle]:
    # Objects are documented and recorded; api-ai-skills and ccxt know arrays too. Never both in one answer.
    decoder = _ARRAY_ROWS if re.match(rb"\s*\[\s*\[", raw) else _OBJECT_ROWS
    rows = decode(_FACTS.name, decoder, data, asked)
    return as_candles(rows)
