"""Which slots of the grid a question about candles means."""

from collections.abc import Callable

import msgspec

from bus.timeframes import Timeframe


class Slots(msgspec.Struct, frozen=True):
    """Open times from ``first_ms`` to ``last_ms``, both inclusive; none where the first lies after the last."""

    first_ms: int
    last_ms: int


#: Which slots remain of a span that holds more than a page, given the span, its timeframe and the page's rows.
Cut = Callable[[Slots, Timeframe, int], Slots]


def newest(span: Slots, timeframe: Timeframe, rows: int) -> Slots:
    """The last ``rows`` slots of the span."""
    return Slots(max(span.first_ms, span.last_ms - (rows - 1) * timeframe.duration_ms), span.last_ms)


def oldest(span: Slots, timeframe: Timeframe, rows: int) -> Slots:
    """The first ``rows`` slots of the span."""
    return Slots(span.first_ms, min(span.last_ms, span.first_ms + (rows - 1) * timeframe.duration_ms))


def asked(
    timeframe: Timeframe, since_ms: int | None, until_ms: int | None, now_ms: int, rows: int, too_long: Cut
) -> Slots:
    """The slots that two optional bounds mean, at most ``rows`` of them.

    Slots are counted, not candles: a bound in the future takes its slots, and fewer candles come.

    Args:
        since_ms: Inclusive; without it, ``rows`` slots count back from the other bound.
        until_ms: Inclusive; without it, ``rows`` slots count on from the other bound, or back from now without both.
        too_long: What to do with a span of more than ``rows`` slots.
    """
    reach_ms = (rows - 1) * timeframe.duration_ms
    if since_ms is None:
        last = timeframe.floor(now_ms if until_ms is None else until_ms)
        return Slots(max(0, last - reach_ms), last)
    first = timeframe.ceil(since_ms)
    if until_ms is None:
        return Slots(first, first + reach_ms)
    return too_long(Slots(first, timeframe.floor(until_ms)), timeframe, rows)
