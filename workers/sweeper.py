"""Puts back requests that nobody looks after any more, and trims the streams that everybody has read."""

import logging
from typing import Any

from redis import Redis

from bus import keys
from bus.clock import RedisClock
from bus.queue import enqueue_turn, is_waiting
from bus.requests import RequestBook

_log = logging.getLogger(__name__)


def put_back_overdue(redis: Redis, exchange: str) -> list[str]:
    """Enqueue the unfinished requests of the exchange whose lease ran out and whose job is in no queue; their ids.

    Needs no lock: each overdue request is handed to one caller, and a turn that is enqueued twice is claimed once.
    """
    book = RequestBook(redis)
    put_back = []
    for request_id in book.overdue(exchange):
        status = book.status(request_id)
        if status is None or status.has_ended:
            redis.zrem(keys.open_requests(exchange), request_id)
        elif not is_waiting(redis, status.request, status.turn):
            enqueue_turn(redis, status.request, status.turn)
            put_back.append(request_id)
            _log.warning("request put back", extra={"request_id": request_id, "turn": status.turn})
    return put_back


def trim_streams(redis: Redis, exchange: str) -> int:
    """Drop the exchange's entries that are older than an hour and read by every ``align:*`` group; how many."""
    before_ms = RedisClock(redis).now_ms() - keys.STREAM_KEEP_MS
    names: Any = redis.sscan_iter(keys.streams())
    prefix = keys.candles(exchange, "", "").rstrip(":")
    own = (name.decode() for name in names if name.startswith(f"{prefix}:".encode()))
    return sum(_trim(redis, stream, before_ms) for stream in own)


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
