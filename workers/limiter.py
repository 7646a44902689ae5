"""The shared budget: when the next request to an exchange may leave, from this egress address, for all workers."""

import math
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final

import msgspec
from redis import Redis

from bus import keys
from bus.errors import BusUnavailable, OutOfService, Paused
from bus.scripts import Script
from bus.settings import Pace
from bus.traffic import pause_reason
from workers.breaker import OUTAGE_S, PROBE_LEASE_US, Breaker
from workers.exchanges.base import Facts, Limit
from workers.exchanges.pauses import LONGEST_WAIT_MS
from workers.pause_memory import PauseMemory

#: The original integration's distance between requests.
CONSERVATIVE_INTERVAL_S: Final = 0.7
#: Its page size.
CONSERVATIVE_ROWS: Final = 500
_SHARES: Final[dict[Pace, float]] = {"half": 0.5, "full": 0.98}
#: A slot that was slept over by more than this part of the margin is given up, for its neighbours would crowd with it;
#: the rest of the margin is for the way to the exchange.
_LATE_SHARE: Final = 0.5
#: Longer pauses are for the caller to wait out, who can do something else.
LONGEST_NAP_S: Final = 5.0
#: So many slots in a row that are over before the server's answer is there: it is too far away for the limit.
_MOST_LOST: Final = 100


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How a pace translates into the limiter's numbers.

    Attributes:
        interval_us: Distance between two requests of weight 1, µs.
        max_ahead_us: A slot is reserved at most this far ahead, µs.
        late_us: A slot that is used later than this is given up, µs.
        spare: Weight that is left free in every window of every limit.
        rows: Most candles asked for at once.
    """

    interval_us: int
    max_ahead_us: int
    late_us: int
    rows: int
    spare: int = 0


def budget(facts: Facts, pace: Pace) -> Budget:
    """The budget of an exchange at a pace.

    Several limits hold at once; the one with the longest distance between requests decides how far they stand apart,
    the one with the least room how late they may come. ``conservative`` is one candle request each 0.7 s, whatever its
    weight.
    """
    weights = sorted(msgspec.structs.astuple(facts.weights))
    if pace == "conservative":
        interval_us = CONSERVATIVE_INTERVAL_S * 1e6 / facts.weights.candles
        interval_us = max(interval_us, *(_interval_us(limit, 0.5, weights) for limit in facts.limits))
    else:
        interval_us = max(_interval_us(limit, _SHARES[pace], weights) for limit in facts.limits)
    margin_us = min(interval_us * _room(limit, weights) - limit.window_ms * 1000 for limit in facts.limits)
    return Budget(
        interval_us=math.ceil(interval_us),
        max_ahead_us=max(1_000_000, round(2 * interval_us * facts.weights.candles)),
        late_us=round(_LATE_SHARE * margin_us),
        spare=min(limit.weight - math.ceil(limit.window_ms * 1000 / interval_us) for limit in facts.limits),
        rows=min(CONSERVATIVE_ROWS, facts.page_rows) if pace == "conservative" else facts.page_rows,
    )


def _interval_us(limit: Limit, share: float, weights: list[int]) -> float:
    """Distance of requests of weight 1 that uses this share of the limit, µs."""
    usable = min(limit.weight * share, _room(limit, weights) * _SHARES["full"])
    return limit.window_ms * 1000 / usable


def _room(limit: Limit, weights: list[int]) -> int:
    """How much weight may stand between the first and the last of a window's requests.

    The last one's whole weight lies within the window, however near to its end: of requests of weight 3, a window of
    10 holds three and not the fourth. Totals are multiples of what all weights have in common.
    """
    common = math.gcd(*weights)
    return max(1, limit.weight // common * common + common - weights[-1])


class Limiter:
    """The budget of one exchange and egress address, kept on the server and by its clock.

    A generic cell rate algorithm with a burst of one: the script hands out the next free slot, the caller sleeps until
    it comes and then uses it up on the server, right before its request leaves. So slots are first come, first served,
    no client clock matters, and a slot is of no use once the exchange has refused somebody, its instant is over, or the
    server has lost it.

    Attributes:
        breaker: That of the same exchange and address.
    """

    def __init__(
        self,
        redis: Redis,
        exchange: str,
        egress: str,
        budget: Budget,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._budget = budget
        self.breaker = Breaker(redis, exchange, egress)
        self._keys = [
            keys.limit(exchange, egress),
            keys.pause(exchange, egress),
            keys.breaker(exchange, egress),
            keys.traffic(exchange, egress),
            keys.counters(exchange),
        ]
        self._reserve = Script(redis, "reserve")
        self._pause = Script(redis, "pause")
        self._known = PauseMemory()
        self._asking = threading.Lock()
        self._sleep = sleep
        self._monotonic = monotonic

    def acquire(self, weight: int) -> float:
        """Return when a request of that weight may leave.

        Returns:
            Until when it must have left, in seconds of the monotonic clock; later it needs another slot.

        Raises:
            Paused: The exchange is left alone for longer than a nap.
            OutOfService: It has been failing for so long that nobody waits for it.
            BusUnavailable: The server answers too slowly for slots this close.
            redis.RedisError: The server is away; then nothing may leave.
        """
        cost_us = weight * self._budget.interval_us
        for _ in range(_MOST_LOST):
            leaves_by_s = self._slot(cost_us)
            if self._monotonic() <= leaves_by_s:
                return leaves_by_s
        raise BusUnavailable(
            f"the server takes more than {self._budget.late_us / 1000:g} ms to answer, within which a request to "
            f"{self._exchange} has to leave; bring it nearer, or set CANDLEBUS_PACE=half"
        )

    def _slot(self, cost_us: int) -> float:
        """Reserve slots until one is used in time; until when its request must have left, monotonic seconds."""
        slot = b""
        while True:
            # One thread of a process asks for a slot at a time; the others would be told to ask again in chorus.
            with nullcontext() if slot else self._asking:
                asked_s = self._monotonic()
                what, micros, detail = self._ask(cost_us, slot)
                if what == b"go":
                    self.breaker.is_probing = bool(detail)
                    return asked_s + int(micros) / 1e6
                slot = detail if what == b"wait" else b""
                if not slot:
                    self._nap(what, int(micros) / 1e6, detail)
            if slot:
                self._sleep(int(micros) / 1e6)

    def _ask(self, cost_us: int, slot: bytes) -> Any:
        """What the server says of a slot, or of the pause, which counts as long as this process knows it to."""
        left_ms = self.paused_ms() if self._known.left_ms(self._monotonic()) else 0
        if not left_ms:
            budget, is_probing = self._budget, int(self.breaker.is_probing)
            answer: Any = self._reserve(
                self._keys, [cost_us, budget.max_ahead_us, budget.late_us, slot, PROBE_LEASE_US, is_probing]
            )
            if answer[0] != b"paused":
                return answer
            left_ms = self.paused_ms()
        return b"paused", left_ms * 1000, b""

    def _nap(self, what: bytes, wait_s: float, detail: Any) -> None:
        """Sleep until asking again makes sense, or raise where the caller had better do something else."""
        if what == b"broken" and int(detail) / 1e6 > OUTAGE_S:
            raise OutOfService(self._exchange, self.breaker.told(int(detail) / 1e6))
        if what != b"wait" and wait_s > LONGEST_NAP_S:
            self.breaker.is_probing = False
            why = self._paused_for(wait_s) if what == b"paused" else self.breaker.told(int(detail) / 1e6, wait_s)
            raise Paused(self._exchange, why, pause_ms=round(wait_s * 1000))
        self._sleep(wait_s)

    def pause(self, pause_ms: int, reason: str, *, refusals: int = 0) -> None:
        """Let no worker of this exchange and address ask for ``pause_ms``; a longer pause that holds already stays.

        Args:
            refusals: How many refusals of the exchange stand behind it.
        """
        reason = reason[:500]
        self._known.note(self._monotonic(), pause_ms, reason)  # also where the server cannot be told
        self._look(pause_ms, reason, refusals)

    def paused_ms(self) -> int:
        """How long the pause still lasts, ms; 0 when there is none."""
        return self._look(0, "", 0)

    def _look(self, pause_ms: int, reason: str, refusals: int) -> int:
        """Set a pause, or none, and see how long the one that holds lasts, ms: by the server, and by what is known."""
        asked_s = self._monotonic()
        found: Any = self._pause([self._keys[1], *self._keys[3:]], [pause_ms, reason, refusals])
        left_ms, server_ms = int(found[0]), int(found[2])
        if again_ms := self._known.cut_short_ms(asked_s, left_ms, server_ms):
            return self._look(again_ms, self._known.reason, 0)
        if left_ms:
            self._known.note(asked_s, left_ms, pause_reason(found[1]), ends_ms=server_ms + left_ms)
        else:
            self._known.forget()
        return max(left_ms, self._known.left_ms(asked_s))

    def rest_ms(self) -> int:
        """How long a worker had better take no job, ms: they would only come back; 0 where they are done, or fail."""
        paused_ms = self.paused_ms()
        return paused_ms if 0 < paused_ms <= LONGEST_WAIT_MS else self.breaker.rest_ms()

    def _paused_for(self, wait_s: float) -> str:
        return f"{self._exchange} is left alone for another {wait_s:.0f} s: {self._known.reason or 'it refused'}"
