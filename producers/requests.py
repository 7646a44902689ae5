"""The requests on a bus, whoever asked: the open ones of an exchange, and any by its id."""

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

from bus import keys
from bus.errors import DecodeError, RequestError
from bus.requests import RequestBook, RequestStatus
from bus.series import NAME
from bus.text import printable
from producers.client import Pending

_AT_ONCE: Final = 500
_LONGEST_SHOWN: Final = 80


def open_requests(redis: Redis, exchange: str) -> list[RequestStatus | DecodeError]:
    """Where the exchange's open requests stand, those that were accepted first in front; damaged ones at the end."""
    members: Any = redis.zrange(keys.open_requests(exchange), 0, -1)
    ids = [name for name in (member.decode(errors="replace") for member in members) if NAME.fullmatch(name)]
    found = list(_looked_up(RequestBook(redis), ids))
    whole = [one for one in found if isinstance(one, RequestStatus) and not one.has_ended]
    return [*sorted(whole, key=lambda one: one.created_ms), *(one for one in found if isinstance(one, DecodeError))]


def _looked_up(book: RequestBook, ids: list[str]) -> Iterator[RequestStatus | DecodeError | None]:
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        try:
            yield from book.statuses(part)
        except DecodeError:  # one is damaged, which must not hide the others
            yield from (_one(book, request_id) for request_id in part)


def _one(book: RequestBook, request_id: str) -> RequestStatus | DecodeError | None:
    try:
        return book.status(request_id)
    except DecodeError as error:
        return error


def status_of(redis: Redis, request_id: str) -> RequestStatus:
    """Where the request of that id stands, ended ones for an hour.

    Raises:
        RequestError: The bus knows none.
        DecodeError: Its record is damaged.
    """
    status = RequestBook(redis).status(request_id) if NAME.fullmatch(request_id) else None
    if status is None:
        shown = printable(request_id, _LONGEST_SHOWN)
        raise RequestError(f"the bus knows no request {shown!r}; one that has ended is known for an hour")
    return status


def cancel(redis: Redis, request_id: str) -> str:
    """End the request of that id, as :meth:`Pending.cancel`.

    Raises:
        RequestError, DecodeError: As :func:`status_of`.
    """
    return Pending(redis, status_of(redis, request_id).request, is_ours=False).cancel()
