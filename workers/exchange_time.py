"""The exchange's clock, by a clock of this process that never steps; told to others by the reference clock."""

import logging
import threading
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from bus import keys
from bus.cache import Values, nothing
from bus.clock import Clock, steady_s
from bus.errors import ExchangeError
from bus.messages import ClockOffset
from workers.clock_offset import against, agree, combined, of_coarse_clock, sample, widened
from workers.exchanges.base import Exchange
from workers.http import HttpClient
from workers.retries import granted, tried

_log = logging.getLogger(__name__)

#: How far our own clock is trusted to be from the exchange's while nothing is known of it. Clocks of home machines and
#: containers are found minutes off; the price of a wide bound is candles that come a quarter of an hour late.
LOCAL_BOUND_MS: Final = 900_000
#: After a measurement that failed, what is known is used for so long before the exchange is asked again.
_ASK_AGAIN_MS: Final = 30_000
#: While our clocks part again and again, as where one is slewed, the exchange is asked this often.
_DOUBT_EVERY_MS: Final = 10_000
#: What is known is told to the others at least this often, for the server may have lost it or stepped.
_TELL_EVERY_MS: Final = 10_000


def measure(exchange: Exchange, http: HttpClient, clock_ms: Callable[[], int], samples: int = 3) -> ClockOffset:
    """The offset by a few questions; ``clock_ms() + offset.low_ms`` is never ahead of the exchange's clock.

    A wait at the gate before a question leaves makes the interval wider at its high end, never wrong.

    Args:
        clock_ms: The clock to measure by, ms.
        samples: How many questions, at least 1.

    Raises:
        ExchangeError: The exchange did not answer one of them.
    """
    step_ms = exchange.facts.clock_step_ms
    offset = of_coarse_clock(_asked(exchange, http, clock_ms), step_ms)
    for _ in range(samples - 1):
        offset = combined(offset, of_coarse_clock(_asked(exchange, http, clock_ms), step_ms))
    return offset


def _asked(exchange: Exchange, http: HttpClient, clock_ms: Callable[[], int]) -> ClockOffset:
    sent_ms = clock_ms()
    told_ms = exchange.server_time(http)
    return sample(told_ms, sent_ms, clock_ms())


class TimeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an exchange's clock, and from where.

    The true offset, exchange time minus reference time, lies in ``[low_ms, high_ms]``: of what this process measured
    itself, whatever the reference clock does; of what another measured, as long as that clock has not stepped since;
    of ``local``, as long as it is not further off than that.

    Attributes:
        source: ``ok``, measured within five minutes; ``cached``, measured up to a day ago, perhaps by another process,
            and wider by the drift since; ``local``, not measured at all.
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
    """The clock of one exchange, which every process measures for itself; may be read from several threads.

    What another process measured holds by the reference clock only, and that may have been set since: back and right
    again it looks as if it never had been, and a candle that is open is taken for a closed one.
    """

    def __init__(
        self,
        exchange: Exchange,
        http: HttpClient,
        clock: Clock,
        cache: Values,
        *,
        make_ready: Callable[[], None] = nothing,
        may_retry: Callable[[], bool] = granted,
        monotonic: Callable[[], float] = steady_s,
    ) -> None:
        """Ask nothing yet.

        Args:
            clock: The reference clock, the same for all who share the cache.
            make_ready: Called before a measurement, to wait then for what would make it wider.
            may_retry: Whether the workers' budget has room for another try.
            monotonic: Seconds of a clock that never steps.
        """
        self._exchange = exchange
        self._http = http
        self._clock = clock
        self._cache = cache
        self._make_ready = make_ready
        self._may_retry = may_retry
        self._monotonic = monotonic
        self._name = exchange.facts.name
        self._lock = threading.RLock()
        #: Exchange time and reference time minus that of the clock that never steps.
        self._held: ClockOffset | None = None
        self._reference: ClockOffset | None = None
        self._in_doubt = False
        self._cause: ExchangeError | None = None
        self._asks_again_ms = self._tells_again_ms = self._steady_ms()
        self._said = "ok"

    def reading(self) -> tuple[int, TimeStatus]:
        """The reference clock, ms, and what is known of the exchange's; asks where it is not known well enough."""
        with self._lock:
            now_ms, reference = self._look()
            self._doubt(reference)
            if self._must_ask(reference.measured_ms):
                self._learn(None if self._in_doubt else self._held)
                now_ms, reference = self._look()
            self._reference = reference
            status = self._status(now_ms, reference)
            self._tell(now_ms, reference)
            self._say(status)
            return now_ms, status

    def tell(self) -> None:
        """Tell what is known to those who share the cache, where it is time to; asks nothing."""
        with self._lock:
            now_ms, reference = self._look()
            self._doubt(reference)
            self._reference = reference
            self._tell(now_ms, reference)

    def _doubt(self, reference: ClockOffset) -> None:
        """Notice that the two clocks of our own have parted.

        The reference clock has stepped; or this process stood still, and its own clock with it, so that the exchange's
        seems behind.
        """
        if self._reference is not None and not agree(self._reference, reference):
            self._tells_again_ms = reference.measured_ms
            if not self._in_doubt:
                _log.info("exchange time is to be measured anew", extra={"exchange": self._name})
            self._in_doubt = True

    def _must_ask(self, steady_ms: int) -> bool:
        """Whether what is held is too old; in doubt, whether it is not quite new: a clock may part all the time."""
        return not _is_within(self._held, steady_ms, _DOUBT_EVERY_MS if self._in_doubt else keys.CLOCK_TTL_MS)

    def remeasure(self) -> None:
        """Forget what was measured before now: a clock has stepped. It is kept only where no answer comes."""
        noticed_ms = self._steady_ms()
        with self._lock:
            if self._held is None or self._held.measured_ms <= noticed_ms:  # else another has just noticed it too
                self._asks_again_ms = noticed_ms
                self._learn(None)

    def _steady_ms(self) -> int:
        return int(self._monotonic() * 1000)

    def _look(self) -> tuple[int, ClockOffset]:
        """The reference clock, ms, and its offset by the clock that never steps."""
        before_ms = self._steady_ms()
        now_ms = self._clock.now_ms()
        return now_ms, sample(now_ms, before_ms, self._steady_ms())

    def _learn(self, known: ClockOffset | None) -> None:
        """Measure, unless that has just failed; ``known`` holds too where it agrees."""
        if self._steady_ms() < self._asks_again_ms:
            return
        try:
            newest = tried(self._measured, sleep=self._clock.sleep, may_retry=self._may_retry)
        except ExchangeError as error:
            self._cause = error
            self._asks_again_ms = self._steady_ms() + _ASK_AGAIN_MS
            return
        self._held, self._in_doubt = newest if known is None else combined(known, newest), False
        self._cause, self._tells_again_ms = None, self._steady_ms()

    def _measured(self) -> ClockOffset:
        self._make_ready()
        return measure(self._exchange, self._http, self._steady_ms, samples=1)

    def _status(self, now_ms: int, reference: ClockOffset) -> TimeStatus:
        if self._held is not None and _is_within(self._held, reference.measured_ms, keys.CLOCK_LAST_TTL_MS):
            offset = against(self._held, reference, now_ms)
            if _is_within(self._held, reference.measured_ms, keys.CLOCK_TTL_MS):
                return TimeStatus(source="ok", low_ms=offset.low_ms, high_ms=offset.high_ms)
            return TimeStatus(source="cached", low_ms=offset.low_ms, high_ms=offset.high_ms, cause=self._cause)
        last = self._cache.get(keys.clock_last(self._name), ClockOffset)
        if last is None or not _is_within(last, now_ms, keys.CLOCK_LAST_TTL_MS):
            return TimeStatus(source="local", low_ms=-LOCAL_BOUND_MS, high_ms=LOCAL_BOUND_MS, cause=self._cause)
        aged = widened(last, now_ms)
        return TimeStatus(source="cached", low_ms=aged.low_ms, high_ms=aged.high_ms, cause=self._cause)

    def _tell(self, now_ms: int, reference: ClockOffset) -> None:
        """Let producers, and workers that begin while the exchange does not answer, know by the reference clock."""
        steady_ms = reference.measured_ms
        if self._held is None or steady_ms < self._tells_again_ms:
            return
        offset, age_ms = against(self._held, reference, now_ms), steady_ms - self._held.measured_ms
        for key, life_ms in (
            (keys.clock(self._name), keys.CLOCK_TTL_MS),
            (keys.clock_last(self._name), keys.CLOCK_LAST_TTL_MS),
        ):
            if age_ms < life_ms:
                self._cache.put(key, offset, life_ms - age_ms)
        self._tells_again_ms = steady_ms + _TELL_EVERY_MS

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


def _is_within(offset: ClockOffset | None, now_ms: int, span_ms: int) -> bool:
    return offset is not None and abs(now_ms - offset.measured_ms) < span_ms
