"""Instants as people read them."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999


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
