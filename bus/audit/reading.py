"""How an audit reads: streams in pages, entries by their heads, records in one step."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from redis import Redis

from bus import keys
from bus.codec import decode
from bus.errors import DecodeError
from bus.messages import DeadLetter, Gap

#: Entries in memory at once: 12 MB of the largest ones.
AT_ONCE: Final = 50
_T = TypeVar("_T")

Fields = dict[bytes, bytes]
Order = tuple[int, int]


class Head(msgspec.Struct, frozen=True, tag="candles.v1", tag_field="type"):
    """What a candle batch says of itself; its columns are passed over."""

    exchange: str
    symbol: str
    timeframe: str
    request_id: str
    page: int
    since: int
    until: int
    n: int
    gaps: tuple[Gap, ...]

    @property
    def stream(self) -> str:
        """Where it belongs."""
        return keys.candles(self.exchange, self.timeframe, self.symbol)


_HEADS: Final = msgspec.msgpack.Decoder(Head)


def head_of(fields: Fields) -> Head | None:
    """The head of an entry; None where it is no candle batch that can be read."""
    try:
        return _HEADS.decode(fields.get(b"b", b""))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def order(entry_id: str) -> Order:
    """By which entry ids compare."""
    at_ms, _, number = entry_id.partition("-")
    return int(at_ms), int(number or 0)


def entries(redis: Redis, stream: str, start: str = "-", end: str = "+") -> Iterator[tuple[str, Fields]]:
    """The entries of a stream from id to id, both inclusive, a page at a time."""
    while found := _page(redis, stream, start, end):
        yield from found
        start = f"({found[-1][0]}"


def _page(redis: Redis, stream: str, start: str, end: str) -> list[tuple[str, Fields]]:
    found: Any = redis.xrange(stream, start, end, count=AT_ONCE)
    return [(entry_id.decode(), fields) for entry_id, fields in found]


def entries_of(redis: Redis, stream: str, ids: Sequence[str]) -> Iterator[tuple[str, Fields | None]]:
    """The entries of those ids; None for one that is not there."""
    for part in batched(ids, AT_ONCE):
        with redis.pipeline(transaction=False) as pipeline:
            for entry_id in part:
                pipeline.xrange(stream, entry_id, entry_id)
            answers: list[Any] = pipeline.execute()
        for entry_id, found in zip(part, answers, strict=True):
            yield entry_id, found[0][1] if found else None


def batched(members: Sequence[_T], most: int) -> Iterator[tuple[_T, ...]]:
    """The members, so many at a time."""
    rest = iter(members)
    while part := tuple(islice(rest, most)):
        yield part


def newest_id(redis: Redis, stream: str) -> str:
    """Id of the last entry of a stream; ``0-0`` where it has none."""
    found: Any = redis.xrevrange(stream, count=1)
    return found[0][0].decode() if found else "0-0"


def oldest_id(redis: Redis, stream: str) -> str | None:
    """Id of the first entry of a stream; None where it has none."""
    found: Any = redis.xrange(stream, count=1)
    return found[0][0].decode() if found else None


def set_aside_ids(redis: Redis, stream: str) -> frozenset[str]:
    """Ids of the stream's entries that are in its dead letters."""
    found = set()
    for _, fields in entries(redis, keys.dead(stream)):
        try:
            found.add(decode(fields.get(b"b", b""), DeadLetter).entry_id)
        except DecodeError:
            continue  # the dead letters are checked on their own
    return frozenset(found)


class Record(NamedTuple):
    """A request as it stood at one instant.

    Attributes:
        fields: Its hash, as text.
        life_ms: Of the hash; -1 where it has no end.
        listed: Its pages, as (stream, entry id).
        listed_life_ms: Of the list; -1 where it has no end, -2 where there is none.
        is_watched: Whether the sweeper has it in its book.
    """

    request_id: str
    fields: dict[str, str]
    life_ms: int
    listed: list[tuple[str, str]]
    listed_life_ms: int
    is_watched: bool

    @property
    def series_stream(self) -> str:
        """The stream to which it publishes."""
        found = arguments_of(self.fields.get("args", ""))
        return keys.candles(*(str(found.get(name, "")) for name in ("exchange", "timeframe", "symbol")))

    def number(self, name: str) -> int:
        """A field of it as a number; 0 where it has none."""
        value = self.fields.get(name, "0")
        return int(value) if value.lstrip("-").isdigit() else 0


def arguments_of(text: str) -> dict[str, Any]:
    """The arguments of a request; empty where they cannot be read."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def record_of(redis: Redis, request_id: str) -> Record | None:
    """The record of a request, read in one step; None where there is none."""
    args: Any = redis.hget(keys.request(request_id), "args")
    exchange = str(arguments_of(args.decode(errors="replace") if args else "").get("exchange", ""))
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.hgetall(keys.request(request_id))
        pipeline.pttl(keys.request(request_id))
        pipeline.lrange(keys.pages(request_id), 0, -1)
        pipeline.pttl(keys.pages(request_id))
        pipeline.zscore(keys.open_requests(exchange), request_id)
        fields, life_ms, listed, listed_life_ms, score = pipeline.execute()
    if not fields:
        return None
    words = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    pairs = [(stream, entry) for stream, _, entry in (line.decode().rpartition(" ") for line in listed)]
    return Record(request_id, words, life_ms, pairs, listed_life_ms, score is not None)
