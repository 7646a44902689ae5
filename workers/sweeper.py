"""Puts back requests that nobody looks after any more, and trims the streams that everybody has read."""

import logging
from typing import Any, Final

from redis import Redis, ResponseError

from bus import keys
from bus.clock import RedisClock
from bus.errors import CandleBusError, RequestError
from bus.queue import enqueue_turn, is_waiting
from bus.requests import RequestBook
from workers.unclaimable import give_up_unclaimable

_log = logging.getLogger(__name__)

#: Every worker looks after lost requests so often.
LOOK_AFTER_EVERY_S: Final = 5.0


def put_back_overdue(redis: Redis, exchange: str) -> list[str]:
    """Enqueue the unfinished requests of the exchange whose lease ran out and whose job is in no queue; their ids.

    Needs no lock: each overdue request is handed to one caller, and a turn that is enqueued twice is claimed once.
    """
    book = RequestBook(redis)
    return [request_id for request_id in book.overdue(exchange) if _put_back(redis, book, request_id, exchange)]


def trim_streams(redis: Redis, exchange: str) -> int:
    """Drop the exchange's entries that are older than an hour and read by every ``align:*`` group; how many."""
    before_ms = RedisClock(redis).now_ms() - keys.STREAM_KEEP_MS
    names = (name.decode(errors="replace") for name in redis.sscan_iter(keys.streams()))
    prefix = keys.candles(exchange, "", "").rstrip(":")
    return sum(_trimmed(redis, stream, before_ms) for stream in names if stream.startswith(f"{prefix}:"))


def _put_back(redis: Redis, book: RequestBook, request_id: str, exchange: str) -> bool:
    """Whether the request's job was lost and is in the queue again; what nobody can put back is reported."""
    try:
        status = book.status(request_id)
        if status is None or status.has_ended:
            book.let_go(request_id, exchange)
            return False
        if status.request.exchange != exchange:
            raise RequestError(f"a request for {status.request.exchange!r} stands in the book of {exchange}")
    except CandleBusError as error:
        _log.error("request given up", extra={"request_id": request_id, "cause": str(error)})
        redis.zrem(keys.open_requests(exchange), request_id)
        return False
    if is_waiting(redis, status.request, status.turn):
        return False
    if flaw := give_up_unclaimable(redis, status):
        _log.error("request failed", extra={"request_id": request_id, "cause": str(flaw)})
        return False
    enqueue_turn(redis, status.request, status.turn)
    _log.warning("request put back", extra={"request_id": request_id, "turn": status.turn})
    return True


def _trimmed(redis: Redis, stream: str, before_ms: int) -> int:
    try:
        return _trim(redis, stream, before_ms)
    except ResponseError as error:  # what is no stream must not keep the others from being trimmed
        _log.error("stream not trimmed", extra={"stream": stream, "cause": str(error)})
        return 0


def _trim(redis: Redis, stream: str, before_ms: int) -> int:
    groups: Any = redis.xinfo_groups(stream) if redis.exists(stream) else []
    oldest = min([(before_ms, 0), *(_needed(redis, stream, group) for group in groups)])
    return int(redis.xtrim(stream, minid=f"{oldest[0]}-{oldest[1]}"))


def _needed(redis: Redis, stream: str, group: dict[str, Any]) -> tuple[int, int]:
    """The first entry id that a group may still want; later than everything for groups that hold nothing back."""
    if not group["name"].startswith(keys.ALIGN_GROUP_PREFIX.encode()):
        return (2**63, 0)
    pending: Any = redis.xpending(stream, group["name"])
    first = pending["min"] if pending["pending"] else group["last-delivered-id"]
    at_ms, _, number = first.decode().partition("-")
    return (int(at_ms), int(number))
