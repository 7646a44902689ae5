"""The circuit breaker of an exchange: while it keeps failing, single requests ask whether it is back."""

import random
import threading
from typing import Any, Final

from redis import Redis

from bus import keys
from bus.errors import ExchangeError
from bus.scripts import Script
from bus.traffic import traffic

#: It opens once so many requests of the last ten to twenty seconds have failed, and at least half of all.
FEWEST_FAILURES: Final = 5
#: The first probe leaves after half of this to all of it, by chance; each further one after twice as long.
FIRST_WAIT_US: Final = 2_000_000
LONGEST_WAIT_US: Final = 60_000_000
#: Nobody else probes until the probe is answered, or its worker must be dead: an answer has 20 s.
PROBE_LEASE_US: Final = 30_000_000
#: Requests wait for an exchange that fails; after so long they fail with it, and only probes are sent.
OUTAGE_S: Final = 30.0
#: So many tries in a minute are granted whatever was sent, and beyond them this part of what was sent.
FREE_RETRIES: Final = 10
RETRY_PERCENT: Final = 10
_LIFE_MS: Final = 600_000


class Breaker:
    """What all workers of an exchange and egress address know of its health, kept on the server and by its clock."""

    def __init__(self, redis: Redis, exchange: str, egress: str) -> None:
        self._redis = redis
        self._exchange = exchange
        self._egress = egress
        self._breaker_key = keys.breaker(exchange, egress)
        self._traffic_key = keys.traffic(exchange, egress)
        self._counters_key = keys.counters(exchange)
        self._note_failure = Script(redis, "note_failure")
        self._grant_retry = Script(redis, "grant_retry")
        self._of_thread = threading.local()

    @property
    def is_probing(self) -> bool:
        """Whether the request that this thread sent last is the probe."""
        return bool(getattr(self._of_thread, "is_probing", False))

    @is_probing.setter
    def is_probing(self, value: bool) -> None:
        self._of_thread.is_probing = value

    def note_failure(self, error: ExchangeError) -> None:
        """Count a request that the exchange did not answer, or with trouble of its own."""
        self._note_failure(
            [self._breaker_key, self._traffic_key, self._counters_key],
            [
                str(error)[:500],
                int(self.is_probing),
                FEWEST_FAILURES,
                FIRST_WAIT_US,
                LONGEST_WAIT_US,
                random.random(),  # noqa: S311 - jitter
                max(LONGEST_WAIT_US, PROBE_LEASE_US),
                _LIFE_MS,
            ],
        )
        self.is_probing = False

    def note_answer(self) -> None:
        """The exchange answered this thread's last request: if that was the probe, all may ask again."""
        if self.is_probing:
            self._redis.delete(self._breaker_key)
            self.is_probing = False

    def may_retry(self) -> bool:
        """Whether another try of a failed request is within the tries that all workers share; counts it if so."""
        return bool(self._grant_retry([self._traffic_key, self._counters_key], [FREE_RETRIES, RETRY_PERCENT]))

    def rest_ms(self) -> int:
        """How long nobody will be let through, ms; 0 where the next one is, or requests fail at once."""
        found = traffic(self._redis, self._exchange, self._egress).breaker
        return found.probe_ms if found is not None and found.open_ms <= OUTAGE_S * 1000 else 0

    def told(self, open_s: float, wait_s: float | None = None) -> str:
        """Why nothing is asked now, and when the next request is; None where nobody waits for that."""
        reason: Any = self._redis.hget(self._breaker_key, "reason")
        why = reason.decode(errors="replace") if isinstance(reason, bytes) else "it does not answer"
        then = "is waited for no longer" if wait_s is None else f"a single request asks again in {wait_s:.0f} s"
        return f"{self._exchange} has been failing for {open_s:.0f} s, and {then}: {why}"
