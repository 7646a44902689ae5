"""From an exchange's own names to ccxt's unified symbols."""

import re
from collections.abc import Mapping
from typing import Final

from bus.errors import SeriesError
from bus.series import Series

#: An exchange's own name of a contract goes into requests and onto the server: it is short, and one word.
_NATIVE_ID: Final = re.compile(r"[\w.$+:/-]{1,64}")


def is_native_id(text: str) -> bool:
    """Whether an exchange may call a contract so."""
    return _NATIVE_ID.fullmatch(text) is not None


def perpetual(exchange: str, base: str, quote: str, settle: str, aliases: Mapping[str, str]) -> str | None:
    """The unified symbol of a perpetual, ``BASE/QUOTE:SETTLE``; None where the names make none.

    Args:
        base: Coin as the exchange calls it; so are quote and settle.
        aliases: The exchange's name of a coin → the name by which ccxt knows it.
    """
    base, quote, settle = (aliases.get(name.upper(), name.upper()) for name in (base, quote, settle))
    symbol = f"{base}/{quote}:{settle}"
    try:
        Series.parse(f"{exchange}:{symbol}")
    except SeriesError:
        return None
    return symbol
