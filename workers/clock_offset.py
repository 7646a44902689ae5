"""Arithmetic of clock offsets: how far one clock is ahead of another, as an interval that holds the truth."""

from typing import Final

from bus.messages import ClockOffset

#: Exchanges tell their time, and clocks ours, in whole ms, the rest cut off.
GRANULARITY_MS: Final = 1
#: How far two clocks may drift apart: 200 ms in 1000 s, some times more than a poor quartz.
DRIFT_PPM: Final = 200


def sample(told_ms: int, sent_ms: int, received_ms: int) -> ClockOffset:
    """What one answer proves about the offset of the clock that was asked, by the clock of the one who asks.

    It was read at some moment between ``sent_ms`` and ``received_ms``; how the way there and the way back share the
    delay is not known, and does not matter.
    """
    return ClockOffset(
        low_ms=told_ms - received_ms - GRANULARITY_MS,
        high_ms=told_ms + GRANULARITY_MS - sent_ms,
        measured_ms=received_ms,
    )


def widened(offset: ClockOffset, now_ms: int) -> ClockOffset:
    """What the offset may have become by ``now_ms`` of the clock it was measured by."""
    drift_ms = -(-abs(now_ms - offset.measured_ms) * DRIFT_PPM // 1_000_000)
    return ClockOffset(low_ms=offset.low_ms - drift_ms, high_ms=offset.high_ms + drift_ms, measured_ms=now_ms)


def agree(known: ClockOffset, newest: ClockOffset) -> bool:
    """Whether both can be true, so that no clock need have stepped in between."""
    aged = widened(known, newest.measured_ms)
    return aged.low_ms <= newest.high_ms and newest.low_ms <= aged.high_ms


def combined(known: ClockOffset, newest: ClockOffset) -> ClockOffset:
    """What both prove together; the newest alone where they exclude each other, for then a clock has stepped."""
    if not agree(known, newest):
        return newest
    aged = widened(known, newest.measured_ms)
    low_ms, high_ms = max(aged.low_ms, newest.low_ms), min(aged.high_ms, newest.high_ms)
    return ClockOffset(low_ms=low_ms, high_ms=high_ms, measured_ms=newest.measured_ms)


def of_coarse_clock(offset: ClockOffset, step_ms: int) -> ClockOffset:
    """The interval where the clock is told cut to ``step_ms``: it may be so much later than it says."""
    high_ms = offset.high_ms + step_ms - GRANULARITY_MS
    return ClockOffset(low_ms=offset.low_ms, high_ms=high_ms, measured_ms=offset.measured_ms)


def against(offset: ClockOffset, other: ClockOffset, now_ms: int) -> ClockOffset:
    """The offset by another clock, of which ``other`` is the offset by the clock that ``offset`` was measured by.

    Args:
        now_ms: The other clock, ms.
    """
    aged = widened(offset, other.measured_ms)
    return ClockOffset(low_ms=aged.low_ms - other.high_ms, high_ms=aged.high_ms - other.low_ms, measured_ms=now_ms)
