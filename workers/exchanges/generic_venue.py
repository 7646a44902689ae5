"""One of ccxt's venues, opened so that all it asks goes through our HTTP client and its gate; knows no candle."""

import http.client
import io
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import ccxt
import msgspec
import requests
from requests.structures import CaseInsensitiveDict

from bus.errors import MalformedPage
from workers.exchanges.answers import form
from workers.http import HttpClient, Request, Response, origin

#: ccxt counts what a request costs in fractions, our budget in whole numbers: a cost of 1 weighs this much.
COST_1: Final = 100

#: Kinds of markets that hold linear perpetuals, in the words that ccxt's venues use for them.
_LINEAR_KINDS: Final = frozenset({"linear", "swap", "perpetual", "hip3"})
#: Names the coins of its builders' contracts by its list of currencies (ccxt 4.5.90, hyperliquid, fetchMarkets).
_NEEDS_CURRENCIES: Final = frozenset({"hyperliquid"})

Send = Callable[[Request, int], Response]


class Wire:
    """The session that a ccxt venue sends through; it has what ccxt uses of ``requests.Session``.

    Attributes:
        send: Sends a request of that weight.
        answer: The last answer; None until there is one.
    """

    def __init__(self, exchange_name: str, send: Send) -> None:
        self.send = send
        self.answer: Response | None = None
        self.headers: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        self._name = exchange_name
        self._weight = COST_1

    def charge(self, cost: float | None = None) -> None:
        """Note what the next request costs; stands where ccxt would wait for its own throttle."""
        self._weight = weight_of(1 if cost is None else cost)

    def request(
        self, method: str, url: str, *, data: bytes | None, headers: Mapping[str, str], **_limits: Any
    ) -> requests.Response:
        """The answer in the form that ccxt expects; its timeouts, proxies and certificates are ours to choose.

        Raises:
            MalformedPage: The answer is said to be good, yet is none: ccxt would read it as an empty one.
        """
        weight, self._weight, self.answer = self._weight, COST_1, None
        ours = {**headers, "Accept-Encoding": "gzip"}  # what the client is ready to unpack
        self.answer = self.send(Request(method=method, url=url, headers=ours, body=data), weight)
        if self.answer.status < 400 and not _is_json(self.answer.body):
            raise MalformedPage(self._name, f"{self._name} answered {_path(url)} with {form(self.answer)}")
        return _as_requests(self.answer, url)

    def close(self) -> None:
        """Nothing: the connections belong to the HTTP client."""


def through(client: HttpClient, own_url: str) -> Send:
    """Sends through that client, to wherever the venue lives; to the client's address alone where it has another.

    Args:
        own_url: The base URL under which the client has no address of its own.
    """
    elsewhere = "" if client.base_url == own_url else client.base_url

    def send(request: Request, weight: int) -> Response:
        if elsewhere:
            request = msgspec.structs.replace(request, url=elsewhere + request.url.removeprefix(origin(request.url)))
        return client.send(request, weight=weight)

    return send


def open_venue(name: str, wire: Wire) -> Any:
    """The ccxt exchange of that id, which sends through the wire and loads no more than the linear perpetuals."""
    options = {"defaultType": "swap", "defaultSubType": "linear"}
    # Rate limiting stays on for ccxt to tell each request's cost; the wait itself is the gate's.
    venue = getattr(ccxt, name)({"session": wire, "enableRateLimit": True, "options": options})
    venue.throttle = wire.charge
    venue.parse_ohlcvs = partial(_every_row, venue)
    venue.has["fetchCurrencies"] = name in _NEEDS_CURRENCIES and venue.has["fetchCurrencies"]
    _load_linear_only(venue.options)
    return venue


def weight_of(cost: float) -> int:
    """What a request of that cost in ccxt's count draws from the budget."""
    return max(1, math.ceil(round(cost * COST_1, 6)))


def _every_row(venue: Any, rows: Any, market: Any = None, *_bounds: Any) -> list[list[Any]]:
    # ccxt would drop in silence what lies before the span, what is too much and what has no time: it would look empty.
    return [venue.parse_ohlcv(row, market) for row in venue.to_array(rows)]


def _load_linear_only(options: dict[str, Any]) -> None:
    loading = options.get("fetchMarkets")
    kinds = loading.get("types") if isinstance(loading, dict) else None
    wanted: Any = None
    if isinstance(kinds, list):
        wanted = [kind for kind in kinds if kind in _LINEAR_KINDS]
    if isinstance(kinds, dict) and _LINEAR_KINDS & kinds.keys():
        wanted = {kind: value if kind in _LINEAR_KINDS else False for kind, value in kinds.items()}
    if wanted:
        options["fetchMarkets"] |= {"types": wanted}


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return body.lstrip()[:1] in (b"{", b"[")


def _path(url: str) -> str:
    return url.removeprefix(origin(url)).partition("?")[0][:80]


def _as_requests(answer: Response, url: str) -> requests.Response:
    out = requests.Response()
    out.status_code = answer.status
    out.reason = http.client.responses.get(answer.status, "")
    out.headers = CaseInsensitiveDict(answer.headers)
    out.url = url
    out.raw = io.BytesIO(answer.body)
    return out
