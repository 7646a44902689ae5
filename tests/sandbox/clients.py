"""Clients of the stand-ins: plain HTTP, and ccxt pointed at them."""

from typing import Any
from urllib.parse import urlsplit

import ccxt
import requests

from candlebus.sandbox import Sandbox

BTC = "BTC/USDT:USDT"
BINGX_CANDLES = "/openApi/swap/v3/quote/klines"
KUCOIN_CANDLES = "/api/v1/kline/query"
MINUTE_MS = 60_000


def get(sandbox: Sandbox, venue: str, path: str, **query: Any) -> requests.Response:
    """The answer to one request on a connection of its own."""
    return requests.get(sandbox.url(venue) + path, params=query, timeout=5)


def bingx_candles(sandbox: Sandbox, *, path: str = BINGX_CANDLES, **query: Any) -> list[dict[str, Any]]:
    """The rows of an answer of BingX, as they came."""
    asked = {"symbol": "BTC-USDT", "interval": "1m"} | query
    answer = get(sandbox, "bingx", path, **asked).json()
    assert answer["code"] == 0, answer
    return answer["data"]


def kucoin_candles(sandbox: Sandbox, **query: Any) -> list[list[float]]:
    """The rows of an answer of KuCoin, as they came."""
    asked = {"symbol": "XBTUSDTM", "granularity": 1} | query
    answer = get(sandbox, "kucoinfutures", KUCOIN_CANDLES, **asked).json()
    assert answer["code"] == "200000", answer
    return answer["data"]


def ccxt_client(sandbox: Sandbox, venue: str) -> Any:
    """ccxt's own client of the venue, asking the stand-in."""
    client = getattr(ccxt, venue)({"enableRateLimit": False, "timeout": 5000})
    client.urls["api"] = {name: sandbox.url(venue) + urlsplit(url).path for name, url in client.urls["api"].items()}
    return client
