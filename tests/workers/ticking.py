"""An exchange that tells its time, and clocks of ours that can be set."""

from typing import Any

from tests.workers.exchange_fakes import FakeTime, Venue
from workers.exchange_time import ExchangeClock, TimeStatus
from workers.local_cache import LocalCache

MINUTE_S = 60.0
DAY_S = 86_400.0


class Ticking(Venue):
    """Tells its time after a way there and back, or fails."""

    def __init__(self, time: FakeTime, offset_ms: float = 600_000, drift_ppm: float = 0) -> None:
        super().__init__()
        self.time = time
        self.offset_ms = offset_ms
        self.drift_ppm = drift_ppm
        self.there_s, self.back_s = 0.02, 0.03
        self.error: Exception | None = None
        self.asked_times = 0

    def true_offset_ms(self) -> float:
        return self.offset_ms + self.time.passed_s * self.drift_ppm / 1000

    def server_time(self, http: Any) -> int:
        self.asked_times += 1
        self.time.sleep(self.there_s)
        if self.error is not None:
            raise self.error
        server_ms = int(self.time.began_ms + self.time.passed_s * 1000 + self.true_offset_ms())
        self.time.sleep(self.back_s)
        return server_ms


def clock_of(venue: Ticking, cache: LocalCache | None = None) -> ExchangeClock:
    known: Any = {"http": None, "clock": venue.time, "cache": cache or LocalCache(venue.time)}
    return ExchangeClock(venue, **known, monotonic=lambda: venue.time.passed_s)


def step(venue: Ticking, step_ms: int) -> None:
    """Set the reference clock; the exchange's own runs on."""
    venue.time.began_ms += step_ms
    venue.offset_ms -= step_ms


def status_of(clock: ExchangeClock) -> TimeStatus:
    return clock.reading()[1]
