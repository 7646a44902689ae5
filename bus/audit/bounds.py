"""P16: what is bounded by count is: candle, aligned, late and dead-letter streams, and quarantines."""

from collections.abc import Iterator
from typing import Final

from redis import Redis

from bus import keys
from bus.audit.report import Checked, Violation
from bus.scan import names_under

#: A stream that is trimmed to "about" so many loses whole nodes only, of 100 entries unless the server says otherwise.
_ABOUT: Final = 100


def lengths(redis: Redis, checked: Checked) -> Iterator[Violation]:
    """Whether no stream is longer than promised."""
    bounds = {
        keys.candles("", "", "").rstrip(":") + ":": keys.STREAM_HIGH_WATER,
        keys.aligned(""): keys.ALIGNED_MAX_ENTRIES + _ABOUT,
        keys.late(""): keys.LATE_MAX_ENTRIES + _ABOUT,
        keys.dead(""): keys.DEAD_MAX_ENTRIES + _ABOUT,
        keys.quarantine(""): keys.QUARANTINE_MAX_ENTRIES + _ABOUT,
    }
    for prefix, most in bounds.items():
        for name in names_under(redis, prefix):
            checked["streams bounded"] += 1
            there = int(redis.xlen(prefix + name))
            if there > most:
                yield Violation(
                    promise="P16", stream=prefix + name, expected=f"at most {most} entries", found=str(there)
                )
