"""What commands share: their common options, and how choices are read."""

from typing import Annotated, TypeVar

import typer

from bus.alignment import effective_tolerance_ms
from bus.errors import SettingsError
from bus.timeframes import TIMEFRAMES

SeriesList = Annotated[
    list[str], typer.Argument(metavar="SERIES", help="EXCHANGE:SYMBOL, such as bingx:BTC/USDT:USDT.")
]
TimeframeName = Annotated[str, typer.Option("-t", "--timeframe", help="Length of a candle, such as 30m.")]
Processes = Annotated[int, typer.Option("--processes", min=1, max=64, help="Worker processes for each exchange.")]
PaceName = Annotated[
    str | None, typer.Option("--pace", help="How much of the exchange's limit to use: conservative, half or full.")
]
ExchangeList = Annotated[list[str], typer.Argument(metavar="EXCHANGE", help="See: candlebus exchanges.")]

_Word = TypeVar("_Word", bound=str)


def clamped(tolerance_ms: int, timeframe: str) -> str | None:
    """What to say of a tolerance, ms, that is clamped below half of the timeframe; None where it is not."""
    effective_ms = effective_tolerance_ms(tolerance_ms, TIMEFRAMES[timeframe].duration_ms)
    if effective_ms == tolerance_ms:
        return None
    return f"tolerance of {tolerance_ms} ms clamped to {effective_ms} ms, below half of {timeframe}"


def one_of(option: str, text: str, allowed: tuple[_Word, ...]) -> _Word:
    """The text, if it is one of the words allowed.

    Raises:
        SettingsError: It is not; the message names them.
    """
    for word in allowed:
        if word == text:
            return word
    raise SettingsError(f"{option} {text[:80]!r} is none of: {' '.join(allowed)}")
