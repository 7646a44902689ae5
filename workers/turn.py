"""One turn of a fetch request: pages from its checkpoint on, side by side, each published once and in order."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final, NamedTuple

import msgspec
from redis import Redis

from bus.codec import columns
from bus.errors import Fenced, SpanError
from bus.fetch_request import FetchRequest
from bus.instants import iso
from bus.messages import CandleBatch, Contract
from bus.queue import queue_of
from bus.requests import Claim, RequestBook, RequestStatus
from bus.streams import Publisher
from bus.timeframes import SETTLE_MS, Timeframe, timeframe
from workers.desk import IN_FLIGHT, Desk
from workers.exchanges.rows import in_words
from workers.flight import answers
from workers.paging import FetchedPage, SettledPage, fetch_page, settled
from workers.sweeper import LOOK_AFTER_EVERY_S, put_back_overdue, trim_streams
from workers.windows import closed_until, first_listed, page_end

_log = logging.getLogger(__name__)

#: After so many pages a turn ends if others wait; the next one waits behind them.
PAGES_A_TURN: Final = 4
#: A turn that nobody waits for ends all the same after so many pages, well within its time.
MOST_PAGES_A_TURN: Final = 100
#: How long a turn waits for readers of a stream at its high-water mark, or for a page to close, before it goes back to
#: the queue.
_LONGEST_WAIT_S: Final = 10.0
_LOOK_S: Final = 1.0


class _Window(NamedTuple):
    """A page to ask for; ``version`` is the exchange's time of the asking, ms."""

    since_ms: int
    until_ms: int
    version: int


class Turn:
    """One turn of one request.

    Attributes:
        was_cut_short: Whether it ended for no fault of its own: a shutdown, a stream that is full, or a page that has
            not closed yet.
    """

    def __init__(
        self, redis: Redis, desk: Desk, request: FetchRequest, claim: Claim, should_stop: Callable[[], bool]
    ) -> None:
        self._redis = redis
        self._desk = desk
        self._book = RequestBook(redis)
        self._publisher = Publisher(redis)
        self.was_cut_short = False
        self._request = request
        self._claim = claim
        self._should_stop = should_stop
        self._timeframe = timeframe(request.timeframe)
        self._looks_at = time.monotonic() + LOOK_AFTER_EVERY_S

    def run(self) -> bool:
        """Publish pages; whether the checkpoint has reached the end of the span."""
        self._desk.exchange.facts.spelling(self._timeframe)
        contract = self._desk.contracts.contract(self._request.symbol)
        status = self._status()
        if status.until is None:
            self._book.fix_span(self._claim, *self._span())
            status = self._status()
        pages = answers(
            self._desk.executor,
            lambda window: self._fetched(contract, window),
            self._windows(contract, status),
            IN_FLIGHT,
        )
        with closing(pages):
            for page in pages:
                published = self._published(contract, page, status)
                if published is None:
                    return False
                status = published
        return status.next_ms == status.until

    def _windows(self, contract: Contract, status: RequestStatus) -> Iterator["_Window"]:
        """The pages of this turn, from the checkpoint on, each with the exchange's time when it is asked for."""
        since_ms, end_ms = status.next_ms or 0, status.until or 0
        for number in range(MOST_PAGES_A_TURN):
            self._look_after_others()
            if since_ms >= end_ms or (number and number % PAGES_A_TURN == 0 and self._others_wait()):
                return
            listed_ms = first_listed(contract, self._timeframe, since_ms, end_ms)
            until_ms = page_end(listed_ms, end_ms, self._timeframe, self._desk.budget.rows)
            asked_ms = None if self._should_stop() else self._asking_ms(until_ms)
            if asked_ms is None:
                self.was_cut_short = True
                return
            yield _Window(since_ms, until_ms, asked_ms)
            since_ms = until_ms

    def _look_after_others(self) -> None:
        """Put back requests whose worker died, as between two turns: this one may be long, and nobody else there."""
        if time.monotonic() >= self._looks_at:
            self._looks_at = time.monotonic() + LOOK_AFTER_EVERY_S
            put_back_overdue(self._redis, self._request.exchange)

    def _others_wait(self) -> bool:
        return queue_of(self._request.exchange, self._redis).count > 0

    def _status(self) -> RequestStatus:
        status = self._book.status(self._request.request_id)
        if status is None:
            raise Fenced(f"request {self._request.request_id} is gone")
        return status

    def _span(self) -> tuple[int, int]:
        return span_of(self._request, self._timeframe, self._desk.exchange_now_ms())

    def _asking_ms(self, until_ms: int) -> int | None:
        """The exchange's time when the page that ends at ``until_ms`` may be asked for, if need be after a wait.

        None where that takes too long.
        """
        deadline = time.monotonic() + _LONGEST_WAIT_S
        while True:
            now_ms = self._desk.exchange_now_ms()
            if self._has_room() and self._has_closed(until_ms, now_ms):
                return now_ms
            if time.monotonic() > deadline or self._should_stop():
                return None
            time.sleep(_LOOK_S)

    def _has_room(self) -> bool:
        """Whether the stream takes another page; what its readers have read makes room."""
        if self._publisher.has_room(self._request):
            return True
        trim_streams(self._redis, self._request.exchange)
        return False

    def _has_closed(self, until_ms: int, now_ms: int) -> bool:
        """Whether every candle up to ``until_ms`` has closed: the span may have been fixed by a time that ran ahead."""
        if closed_until(now_ms, self._timeframe, SETTLE_MS) >= until_ms:
            return True
        about = {"request_id": self._request.request_id, "until": iso(until_ms), "exchange_time": iso(now_ms)}
        _log.warning("page has not closed", extra=about)
        return False

    def _fetched(self, contract: Contract, window: "_Window") -> tuple["_Window", FetchedPage]:
        desk = self._desk
        span = (window.since_ms, window.until_ms)
        page = fetch_page(
            desk.exchange,
            desk.http_of_thread,
            contract,
            self._timeframe,
            *span,
            rows=desk.budget.rows,
            sleep=desk.clock.sleep,  # on which nobody goes on waiting once the worker is asked to end
            may_retry=desk.limiter.breaker.may_retry,
        )
        return window, page

    def _published(
        self, contract: Contract, fetched: tuple["_Window", FetchedPage], status: RequestStatus
    ) -> RequestStatus | None:
        """Name the page's gaps and publish it; where the request stands then.

        None where the checkpoint is not where the page begins.
        """
        window, found = fetched
        page = settled(
            found,
            self._desk.exchange.facts,
            contract,
            self._timeframe,
            rows=self._desk.budget.rows,
            request_since_ms=status.since,
            nothing_served_yet=status.candles == 0,
        )
        batch = self._batch(status, page, window)
        counts = {"requests": page.requests, "long_decimals": page.long_decimals}
        if page.rejected:
            about = {"request_id": batch.request_id, "page": batch.page, "count": len(page.rejected)}
            _log.warning("rows quarantined", extra=about | {"cause": in_words(page.rejected[0])})
        outcome = self._publisher.publish(self._claim, batch, **counts, rejected=page.rejected).outcome
        if outcome != "published":
            self.was_cut_short = outcome == "full"  # another publisher took the room that there was
            return None
        # Nobody else may change the record while our claim holds, so it need not be read again.
        return msgspec.structs.replace(
            status, pages=status.pages + 1, candles=status.candles + batch.n, next_ms=batch.until
        )

    def _batch(self, status: RequestStatus, page: SettledPage, window: "_Window") -> CandleBatch:
        return CandleBatch(
            exchange=self._request.exchange,
            symbol=self._request.symbol,
            timeframe=self._request.timeframe,
            request_id=self._request.request_id,
            page=status.pages,
            version=window.version,
            since=window.since_ms,
            until=window.until_ms,
            volume_unit=self._desk.exchange.facts.volume_unit,
            n=len(page.candles),
            gaps=tuple(page.gaps),
            **columns(page.candles),
        )


def span_of(request: FetchRequest, frame: Timeframe, exchange_now_ms: int) -> tuple[int, int]:
    """The span ``[since, until)`` in ms that a request covers, on the grid and closed by the exchange's time.

    Raises:
        SpanError: Nothing of it is closed yet, or it would begin before 1970.
    """
    closed_ms = closed_until(exchange_now_ms, frame, SETTLE_MS)
    until_ms = closed_ms if request.until is None else min(frame.ceil(request.until), closed_ms)
    if request.limit is not None:
        since_ms = until_ms - request.limit * frame.duration_ms
    else:
        since_ms = frame.ceil(request.since or 0)
    if since_ms < 0:
        raise SpanError(f"{request.limit} {frame.name} candles before {iso(until_ms)} would begin before 1970")
    if since_ms >= until_ms:
        raise SpanError(
            f"no {frame.name} candle from {iso(since_ms)} on has closed on {request.exchange}, "
            f"where the last one closed at {iso(closed_ms)}"
        )
    return since_ms, until_ms
