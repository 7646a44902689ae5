"""The pace of a client without a bus: its requests stand apart, within one process."""

import threading
import time
from collections.abc import Callable
from typing import Final

from bus.clock import steady_s
from bus.errors import Paused, RateLimited
from workers.http import HttpClient, Request, Response
from workers.limiter import LONGEST_NAP_S


class SteadyClock:
    """A wall clock that is read once and then runs on by itself, so that nobody can set it back or ahead."""

    def __init__(
        self,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = steady_s,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the wall clock.

        Args:
            wall_ms: The machine's clock, ms UTC.
            monotonic: Seconds of a clock that never steps.
            sleep: Waits for so many seconds.
        """
        self._began_ms = wall_ms()
        self._began_s = monotonic()
        self.monotonic = monotonic
        self._sleep = sleep

    def now_ms(self) -> int:
        return self._began_ms + int((self.monotonic() - self._began_s) * 1000)

    def sleep(self, seconds: float) -> None:
        self._sleep(max(0.0, seconds))


class Spacing:
    """When the next request to one exchange may leave this process."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._free_s = 0.0
        self._paused_s = 0.0
        self._reason = ""

    def acquire(self, exchange: str, cost_s: float) -> None:
        """Return when a request may leave that keeps the next one ``cost_s`` away.

        Raises:
            Paused: The exchange refused, and its pause lasts longer than a nap.
        """
        with self._lock:
            left_s = self._paused_s - self._clock.monotonic()
            if left_s > LONGEST_NAP_S:
                why = f"{exchange} is left alone for another {left_s:.0f} s: {self._reason}"
                raise Paused(exchange, why, pause_ms=round(left_s * 1000))
            self.wait()
            self.keep_free(cost_s)

    def wait(self) -> None:
        """Return when the next request could leave; at once where a pause lasts longer than a nap."""
        with self._lock:
            now_s = self._clock.monotonic()
            if self._paused_s - now_s <= LONGEST_NAP_S:
                self._clock.sleep(max(self._free_s, self._paused_s) - now_s)

    def keep_free(self, cost_s: float) -> None:
        """Let no request leave within ``cost_s`` from now."""
        with self._lock:
            self._free_s = max(self._free_s, self._clock.monotonic() + cost_s)

    def pause(self, error: RateLimited) -> None:
        """Let no request leave for as long as the exchange asked."""
        with self._lock:
            self._paused_s = max(self._paused_s, self._clock.monotonic() + error.pause_ms / 1000)
            self._reason = str(error)


class PacedHttp(HttpClient):
    """An HTTP client whose requests stand apart, from the answer to the next question; safe for several threads."""

    def __init__(self, exchange_name: str, base_url: str, spacing: Spacing, interval_s: float) -> None:
        """Ask one exchange.

        Args:
            interval_s: Distance that a request of weight 1 keeps from the next.
        """
        super().__init__(exchange_name, base_url, lambda weight: spacing.acquire(exchange_name, weight * interval_s))
        self._spacing = spacing
        self._interval_s = interval_s
        self._asking = threading.Lock()

    def send(self, request: Request, *, weight: int) -> Response:
        with self._asking:
            try:
                return super().send(request, weight=weight)
            finally:
                # Counted anew from here: a slow answer must not bring two requests close together.
                self._spacing.keep_free(weight * self._interval_s)


_SHARED: Final[dict[tuple[str, str], Spacing]] = {}
_SHARING: Final = threading.Lock()


def shared_spacing(exchange: str, base_url: str, clock: SteadyClock) -> Spacing:
    """The one spacing of all clients of an exchange in this process; ``clock`` is used where it is the first."""
    with _SHARING:
        return _SHARED.setdefault((exchange, base_url), Spacing(clock))
