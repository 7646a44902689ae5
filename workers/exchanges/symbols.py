"""From an exchange's own names to ccxt's unified symbols."""

from collections.abc import Mapping

from bus.errors import SeriesError
from bus.series import Series


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
