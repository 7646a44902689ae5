"""Arithmetic of pages: where one ends, what is missing from it, how to ask again, and what to call the gaps."""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Final, Literal

from bus.messages import Candle, Contract, Gap, GapReason
from bus.timeframes import Timeframe

Span = tuple[int, int]
HoleReason = Literal["no_trades", "unavailable"]

#: A confirming request spans at most this part of the page whose hole it confirms.
_NARROWER: Final = 2


def closed_until(exchange_now_low_ms: int, timeframe: Timeframe, settle_ms: int) -> int:
    """The end of the last closed candle, ms: every candle that opens before it has closed.

    Args:
        exchange_now_low_ms: The exchange's time, not ahead of the truth.
        settle_ms: How long after its end a candle may still change.
    """
    return timeframe.floor(exchange_now_low_ms - settle_ms)


def page_end(since_ms: int, until_ms: int, timeframe: Timeframe, rows: int) -> int:
    """Where the page ends that begins at ``since_ms``: after ``rows`` slots, or with the span at ``until_ms``."""
    return min(until_ms, timeframe.ceil(since_ms) + rows * timeframe.duration_ms)


def first_listed(contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> int:
    """The first open time of ``[since_ms, until_ms]`` whose candle does not end before the contract's listing, ms.

    The candle during which it was listed counts as listed.
    """
    listed_ms = 0 if contract.listed_ms is None else timeframe.floor(contract.listed_ms)
    return min(max(since_ms, listed_ms), until_ms)


def missing(timeframe: Timeframe, since_ms: int, until_ms: int, open_times: Collection[int]) -> list[Span]:
    """Runs of slots in ``[since_ms, until_ms)`` without an open time, each ``[from, to)`` in ms, ascending.

    Args:
        open_times: A set, or anything that finds a member as fast.
    """
    runs: list[Span] = []
    for slot in timeframe.open_times(since_ms, until_ms):
        if slot in open_times:
            continue
        begins = runs.pop()[0] if runs and runs[-1][1] == slot else slot
        runs.append((begins, slot + timeframe.duration_ms))
    return runs


def within(candles: list[Candle], since_ms: int, until_ms: int) -> list[Candle]:
    """The candles that open in ``[since_ms, until_ms)``.

    Args:
        candles: Oldest first.
    """
    if not candles or (since_ms <= candles[0].open_time and candles[-1].open_time < until_ms):
        return candles
    return [candle for candle in candles if since_ms <= candle.open_time < until_ms]


def is_whole(timeframe: Timeframe, since_ms: int, until_ms: int, candles: Sequence[Candle]) -> bool:
    """Whether there is a candle for every slot of ``[since_ms, until_ms)``, and for no other.

    Args:
        candles: On the grid, unique, oldest first.
    """
    slots = timeframe.open_times(since_ms, until_ms)
    if len(candles) != len(slots):
        return False
    return not candles or (candles[0].open_time == slots[0] and candles[-1].open_time == slots[-1])


def confirm_windows(runs: Iterable[Span], timeframe: Timeframe, since_ms: int, until_ms: int, rows: int) -> list[Span]:
    """Few windows that hold every missing slot, each at most half as wide as the page that lacked them.

    An answer cut short by the exchange, or a page lost on the way, looks like a hole; a narrower question tells it
    from a true one. Only a page of one slot is asked again as it was. A run at an edge of the page, where cuts are,
    shares its windows with no other run: they hold nothing known, so that an empty answer cannot be another cut.

    Args:
        runs: Missing runs of the page, ascending, on the grid.
        since_ms: First instant of the page.
        until_ms: First instant after it.
        rows: Most candles of one answer.
    """
    slots = min(rows, timeframe.slots(since_ms, until_ms))
    width_ms = max(1, slots // _NARROWER) * timeframe.duration_ms
    windows: list[Span] = []
    is_shared = False
    for from_ms, to_ms in runs:
        was_shared, is_shared = is_shared, since_ms < from_ms and to_ms < until_ms
        # Where the last window could still reach this run, it begins anew and takes what it can.
        reaches = was_shared and is_shared and from_ms < windows[-1][0] + width_ms
        begins = windows.pop()[0] if reaches else from_ms
        windows += [(at, min(at + width_ms, to_ms)) for at in range(begins, to_ms, width_ms)]
    return windows


def apart(gaps: Iterable[Gap], timeframe: Timeframe, poisoned: Collection[int]) -> list[Gap]:
    """The gaps, with slots of which rows came that cannot be true as gaps of their own: those are ``unavailable``."""
    parts: list[Gap] = []
    for gap in gaps:
        for is_poisoned, run in groupby(timeframe.open_times(gap.from_ms, gap.to_ms), key=poisoned.__contains__):
            slots = list(run)
            reason: GapReason = "unavailable" if is_poisoned else gap.reason
            parts.append(Gap(slots[0], slots[-1] + timeframe.duration_ms, reason))
    return parts


def name_gaps(
    runs: Iterable[Span],
    timeframe: Timeframe,
    hole_reason: HoleReason,
    *,
    empty_since_ms: int | None,
    rows: int,
) -> list[Gap]:
    """The confirmed holes of a page with their reasons.

    A hole is what the exchange's holes are. One exception: where a candle may be missing for want of trades, an empty
    stretch at the very start of a request, at least one largest page long, says that the exchange keeps no history so
    far back. A shorter one is held to be quiet trading.

    Args:
        runs: Missing runs, ascending.
        empty_since_ms: Where the unbroken emptiness began that reaches the first run, ms: the request's first listed
            slot while it has been served nothing; None once it has.
        rows: Slots of a largest page.
    """
    gaps: list[Gap] = []
    for from_ms, to_ms in runs:
        reason: GapReason = hole_reason
        is_leading = empty_since_ms is not None and not gaps and hole_reason == "no_trades"
        if is_leading and timeframe.slots(empty_since_ms or 0, to_ms) >= rows:
            reason = "beyond_history"
        gaps.append(Gap(from_ms, to_ms, reason))
    return gaps
