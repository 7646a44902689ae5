"""The exchange's clock against the reference clock: an interval of offsets that holds the true one."""

from typing import Final

from bus.clock import Clock
from bus.messages import ClockOffset
from workers.exchanges.base import Exchange
from workers.http import HttpClient

#: Exchanges tell their time, and clocks ours, in whole ms, the rest cut off.
GRANULARITY_MS: Final = 1
#: How far two clocks may drift apart: 200 ms in 1000 s, some times more than a poor quartz.
DRIFT_PPM: Final = 200


def sample(server_ms: int, sent_ms: int, received_ms: int) -> ClockOffset:
    """What one answer proves about the offset, exchange time minus reference time.

    The exchange read its clock at some moment between ``sent_ms`` and ``received_ms``, both of the reference clock;
    how the way there and the way back share the delay is not known, and does not matter.
    """
    return ClockOffset(
        low_ms=server_ms - received_ms - GRANULARITY_MS,
        high_ms=server_ms + GRANULARITY_MS - sent_ms,
        measured_ms=received_ms,
    )


def widened(offset: ClockOffset, now_ms: int) -> ClockOffset:
    """What the offset may have become by ``now_ms`` of the reference clock."""
    drift_ms = -(-abs(now_ms - offset.measured_ms) * DRIFT_PPM // 1_000_000)
    return ClockOffset(low_ms=offset.low_ms - drift_ms, high_ms=offset.high_ms + drift_ms, measured_ms=now_ms)


def combined(known: ClockOffset, newest: ClockOffset) -> ClockOffset:
    """What both prove together; the newest alone where they exclude each other, for then a clock has stepped."""
    aged = widened(known, newest.measured_ms)
    low_ms, high_ms = max(aged.low_ms, newest.low_ms), min(aged.high_ms, newest.high_ms)
    if low_ms > high_ms:
        return newest
    return ClockOffset(low_ms=low_ms, high_ms=high_ms, measured_ms=newest.measured_ms)


def of_coarse_clock(offset: ClockOffset, step_ms: int) -> ClockOffset:
    """The interval where the exchange tells its time cut to ``step_ms``: it may be so much later than it says."""
    high_ms = offset.high_ms + step_ms - GRANULARITY_MS
    return ClockOffset(low_ms=offset.low_ms, high_ms=high_ms, measured_ms=offset.measured_ms)


def measure(exchange: Exchange, http: HttpClient, clock: Clock, samples: int = 3) -> ClockOffset:
    """The offset by a few questions; ``clock.now_ms() + offset.low_ms`` is never ahead of the exchange's clock.

    A wait at the gate before a question leaves makes the interval wider at its high end, never wrong.

    Args:
        samples: How many questions, at least 1.

    Raises:
        ExchangeError: The exchange did not answer one of them.
    """
    step_ms = exchange.facts.clock_step_ms
    offset = of_coarse_clock(_asked(exchange, http, clock), step_ms)
    for _ in range(samples - 1):
        offset = combined(offset, of_coarse_clock(_asked(exchange, http, clock), step_ms))
    return offset


def _asked(exchange: Exchange, http: HttpClient, clock: Clock) -> ClockOffset:
    sent_ms = clock.now_ms()
    server_ms = exchange.server_time(http)
    return sample(server_ms, sent_ms, clock.now_ms())
