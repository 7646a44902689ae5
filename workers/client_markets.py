"""Contracts and tickers in the form of ccxt's unified structures: the keys that users of ccxt read."""

from datetime import UTC, datetime
from typing import Any

from bus.messages import Contract, Terms
from workers.exchanges.base import Ticker


def market(contract: Contract) -> dict[str, Any]:
    """A linear perpetual as ccxt tells it; None for what the exchange does not say."""
    base, _, rest = contract.symbol.partition("/")
    quote, _, settle = rest.partition(":")
    terms = contract.terms or Terms()
    return {
        "id": contract.native_id,
        "symbol": contract.symbol,
        "base": base,
        "quote": quote,
        "settle": settle,
        **_KIND,
        "active": contract.is_open,
        "contractSize": contract.multiplier,
        "maker": terms.maker,
        "taker": terms.taker,
        "precision": {"amount": terms.amount_step, "price": terms.price_step},
        "limits": _limits(terms),
        "created": contract.listed_ms,
        "info": {},
    }


def ticker(found: Ticker) -> dict[str, Any]:
    """A ticker as ccxt tells it; None for what the exchange's ticker does not say."""
    return {
        **dict.fromkeys(_UNTOLD),
        "symbol": found.symbol,
        "timestamp": found.time_ms,
        "datetime": None if found.time_ms is None else iso8601(found.time_ms),
        "last": found.last,
        "close": found.last,
        "bid": found.bid,
        "ask": found.ask,
        "info": {},
    }


def iso8601(instant_ms: int) -> str:
    """The instant as text, UTC, such as ``2025-01-01T00:00:00.000Z``."""
    seconds, ms = divmod(instant_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


_KIND = {
    "type": "swap",
    "spot": False,
    "margin": False,
    "swap": True,
    "future": False,
    "option": False,
    "contract": True,
    "linear": True,
    "inverse": False,
    "expiry": None,
    "expiryDatetime": None,
    "strike": None,
    "optionType": None,
}
_UNTOLD = (
    "high", "low", "bidVolume", "askVolume", "vwap", "open", "previousClose", "change", "percentage", "average",
    "baseVolume", "quoteVolume",
)  # fmt: skip


def _limits(terms: Terms) -> dict[str, dict[str, float | None]]:
    return {
        "amount": {"min": terms.amount_min, "max": terms.amount_max},
        "price": {"min": None, "max": None},
        "cost": {"min": terms.cost_min, "max": None},
        "leverage": {"min": None, "max": terms.leverage_max},
    }
