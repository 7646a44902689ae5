"""What an exchange's answer says of the limit: how much is left to this address, and until when."""

from collections.abc import Mapping
from typing import Final

import msgspec

from workers.exchanges.pauses import http_date_ms

#: A number this large is an instant, not a length of time.
_LEAST_INSTANT_MS: Final = 100_000_000_000
#: Windows are a minute at most; what says more is not understood.
_LONGEST_MS: Final = 60_000
#: How long to wait at most before another look at what others leave.
_LONGEST_STEP_MS: Final = 5_000


class Allowance(msgspec.Struct, frozen=True):
    """What is left of the limit.

    Attributes:
        remaining: Weight that may still be asked for, by whomever at this address.
        reset_ms: Until the limit is whole again, ms.
    """

    remaining: int
    reset_ms: int


def allowance(headers: Mapping[str, str], names: tuple[str, str]) -> Allowance | None:
    """What the headers say; None where they say nothing, or nothing that makes sense.

    Args:
        headers: By lower-case name.
        names: Of the header with the weight left, and of that with the ms until the refill or its instant in ms.
    """
    remaining, reset_ms = (_number(headers.get(name, "")) for name in names)
    if remaining is None or reset_ms is None:
        return None
    if reset_ms >= _LEAST_INSTANT_MS:
        now_ms = http_date_ms(headers.get("date"))
        reset_ms = _LONGEST_MS + 1 if now_ms is None else max(0, reset_ms - now_ms)
    return Allowance(remaining, reset_ms) if reset_ms <= _LONGEST_MS else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def crowded_ms(left: Allowance, interval_us: int, spare: int) -> int:
    """How long to send nothing because somebody else at this address spends the limit, ms; 0 where nobody does.

    On our own we never need more until the refill than is left: our pace keeps below the limit. Where we would, half of
    what is left is for us, spent at the end of the time. And half of what our pace leaves free is never touched: where
    the limit does not refill at once but as time goes by, that is what keeps the others from being refused.

    Args:
        interval_us: Distance of two requests of weight 1 at our pace, µs.
        spare: Weight that our pace leaves free in every window.
    """
    wait_ms = 0.0
    if left.remaining * interval_us < left.reset_ms * 1000:
        wait_ms = left.reset_ms - left.remaining / 2 * interval_us / 1000
    missing = spare // 2 - left.remaining
    return round(max(wait_ms, min(missing * interval_us / 1000, _LONGEST_STEP_MS)))
