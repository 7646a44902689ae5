"""What is known of one of ccxt's venues without asking it: what ccxt states, and what a rehearsed question shows."""

import math
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

import ccxt
import msgspec

from bus.errors import UnknownExchange
from bus.messages import VolumeUnit
from bus.timeframes import TIMEFRAMES, Timeframe
from workers.exchanges.base import Facts, Limit, Weights
from workers.exchanges.generic_errors import UNREADABLE
from workers.exchanges.generic_venue import COST_1, Wire, open_venue, weight_of
from workers.exchanges.rows import MAX_ROWS
from workers.http import Request, Response, origin

#: Rows of a page where ccxt states no number; no venue is known to serve fewer.
_SAFE_ROWS: Final = 100
#: ccxt states how far apart requests are; the limit holds over windows of this length, or of ten requests.
_WINDOW_MS: Final = 1_000
_ASKED_FROM_MS: Final = 1_735_689_600_000


class Checked(msgspec.Struct, frozen=True):
    """What has been checked of a venue.

    Attributes:
        page_rows: Rows of a page where another number than ccxt's serves better.
    """

    volume_unit: VolumeUnit
    page_rows: int | None = None


#: ccxt id → what holds for it and for its regional twins, which ccxt derives from it.
CHECKED: Final = MappingProxyType(
    {
        # ccxt issue 17279: linear volumes come in coins. 499 rows cost 2, 500 cost 5 (ccxt 4.5.90, fapi klines).
        "binance": Checked("base", page_rows=499),
        "bybit": Checked("base"),  # ccxt issue 17279, PR 17297
        "okx": Checked("base"),  # volCcy, which for derivatives counts base coins (ccxt issue 17177)
        "bitget": Checked("base"),  # api-doc/contract/market/Get-Candle-Data, index 5
        "gate": Checked("contracts"),  # v, the size in contracts (gateapi, FuturesCandlestick; ccxt issue 13887)
        "mexc": Checked("contracts"),  # ccxt issue 27857
    }
)


class Rehearsed(msgspec.Struct, frozen=True):
    """What ccxt would have sent for a page of candles.

    Attributes:
        url: Scheme and host.
        sends_until: Whether the end of the span becomes part of the question in the venue's own words.
    """

    url: str
    weight: int
    sends_until: bool


class _Sent(Exception):
    """Ends a rehearsal at the moment the request would leave."""

    def __init__(self, request: Request, weight: int) -> None:
        super().__init__()
        self.request = request
        self.weight = weight


def facts_of(name: str) -> tuple[Facts, Rehearsed]:
    """The facts of one of ccxt's venues; sends nothing.

    Raises:
        UnknownExchange: The venue offers no candles of perpetual swaps to everybody.
    """
    venue = open_venue(name, Wire(name, _stop))
    timeframes = {own: str(venue.timeframes[own]) for own in TIMEFRAMES if own in (venue.timeframes or {})}
    if venue.has.get("swap") is not True or venue.has.get("fetchOHLCV") is not True or not timeframes:
        raise UnknownExchange(f"{name} offers no candles of perpetual swaps (ccxt {ccxt.__version__})")
    known = next((CHECKED[kin] for kin in _kin(venue) if kin in CHECKED), Checked("unknown"))
    page_rows = min(known.page_rows or _stated_rows(venue), MAX_ROWS)
    rehearsed = _rehearse(name, venue, TIMEFRAMES[next(iter(timeframes))], page_rows)
    facts = Facts(
        name=name,
        base_url=rehearsed.url,
        timeframes=timeframes,
        page_rows=page_rows,
        limits=(_limit(venue.rateLimit),),
        weights=Weights(server_time=COST_1, contracts=COST_1, candles=rehearsed.weight, ticker=COST_1),
        volume_unit=known.volume_unit,
        # Whether a venue leaves out candles for want of trades is not known: a hole is never called harmless.
        hole_reason="unavailable",
        clock_step_ms=1 if venue.has.get("fetchTime") is True else 1_000,
    )
    return facts, rehearsed


def _kin(venue: Any) -> list[str]:
    return [kind.__name__ for kind in type(venue).__mro__]


def _stated_rows(venue: Any) -> int:
    feature: Any = venue.features
    for part in ("swap", "linear", "fetchOHLCV", "limit"):
        feature = feature.get(part) if isinstance(feature, dict) else None
    return int(feature) if feature else _SAFE_ROWS


def _limit(rate_limit_ms: float | None) -> Limit:
    distance_ms = rate_limit_ms or 1000.0
    window_ms = max(_WINDOW_MS, math.ceil(10 * distance_ms))
    return Limit(weight=int(window_ms / distance_ms * COST_1), window_ms=window_ms)


def _rehearse(name: str, venue: Any, timeframe: Timeframe, rows: int) -> Rehearsed:
    venue.set_markets([_made_up_market(venue)])
    until_ms = _ASKED_FROM_MS + rows * timeframe.duration_ms - 1
    try:
        venue.fetch_ohlcv("BTC/USDT:USDT", timeframe.name, _ASKED_FROM_MS, rows, {"until": until_ms})
    except _Sent as sent:
        question = f"{sent.request.url} {sent.request.body!r}"
        # A venue of ccxt's that does not know the word passes it on as it stands.
        return Rehearsed(origin(sent.request.url), sent.weight, "until" not in question)
    except ccxt.AuthenticationError as error:
        raise UnknownExchange(
            f"{name} shows candles only to holders of an API key (ccxt {ccxt.__version__})"
        ) from error
    except ccxt.NotSupported as error:
        raise UnknownExchange(f"{name} offers no candles of perpetual swaps (ccxt {ccxt.__version__})") from error
    except (ccxt.BaseError, *UNREADABLE):
        pass  # it wants more of a market than could be made up
    first = venue.implode_hostname(next(_urls(venue.urls["api"])))
    return Rehearsed(origin(first), weight_of(1), sends_until=False)


def _stop(request: Request, weight: int) -> Response:
    raise _Sent(request, weight)


def _urls(tree: Any) -> Iterator[str]:
    for branch in tree.values() if isinstance(tree, dict) else [tree]:
        if isinstance(branch, dict):
            yield from _urls(branch)
        elif isinstance(branch, str):
            yield branch


def _made_up_market(venue: Any) -> Any:
    return venue.safe_market_structure(
        {
            "id": "BTCUSDT",
            "numericId": 1,
            "symbol": "BTC/USDT:USDT",
            **dict.fromkeys(("base", "baseId"), "BTC"),
            **dict.fromkeys(("quote", "quoteId", "settle", "settleId"), "USDT"),
            "type": "swap",
            **dict.fromkeys(("swap", "contract", "linear", "active"), True),
            **dict.fromkeys(("spot", "margin", "future", "option", "inverse"), False),
            "contractSize": 1.0,
            "precision": {"amount": 0.001, "price": 0.1},
            "info": {},
        }
    )
