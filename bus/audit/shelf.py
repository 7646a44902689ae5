"""The messages of a stream by the span of time that they are about: ids are kept, bodies are read when wanted."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from redis import Redis

from bus.audit.reading import Fields, entries_of
from bus.codec import decode
from bus.errors import DecodeError
from bus.messages import CandleBatch, LateCandles

_M = TypeVar("_M", CandleBatch, LateCandles)


class Place(NamedTuple):
    """An entry and the span ``[from_ms, to_ms)`` that it is about."""

    entry_id: str
    from_ms: int
    to_ms: int


class Shelf(Generic[_M]):
    """Entries of one stream, to be read by time."""

    def __init__(self, redis: Redis, stream: str, kind: type[_M], places: Sequence[Place]) -> None:
        self._redis, self._stream, self._places = redis, stream, places
        self._kind: type[_M] = kind

    def within(self, from_ms: int, to_ms: int) -> Iterator[tuple[str, _M]]:
        """The messages that touch ``[from_ms, to_ms)``, in the order of the stream, each with its entry id."""
        wanted = [one.entry_id for one in self._places if one.from_ms < to_ms and from_ms < one.to_ms]
        for entry_id, fields in entries_of(self._redis, self._stream, wanted):
            message = self._message(fields)
            if message is not None:
                yield entry_id, message

    def _message(self, fields: Fields | None) -> _M | None:
        try:
            message: Any = decode((fields or {}).get(b"b", b""), self._kind)
        except DecodeError:
            return None  # trimmed since, or told by the check of the stream itself
        return message  # type: ignore[no-any-return]
