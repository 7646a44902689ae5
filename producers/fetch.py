"""Fetch several series side by side: enqueue all, follow all, put the pages together."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from redis import Redis

from bus.errors import BusError, BusUnavailable, CandleBusError, EntriesLost
from bus.requests import RequestStatus
from bus.series import Series
from producers.client import Pending, Producer, follow, workers_of
from producers.result import FetchResult

#: A request that waits this long in a queue that nobody serves is given up.
NO_WORKER_S: Final = 10.0
_WORKER_LOOK_S: Final = 2.0


def fetch_all(
    redis: Redis,
    series: Sequence[Series],
    timeframe: str,
    *,
    since: int | None,
    until: int | None,
    limit: int | None,
    timeout_s: float | None,
    on_progress: Callable[[dict[str, RequestStatus]], None],
    check: Callable[[], None],
) -> FetchResult:
    """What arrived of the series; a series that fails does not keep the others from coming.

    Args:
        timeout_s: Give up then on what has not arrived.
        check: Called again and again; raises when the bus itself has failed.

    Raises:
        RequestError: The span is wrong.
        BusUnavailable: No worker serves any of the exchanges.
        BusError: Whatever ``check`` raises.
    """

    def ask(one: Series, *, afresh: bool = False) -> Pending:
        return Producer(redis).enqueue(one, timeframe, since=since, until=until, limit=limit, afresh=afresh)

    fetch = _Fetch(redis, {str(one): ask(one) for one in series}, lambda one: ask(one, afresh=True))
    try:
        fetch.follow(timeout_s, on_progress, check)
    finally:
        fetch.cancel_ours()  # without effect on those that have ended
    return fetch.result(timeframe)


class _Fetch:
    """Several requests under way."""

    def __init__(self, redis: Redis, pending: dict[str, Pending], ask_afresh: Callable[[Series], Pending]) -> None:
        self._redis = redis
        self._names = list(pending)
        self._pending = list(pending.values())
        self._ask_afresh = ask_afresh
        self._statuses: dict[str, RequestStatus] = {}
        self._errors: dict[str, CandleBusError] = {}
        self._deserted: dict[str, BusUnavailable] = {}
        self._waiting_since: dict[str, float] = {}
        self._looked_at = 0.0

    def follow(
        self,
        timeout_s: float | None,
        on_progress: Callable[[dict[str, RequestStatus]], None],
        check: Callable[[], None],
    ) -> None:
        """Read pages as they come, until all requests have ended or the time is over."""
        for statuses in follow(self._redis, self._pending, timeout_s):
            self._statuses = dict(zip(self._names, statuses, strict=True))
            on_progress(self._statuses)
            check()
            self._expect_workers()
            for place, name in enumerate(self._names):
                if name not in self._errors:
                    self._read(place, name)
            if self._deserted and all(self._is_over(place) for place in range(len(self._names))):
                break
        if self._deserted and len(self._deserted) == len(self._names):
            raise next(iter(self._deserted.values()))

    def _is_over(self, place: int) -> bool:
        name = self._names[place]
        status = self._statuses[name]
        replaced = status.request.request_id != self._pending[place].id
        return name in self._deserted or (status.has_ended and not replaced)

    def _read(self, place: int, name: str) -> None:
        pending = self._pending[place]
        try:
            pending.collector.advance()
        except EntriesLost:
            if pending.is_ours:
                raise
            # Somebody asked the same long ago and its pages are gone: ask again under an id of our own.
            self._pending[place] = self._ask_afresh(pending.request.series)
        except BusError as error:
            self._errors[name] = error

    def _expect_workers(self) -> None:
        now = time.monotonic()
        waiting = self._exchanges("queued") - self._exchanges("running")
        self._waiting_since = {exchange: self._waiting_since.get(exchange, now) for exchange in waiting}
        late = [exchange for exchange, since in self._waiting_since.items() if now - since >= NO_WORKER_S]
        if not late or now - self._looked_at < _WORKER_LOOK_S:
            return
        self._looked_at = now
        for exchange in late:
            if not workers_of(self._redis, exchange):
                self._desert(exchange)

    def _exchanges(self, state: str) -> set[str]:
        return {status.request.exchange for status in self._statuses.values() if status.state == state}

    def _desert(self, exchange: str) -> None:
        """Give up what waits for an exchange that nobody serves; the others go on."""
        error = BusUnavailable(f"no worker serves {exchange}; start one with: candlebus worker {exchange}")
        for name, status in self._statuses.items():
            if status.request.exchange == exchange and status.state == "queued":
                self._errors[name] = self._deserted[name] = error

    def cancel_ours(self) -> None:
        """Take back what nobody else had asked for."""
        for pending in self._pending:
            if pending.is_ours:
                pending.cancel()

    def result(self, timeframe: str) -> FetchResult:
        """All that has arrived."""
        collected = {name: pending.collector for name, pending in zip(self._names, self._pending, strict=True)}
        return FetchResult(
            timeframe=timeframe,
            candles={name: one.candles() for name, one in collected.items()},
            gaps={name: one.gaps() for name, one in collected.items()},
            errors={name: error for name in collected if (error := self._error(name)) is not None},
            statuses=self._statuses,
            volume_units={
                name: one.batches[0].volume_unit if one.batches else "unknown" for name, one in collected.items()
            },
        )

    def _error(self, name: str) -> CandleBusError | None:
        status = self._statuses[name]
        if name in self._errors:
            return self._errors[name]
        if status.state == "failed":
            return status.error
        if status.state == "cancelled":
            return CandleBusError(f"request {status.request.request_id} was cancelled")
        if status.state == "done":
            return None
        return BusUnavailable(f"not complete in time: {status.candles} candles in {status.pages} pages so far")
