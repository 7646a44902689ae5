"""The book of requests: accepted, claimed, checkpointed, ended; the truth about them, whatever RQ says."""

import re
from typing import Any, Final, Literal

import msgspec
from redis import Redis, RedisError

from bus import keys
from bus.errors import BusError, CandleBusError, DecodeError, Fenced, RequestConflict, from_record, to_record
from bus.fetch_request import FetchRequest, arguments
from bus.scripts import Argument, Script
from bus.series import NAME

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: Final = frozenset({"done", "failed", "cancelled"})

#: A claim lasts this long unless renewed; a dead worker's request is put back after it.
LEASE_MS: Final = 15_000
#: A queued request is looked after this often, should its job be lost.
QUEUED_GRACE_MS: Final = 10_000
#: So many attempts in a row may end without a page before the request fails.
MAX_STALLS: Final = 5
#: So many requests for one exchange may be open at once; another one is refused.
MAX_OPEN: Final = 10_000
_MOST_OVERDUE: Final = 100
_ENTRY_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class RequestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request stands.

    Attributes:
        turn: Number of the turn that runs or comes next, from 1.
        attempt: Fence of the last claim.
        since: First instant of the span, ms, inclusive; None before the first turn.
        until: First instant after it, ms, exclusive; None before the first turn.
        next_ms: Checkpoint: every open time before it is published or named as a gap.
        gap_slots: Open times without a candle so far.
        requests: What was asked of the exchange, retries and confirmations included.
        refusals: How often the exchange refused for the rate.
        long_decimals: Numbers that came with more digits than float64 keeps.
        quarantined: Rows that could not be true and stand in no page.
    """

    request: FetchRequest
    state: State
    turn: int
    attempt: int
    since: int | None = None
    until: int | None = None
    next_ms: int | None = None
    pages: int = 0
    candles: int = 0
    gap_slots: int = 0
    requests: int = 0
    refusals: int = 0
    long_decimals: int = 0
    quarantined: int = 0
    worker: str = ""
    lease_until: int = 0
    created_ms: int = 0
    ended_ms: int | None = None
    failure: dict[str, Any] | None = None

    @property
    def error(self) -> CandleBusError | None:
        """Why the request failed; None unless it did."""
        return from_record(self.failure) if self.failure else None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


class Claim(msgspec.Struct, frozen=True):
    """The right to run one turn of a request.

    Attributes:
        created_ms: When the record was opened: attempts are counted anew where an id that has ended is used again.
    """

    request_id: str
    exchange: str
    attempt: int
    created_ms: int

    @property
    def fence(self) -> str:
        """What no other claim has, of this record or of another one under its id."""
        return f"{self.attempt}-{self.created_ms}"


class RequestBook:
    """Every request's record on the server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._accept = Script(redis, "accept")
        self._claim = Script(redis, "claim")
        self._step = Script(redis, "step")
        self._cancel = Script(redis, "cancel")
        self._overdue = Script(redis, "overdue")
        self._let_go = Script(redis, "let_go")
        self._count_refusal = Script(redis, "count_refusal")

    def accept(self, request: FetchRequest) -> tuple[bool, int]:
        """Enter the request; whether its job must be enqueued, and for which turn.

        A request that is live or done with the same arguments is found, not repeated; one that failed or was
        cancelled goes on from its checkpoint.

        Raises:
            RequestConflict: The id is live with other arguments.
            BusError: So many requests for the exchange are open that no other one is taken.
        """
        request_id = request.request_id
        where = _where(request_id, request.exchange)
        what, detail = self._accept(where, [request_id, arguments(request), QUEUED_GRACE_MS, MAX_OPEN])
        if what == b"conflict":
            raise RequestConflict(f"request id {request_id} is in use for {detail.decode()}")
        if what == b"full":
            open_now = f"{int(detail)} requests for {request.exchange} are open"
            raise BusError(f"{open_now}, as many as may be; wait, or cancel some: candlebus request cancel")
        return what != b"known", int(detail)

    def claim(self, request: FetchRequest, turn: int, worker: str, recorded: bytes | None = None) -> Claim | str:
        """Begin a turn, or the reason why not: ``busy``, ``stale``, ``ended`` or ``conflict``.

        Args:
            turn: The turn that the job is for; 0 when it does not say.
            recorded: The arguments as the record has them; by default as a job says them.
        """
        args: list[Argument] = [
            request.request_id,
            recorded or arguments(request),
            turn,
            worker,
            LEASE_MS,
            MAX_STALLS,
            keys.REQUEST_TTL_MS,
        ]
        what, *details = self._claim(_where(request.request_id, request.exchange), args)
        if what == b"claimed":
            return Claim(request.request_id, request.exchange, *map(int, details))
        return str(what.decode())

    def fix_span(self, claim: Claim, since_ms: int, until_ms: int) -> None:
        """Say which span ``[since_ms, until_ms)`` the request covers; the first turn's word stands."""
        self._change(claim, "span", since_ms, until_ms)

    def renew(self, claim: Claim) -> None:
        """Hold the claim for another lease."""
        self._change(claim, "renew", LEASE_MS)

    def release(self, claim: Claim, *, blameless: bool = False) -> int:
        """End the turn; the number of the next one.

        Args:
            blameless: The turn was cut short by a pause or a shutdown, which counts as no stall.
        """
        return self._change(claim, "release", QUEUED_GRACE_MS, int(blameless))

    def finish(self, claim: Claim) -> bool:
        """End the request as done; False when the checkpoint has not reached the end."""
        return self._change(claim, "done") >= 0

    def fail(self, claim: Claim, error: CandleBusError) -> None:
        """End the request with the reason."""
        self._change(claim, "failed", msgspec.json.encode(to_record(error)))

    def _change(self, claim: Claim, what: str, first: bytes | int = 0, second: int = 0) -> int:
        args: list[Argument] = [claim.request_id, claim.fence, what, first, second, keys.REQUEST_TTL_MS]
        outcome, detail = self._step(_where(claim.request_id, claim.exchange), args)
        if outcome in (b"fenced", b"cancelled"):
            raise Fenced(f"request {claim.request_id} is {outcome.decode()} for attempt {claim.attempt}")
        return -1 if outcome == b"short" else int(detail)

    def count_refusal(self, request_id: str) -> None:
        """Note that the exchange refused this request for the rate."""
        self._count_refusal([keys.request(request_id)], [])

    def cancel(self, request_id: str, exchange: str) -> str:
        """End the request, also while a worker runs it; ``cancelled``, or the state it had ended in."""
        return str(self._cancel(_where(request_id, exchange), [request_id, keys.REQUEST_TTL_MS]).decode())

    def overdue(self, exchange: str) -> list[str]:
        """Ids of unfinished requests of the exchange that nobody looked after in time; each to one caller only."""
        furthest_ms = max(QUEUED_GRACE_MS, LEASE_MS)
        found = self._overdue([keys.open_requests(exchange)], [QUEUED_GRACE_MS, _MOST_OVERDUE, furthest_ms])
        names = {raw: raw.decode(errors="replace") for raw in found}
        strange = [raw for raw, name in names.items() if not NAME.fullmatch(name)]
        if strange:
            self._redis.zrem(keys.open_requests(exchange), *strange)
        return [name for raw, name in names.items() if raw not in strange]

    def let_go(self, request_id: str, exchange: str) -> None:
        """Look after the request no more if it has ended or is not known; one accepted again since is looked after."""
        self._let_go([keys.request(request_id), keys.open_requests(exchange)], [request_id])

    def status(self, request_id: str) -> RequestStatus | None:
        """Where the request stands; None when nobody knows it (any more).

        Raises:
            DecodeError: Its record is none of ours.
        """
        return self.statuses([request_id])[0]

    def statuses(self, request_ids: list[str]) -> list[RequestStatus | None]:
        """Where the requests stand, in one round trip.

        Raises:
            DecodeError: A record is none of ours.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            for request_id in request_ids:
                pipeline.hgetall(keys.request(request_id))
            answers = pipeline.execute(raise_on_error=False)
        return [_status(*found) for found in zip(request_ids, answers, strict=True)]

    def entries(self, request_id: str, start: int = 0) -> list[tuple[str, str]]:
        """The request's pages from number ``start`` on, in order, as (stream, entry id).

        Raises:
            DecodeError: A line of the list names no entry.
        """
        lines: list[bytes] = self._redis.lrange(keys.pages(request_id), start, -1)  # type: ignore[assignment]
        return [_entry(request_id, line.decode(errors="replace")) for line in lines]


def _where(request_id: str, exchange: str) -> list[str]:
    return [keys.request(request_id), keys.open_requests(exchange), keys.pages(request_id)]


def _entry(request_id: str, line: str) -> tuple[str, str]:
    stream, _, entry = line.rpartition(" ")
    if not stream.startswith(keys.PREFIX) or not _ENTRY_ID.fullmatch(entry):
        raise DecodeError(f"the list of pages of request {request_id} holds {line[:80]!r}, no entry; ask again")
    return stream, entry


def _status(request_id: str, raw: Any) -> RequestStatus | None:
    if isinstance(raw, RedisError):
        if "WRONGTYPE" not in str(raw):
            raise raw  # the server is busy, or refuses: nothing is wrong with the record
        raise _unreadable(request_id, raw) from raw
    if b"state" not in raw:
        return None
    try:
        fields: dict[str, Any] = {key.decode(): value.decode(errors="replace") for key, value in raw.items()}
        fields["request"] = {**msgspec.json.decode(fields.pop("args"), type=dict[str, Any]), "request_id": request_id}
        if "error" in fields:
            fields["failure"] = msgspec.json.decode(fields.pop("error"))
        return msgspec.convert(fields, RequestStatus, strict=False)
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as error:
        raise _unreadable(request_id, error) from error


def _unreadable(request_id: str, error: Exception) -> DecodeError:
    return DecodeError(f"the record {keys.request(request_id)} cannot be read ({error}); delete it")
