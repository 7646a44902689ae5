"""The functions that RQ may call, by wire name: one turn of a fetch request, and the refresh of a contract map."""

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from redis import Redis, RedisError

from bus.counters import Outcome, count_turn
from bus.errors import CandleBusError, Fenced, Paused, RateLimited, RequestError, WorkerEnding
from bus.fetch_request import FetchRequest
from bus.queue import FETCH_CANDLES, REFRESH_CONTRACTS, enqueue_turn, turn_of
from bus.refusals import may_pass, wait_until_writable
from bus.requests import Claim, RequestBook
from bus.series import NAME
from workers.desk import Desk
from workers.exchanges.pauses import LONGEST_WAIT_MS
from workers.lease import HeldLease
from workers.turn import Turn

_log = logging.getLogger(__name__)


class Jobs:
    """The wire functions of one exchange's worker."""

    def __init__(
        self, redis: Redis, desk: Desk, worker: str, job_id: Callable[[], str], should_stop: Callable[[], bool]
    ) -> None:
        """Bind the functions to a desk.

        Args:
            worker: Name under which claims are made.
            job_id: Id of the job that runs now.
            should_stop: Whether the worker was asked to end; a turn then stops at the next page.
        """
        self._redis = redis
        self._desk = desk
        self._worker = worker
        self._should_stop = should_stop
        self._book = RequestBook(redis)
        self._job_id = job_id

    def functions(self) -> dict[str, Callable[..., None]]:
        """Wire name → function."""
        return {FETCH_CANDLES: self.fetch_candles, REFRESH_CONTRACTS: self.refresh_contracts}

    def refresh_contracts(self, exchange: str) -> None:
        """Fetch the contract map anew.

        Raises:
            RequestError: The job is for another exchange's worker.
        """
        self._check_exchange(exchange)
        self._desk.contracts.refresh()

    def fetch_candles(self, **arguments: Any) -> None:
        """Run one turn of a request: pages from its checkpoint on, back to the end of the queue when others wait.

        Raises:
            RequestError: The arguments are no request; there is no id under which the caller could learn of it.
        """
        try:
            request = msgspec.convert(arguments, FetchRequest)
        except msgspec.ValidationError as error:
            raise RequestError(f"not a fetch request: {error}") from error
        if not NAME.fullmatch(request.request_id):  # no key is made of another
            request.check()
        claim = self._claimed(request)
        if isinstance(claim, str):
            _log.info("turn not run", extra={"request_id": request.request_id, "cause": claim})
            return
        began_s = time.monotonic()
        with HeldLease(self._book, claim):
            outcome = self._outlived(request, claim)
        count_turn(self._redis, self._desk.exchange.facts.name, outcome, time.monotonic() - began_s)

    def _claimed(self, request: FetchRequest) -> Claim | str:
        """The claim, or why there is none; a server that refuses for a while is waited for.

        Nobody but this job knows of a request that another app put on the queue until it is claimed.
        """
        turn = turn_of(self._job_id(), request.request_id)
        while True:
            try:
                return self._book.claim(request, turn, self._worker)
            except RedisError as error:
                if not may_pass(error) or self._should_stop():
                    raise
                _log.warning("turn not claimed", extra={"request_id": request.request_id, "cause": str(error)})
            wait_until_writable(self._redis, self._should_stop)

    def _outlived(self, request: FetchRequest, claim: Claim) -> Outcome:
        """What became of the turn; ``lost`` where the server refuses for a while, until its lease runs out."""
        try:
            return self._run(request, claim)
        except RedisError as error:
            if not may_pass(error):
                raise
            _log.warning("turn given up", extra={"request_id": request.request_id, "cause": str(error)})
            return "lost"

    def _run(self, request: FetchRequest, claim: Claim) -> Outcome:
        try:
            request.check()
            self._check_exchange(request.exchange)
            turn = Turn(self._redis, self._desk, request, claim, self._should_stop)
            if turn.run() and self._book.finish(claim):
                return "done"
            return self._go_on(request, claim, blameless=turn.was_cut_short)
        except Fenced as error:
            _log.info("turn given up", extra={"request_id": request.request_id, "cause": str(error)})
            return "lost"
        except WorkerEnding:
            return self._go_on(request, claim, blameless=True)
        except RateLimited as error:
            return self._wait_out(request, claim, error)
        except CandleBusError as error:
            return self._fail(request, claim, error)

    def _wait_out(self, request: FetchRequest, claim: Claim, error: RateLimited) -> Outcome:
        if not isinstance(error, Paused):
            self._book.count_refusal(request.request_id)
            _log.warning("refused", extra={"request_id": request.request_id, "cause": str(error)})
        if error.pause_ms > LONGEST_WAIT_MS:  # nobody is kept waiting for days
            return self._fail(request, claim, error)
        self._go_on(request, claim, blameless=True)
        return "paused"

    def _fail(self, request: FetchRequest, claim: Claim, error: CandleBusError) -> Outcome:
        try:
            self._book.fail(claim, error)
        except Fenced:
            return "lost"  # another attempt has it by now
        _log.warning("request failed", extra={"request_id": request.request_id, "cause": str(error)})
        return "failed"

    def _go_on(self, request: FetchRequest, claim: Claim, *, blameless: bool) -> Outcome:
        try:
            turn = self._book.release(claim, blameless=blameless)
        except Fenced:
            return "lost"  # cancelled while it ran
        enqueue_turn(self._redis, request, turn)
        return "continued"

    def _check_exchange(self, exchange: str) -> None:
        own = self._desk.exchange.facts.name
        if exchange != own:
            raise RequestError(f"a request for {exchange!r} stands in the queue of {own}")
