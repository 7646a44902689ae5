"""The exchange's clock against the reference clock: an interval of offsets that holds the true one."""

import logging
import time
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from bus import keys
from bus.cache import Values, nothing
from bus.clock import Clock
from bus.errors import ExchangeError
from bus.messages import ClockOffset
from workers.exchanges.base import Exchange
from workers.http import HttpClient
from workers.retries import granted, tried

_log = logging.getLogger(__name__)

#: Exchanges tell their time, and clocks ours, in whole ms, the rest cut off.
GRANULARITY_MS: Final = 1
#: How far two clocks may drift apart: 200 ms in 1000 s, some times more than a poor quartz.
DRIFT_PPM: Final = 200
#: How far our own clock is trusted to be from the exchange's while nothing is known of it. Clocks of home machines and
#: containers are found minutes off; the price of a wide bound is candles that come a quarter of an hour late.
LOCAL_BOUND_MS: Final = 900_000
#: After a measurement that failed, what is known is used for so long before the exchange is asked again.
_ASK_AGAIN_MS: Final = 30_000
#: So long an offset is used without a look at the shared one, which another may have measured anew.
_LOOK_EVERY_MS: Final = 10_000


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


class TimeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an exchange's clock, and from where.

    The true offset, exchange time minus reference time, lies in ``[low_ms, high_ms]`` as long as neither clock has
    stepped since it was measured; of ``local``, as long as the reference clock is not further off than that.

    Attributes:
        source: ``ok``, measured within five minutes; ``cached``, measured up to a day ago and wider by the drift
            since; ``local``, not measured at all.
        cause: Why it could not be measured; None for ``ok``.
    """

    source: Literal["ok", "cached", "local"]
    low_ms: int
    high_ms: int
    cause: ExchangeError | None = None

    @property
    def middle_ms(self) -> int:
        """The offset in the middle of the interval, rounded down."""
        return (self.low_ms + self.high_ms) // 2

    @property
    def bound_ms(self) -> int:
        """How far the truth may be from the middle."""
        return self.high_ms - self.middle_ms


class ExchangeClock:
    """The clock of one exchange: measured as one begins, then once for all who share the cache."""

    def __init__(
        self,
        exchange: Exchange,
        http: HttpClient,
        clock: Clock,
        cache: Values,
        *,
        make_ready: Callable[[], None] = nothing,
        may_retry: Callable[[], bool] = granted,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet.

        Args:
            clock: The reference clock, the same for all who share the cache.
            make_ready: Called before a measurement, to wait then for what would make it wider.
            may_retry: Whether the workers' budget has room for another try.
            monotonic: Seconds of a clock that never steps.
        """
        self._monotonic = monotonic
        self._steady: ClockOffset | None = None
        self._exchange = exchange
        self._http = http
        self._clock = clock
        self._cache = cache
        self._name = exchange.facts.name
        self._held: ClockOffset | None = None
        self._cause: ExchangeError | None = None
        self._asks_again_ms = self._looked_ms = 0
        self._make_ready = make_ready
        self._may_retry = may_retry
        self._said = "ok"

    def reading(self) -> tuple[int, TimeStatus]:
        """The reference clock, ms, and what is known of the exchange's; asks where it is not known well enough."""
        now_ms, may_have_stepped = self._read_clock()
        if may_have_stepped:
            _log.info("exchange time is measured anew", extra={"exchange": self._name})
            self._measure_anew(self._held or self._last())
            now_ms = self._clock.now_ms()
        is_known = _is_fresh(self._held, now_ms) and abs(now_ms - self._looked_ms) < _LOOK_EVERY_MS
        if not is_known and now_ms >= self._asks_again_ms:
            self._learn(
                lambda: self._measured(self._last()), lambda found: _is_fresh(found, self._clock.now_ms()), self._last
            )
            now_ms = self._clock.now_ms()
        status = self._status(now_ms)
        self._say(status)
        return now_ms, status

    def _read_clock(self) -> tuple[int, bool]:
        """The reference clock, ms, and whether it may have stepped since what is known was measured.

        That would be wrong by the step: candles that are open would be taken for closed. Between two looks a clock that
        never steps tells.
        """
        before_ms = int(self._monotonic() * 1000)
        now_ms = self._clock.now_ms()
        steady = sample(now_ms, before_ms, int(self._monotonic() * 1000) + 1)
        known, self._steady = self._steady, steady
        if known is None:  # somebody else may have measured before a step that we did not see
            return now_ms, self._last() is not None
        aged = widened(known, steady.measured_ms)
        return now_ms, aged.low_ms > steady.high_ms or steady.low_ms > aged.high_ms

    def remeasure(self) -> None:
        """Forget what was measured before now: a clock has stepped. It is kept only where no answer comes."""
        self._measure_anew(self._held)

    def _measure_anew(self, before: ClockOffset | None) -> None:
        asked_ms = self._clock.now_ms()
        # A clock that was set back makes what was measured before look new.
        self._learn(lambda: self._measured(None), lambda found: found.measured_ms > asked_ms and found != before)

    def _status(self, now_ms: int) -> TimeStatus:
        held = self._held if _is_of_use(self._held, now_ms) else self._last()
        if held is None:
            return TimeStatus(source="local", low_ms=-LOCAL_BOUND_MS, high_ms=LOCAL_BOUND_MS, cause=self._cause)
        aged = widened(held, now_ms)
        if _is_fresh(held, now_ms):
            return TimeStatus(source="ok", low_ms=aged.low_ms, high_ms=aged.high_ms)
        return TimeStatus(source="cached", low_ms=aged.low_ms, high_ms=aged.high_ms, cause=self._cause)

    def _learn(
        self,
        load: Callable[[], ClockOffset],
        is_fresh: Callable[[ClockOffset], bool],
        meanwhile: Callable[[], ClockOffset | None] = nothing,
    ) -> None:
        key = keys.clock(self._name)
        try:
            self._held = self._cache.get_or_load(
                key, ClockOffset, keys.CLOCK_TTL_MS, load, is_fresh=is_fresh, meanwhile=meanwhile
            )
            self._cause, self._looked_ms = None, self._clock.now_ms()
        except ExchangeError as error:
            self._cause = error
            self._asks_again_ms = self._clock.now_ms() + _ASK_AGAIN_MS

    def _measured(self, known: ClockOffset | None) -> ClockOffset:
        newest = tried(self._once, sleep=self._clock.sleep, may_retry=self._may_retry)
        offset = newest if known is None else combined(known, newest)
        self._cache.put(keys.clock_last(self._name), offset, keys.CLOCK_LAST_TTL_MS)
        return offset

    def _once(self) -> ClockOffset:
        self._make_ready()
        return measure(self._exchange, self._http, self._clock, samples=1)

    def _last(self) -> ClockOffset | None:
        return self._cache.get(keys.clock_last(self._name), ClockOffset)

    def _say(self, status: TimeStatus) -> None:
        """Log a change for the worse, and the way back, once each."""
        if status.source == self._said or (status.source != "ok" and status.cause is None):
            return
        extra = {"exchange": self._name, "source": status.source, "bound_ms": status.bound_ms}
        if status.source == "ok":
            _log.info("exchange time is known again", extra=extra)
        else:
            _log.warning("exchange time is not available", extra=extra | {"cause": str(status.cause)})
        self._said = status.source


def _is_fresh(offset: ClockOffset | None, now_ms: int) -> bool:
    return offset is not None and abs(now_ms - offset.measured_ms) < keys.CLOCK_TTL_MS


def _is_of_use(offset: ClockOffset | None, now_ms: int) -> bool:
    return offset is not None and abs(now_ms - offset.measured_ms) < keys.CLOCK_LAST_TTL_MS
