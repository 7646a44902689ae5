"""Ends requests that no job can claim: a job is made of what the record says, and says it in one form only."""

from typing import Any

from redis import Redis, ResponseError

from bus import keys
from bus.errors import RequestError
from bus.fetch_request import arguments
from bus.requests import Claim, RequestBook, RequestStatus

_NAME = "sweeper"


def give_up_unclaimable(redis: Redis, status: RequestStatus) -> RequestError | None:
    """Fail a queued request whose record no job would claim; why, or None where one would.

    Put back instead, its jobs would be refused one after the other, and whoever follows it would wait for ever.
    """
    recorded: Any = redis.hget(keys.request(status.request.request_id), "args") or b""
    flaw = _flaw(status, recorded)
    if flaw is not None:
        _fail(redis, status, recorded, flaw)
    return flaw


def _flaw(status: RequestStatus, recorded: bytes) -> RequestError | None:
    try:
        status.request.check()
    except RequestError as error:
        return error
    if recorded == arguments(status.request).encode():
        return None
    said = recorded.decode(errors="replace")
    return RequestError(f"no worker can take up what the request's record asks for, {said}; ask again")


def _fail(redis: Redis, status: RequestStatus, recorded: bytes, error: RequestError) -> None:
    book, request = RequestBook(redis), status.request
    try:
        claim = book.claim(request, status.turn, _NAME, recorded)
        if isinstance(claim, Claim):
            book.fail(claim, error)
    except ResponseError:  # fields are missing that every record of ours has: nobody entered it by the book
        redis.zrem(keys.open_requests(request.exchange), request.request_id)
