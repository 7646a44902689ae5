"""Instants as people give and read them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from bus.errors import SpanError
from bus.given import whole

#: How callers may give one: ms since 1970, ISO 8601, or a datetime that has a timezone.
Instant = int | str | datetime

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999
#: A whole number below this is a date or seconds rather than ms: no exchange is older.
_LEAST_MS: Final = 100_000_000_000
_HOW: Final = "write ISO 8601, such as 2025-06-01 or 2025-06-01T12:30Z, or ms since 1970"


def instant_ms(name: str, given: Instant | None) -> int | None:
    """The instant in ms UTC; None where none is given.

    Args:
        name: What the error calls it.
        given: ISO 8601 is in UTC when it names no zone; a datetime must have its own.

    Raises:
        SpanError: It is none of these, or a number so small that it must be meant in seconds.
    """
    if isinstance(given, str):
        return _read_ms(name, given)
    if not isinstance(given, datetime):
        instant = whole(name, given, _HOW)
        return None if instant is None else _meant_ms(name, instant)
    if given.tzinfo is None:
        raise SpanError(f"{name} {given} has no timezone; give it one, such as tzinfo=UTC")
    return _since_epoch_ms(given)


def _read_ms(name: str, text: str) -> int:
    if text.isascii() and text.isdigit():
        return _meant_ms(name, int(text[:20]))
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise SpanError(f"{name} {text[:80]!r} is no time; {_HOW}") from error
    return _since_epoch_ms(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _meant_ms(name: str, instant: int) -> int:
    if 0 < instant < _LEAST_MS:
        raise SpanError(f"{name} {instant} would be {iso(instant)} in ms; {_HOW}")
    return instant


def _since_epoch_ms(instant: datetime) -> int:
    since_epoch = instant - _EPOCH
    return since_epoch.days * 86_400_000 + since_epoch.seconds * 1000 + since_epoch.microseconds // 1000


def iso(instant_ms: int) -> str:
    """The instant as ISO 8601, UTC, to the second where it is whole; the bare number where no calendar holds it."""
    if not 0 <= instant_ms <= _LAST_MS:
        return f"{instant_ms} ms"
    moment = _EPOCH + timedelta(milliseconds=instant_ms)
    timespec = "milliseconds" if instant_ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def duration(seconds: float) -> str:
    """A span of time to the second, or finer where it is short."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
