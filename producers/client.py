"""Ask for candles over the bus: enqueue, follow, cancel."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from redis import Redis
from rq import Worker

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import BusError
from bus.fetch_request import FetchRequest, arguments, whole_span
from bus.messages import ClockOffset
from bus.queue import enqueue_turn, queue_of, withdraw_turn
from bus.requests import RequestBook, RequestStatus
from bus.series import Series
from bus.timeframes import SETTLE_MS, timeframe
from producers.collect import Collector

#: The first looks come quickly, for requests of one page; later ones spare the server.
_SHORTEST_LOOK_S: Final = 0.02
_LONGEST_LOOK_S: Final = 0.25


class Pending:
    """A request on the bus: follow it, collect what has arrived, cancel it.

    Attributes:
        is_ours: Whether this call put it on the bus; False when somebody had asked the same before.
    """

    def __init__(self, redis: Redis, request: FetchRequest, *, is_ours: bool) -> None:
        self._redis = redis
        self._book = RequestBook(redis)
        self.request = request
        self.is_ours = is_ours
        self.collector = Collector(redis, request.request_id)

    @property
    def id(self) -> str:
        """The request id."""
        return self.request.request_id

    def status(self) -> RequestStatus:
        """Where the request stands.

        Raises:
            BusError: Nobody knows it any more.
        """
        return known(self.request, self._book.status(self.id))

    def wait(self, timeout_s: float | None = None) -> RequestStatus:
        """The status once the request has ended, or the last one seen when ``timeout_s`` is over."""
        for statuses in follow(self._redis, [self], timeout_s):
            status = statuses[0]
        return status

    def cancel(self) -> str:
        """End the request, also while a worker runs it; ``cancelled``, or the state it had ended in."""
        state = self._book.cancel(self.id, self.request.exchange)
        if state == "cancelled":
            withdraw_turn(self._redis, self.request, self.status().turn)
        return state


class Producer:
    """Puts requests on the bus; the same asking at the same time costs one fetch, whoever asks."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._book = RequestBook(redis)
        self._clock = RedisClock(redis)

    def enqueue(
        self,
        series: str | Series,
        timeframe_name: str,
        *,
        since: int | None = None,
        until: int | None = None,
        limit: int | None = None,
        request_id: str | None = None,
        afresh: bool = False,
    ) -> Pending:
        """Ask for candles of one series.

        Args:
            since: First instant, ms, inclusive; excludes ``limit``.
            until: First instant after the span, ms, exclusive; by default the last closed candle's end.
            limit: Timeframe slots back from ``until``.
            request_id: By default derived from the arguments and the last closed slot.
            afresh: Ask even if the same was asked before.

        Raises:
            RequestError: An argument is wrong; its text says which.
            RequestConflict: ``request_id`` is live with other arguments.
        """
        since_ms, until_ms, count = whole_span(since, until, limit)
        asked = series if isinstance(series, Series) else Series.parse(series)
        request = FetchRequest(
            request_id="derived" if request_id is None else request_id,
            exchange=asked.exchange,
            symbol=asked.symbol,
            timeframe=timeframe(timeframe_name).name,
            since=since_ms,
            until=until_ms,
            limit=count,
        )
        request.check()
        if request_id is None:
            suffix = f"-{secrets.token_hex(4)}" if afresh else ""
            request = msgspec.structs.replace(request, request_id=self._derived_id(request) + suffix)
        must_enqueue, turn = self._book.accept(request)
        if must_enqueue:
            enqueue_turn(self._redis, request, turn)
        return Pending(self._redis, request, is_ours=must_enqueue)

    def _derived_id(self, request: FetchRequest) -> str:
        """One id for one asking at one time: the slot changes when another candle has closed."""
        cache = Cache(self._redis, self._clock)
        offset = cache.get(keys.clock_last(request.exchange), ClockOffset)
        now_ms = self._clock.now_ms() + (offset.low_ms if offset else 0)
        slot_ms = timeframe(request.timeframe).floor(now_ms - SETTLE_MS)
        digest = hashlib.sha256(f"{arguments(request)} {slot_ms}".encode()).hexdigest()
        return f"{request.exchange}-{request.timeframe}-{digest[:24]}"


def follow(redis: Redis, pending: Sequence[Pending], timeout_s: float | None = None) -> Iterator[list[RequestStatus]]:
    """The requests' statuses again and again, until all have ended or ``timeout_s`` is over; at least once.

    The caller may replace requests in ``pending`` between two looks.

    Raises:
        BusError: A request is no longer known.
    """
    book = RequestBook(redis)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    look_s = _SHORTEST_LOOK_S
    while True:
        asked = [one.id for one in pending]
        found = book.statuses(asked)
        statuses = [known(one.request, status) for one, status in zip(pending, found, strict=True)]
        yield statuses
        over = deadline is not None and time.monotonic() >= deadline
        if over or (all(status.has_ended for status in statuses) and asked == [one.id for one in pending]):
            return
        time.sleep(look_s)
        look_s = min(look_s * 1.2, _LONGEST_LOOK_S)


def known(request: FetchRequest, status: RequestStatus | None) -> RequestStatus:
    """The status of a request that must be there.

    Raises:
        BusError: It is not.
    """
    if status is None:
        raise BusError(f"the server no longer knows request {request.request_id} for {request.series}; ask again")
    return status


def workers_of(redis: Redis, exchange: str) -> int:
    """How many workers serve the exchange's queue now; one that was killed counts for another half a minute."""
    found = Worker.all_keys(queue=queue_of(exchange, redis))  # also those that could not say that they end
    return int(redis.exists(*found)) if found else 0


Progress = Callable[[list[RequestStatus]], None]
