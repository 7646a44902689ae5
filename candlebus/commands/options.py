"""What commands share: their common options, and how times and choices are read."""

from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import typer

from bus.alignment import effective_tolerance_ms
from bus.errors import SettingsError, SpanError
from bus.instants import iso
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
#: A whole number below this is a date or seconds rather than ms: no exchange is older.
_LEAST_MS: Final = 100_000_000_000
_HOW: Final = "write ISO 8601, such as 2025-06-01 or 2025-06-01T12:30Z, or ms since 1970"


def instant_ms(name: str, text: str | None) -> int | None:
    """The instant of an option in ms UTC; None where it is not given.

    Args:
        text: ISO 8601, in UTC when it names no zone, or ms since 1970.

    Raises:
        SpanError: It is neither.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return _whole(name, text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise SpanError(f"{name} {text[:80]!r} is no time; {_HOW}") from error
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    since_epoch = aware - datetime.fromtimestamp(0, UTC)
    return since_epoch.days * 86_400_000 + since_epoch.seconds * 1000 + since_epoch.microseconds // 1000


def _whole(name: str, text: str) -> int:
    instant = int(text[:20])
    if 0 < instant < _LEAST_MS:
        raise SpanError(f"{name} {text} would be {iso(instant)} in ms; {_HOW}")
    return instant


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
