"""How long an exchange that refuses wants to be left alone; pure, by the answer's own clock."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

#: Nobody is kept waiting longer: where an exchange wants more silence, requests fail.
LONGEST_WAIT_MS: Final = 24 * 3_600_000
#: Nothing longer is believed; an exchange that still refuses then says so again.
LONGEST_PAUSE_MS: Final = 30 * LONGEST_WAIT_MS

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")


def retry_after_ms(value: str | None, date_header: str | None) -> int | None:
    """What a ``Retry-After`` header asks for, at most ``LONGEST_PAUSE_MS``.

    Args:
        value: Seconds, or an HTTP date.
        date_header: ``Date`` of the same answer: a date is read against the exchange's clock, never against ours.

    Returns:
        Milliseconds, at least 1; None where the header is missing, garbage, or names no time to come.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return bounded_ms(float(text) * 1000)
    until_ms, now_ms = http_date_ms(text), http_date_ms(date_header)
    return None if until_ms is None or now_ms is None else bounded_ms(until_ms - now_ms)


def http_date_ms(value: str | None) -> int | None:
    """The instant of an HTTP date, ms UTC; None where it is none."""
    try:
        instant = parsedate_to_datetime(value or "")
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return int((aware - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def bounded_ms(pause_ms: float) -> int | None:
    """The pause in whole ms, at most ``LONGEST_PAUSE_MS``; None where it is over already."""
    return None if pause_ms <= 0 else max(1, int(min(pause_ms, LONGEST_PAUSE_MS)))
