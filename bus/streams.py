"""Candle and aligned streams: publish a page once, read entries by id, follow a stream as it grows."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
from redis import Redis

from bus import keys
from bus.codec import M, decode, encode
from bus.counters import gap_slots_by_reason, page_counters
from bus.errors import DecodeError, EntriesLost, Fenced
from bus.fetch_request import FetchRequest
from bus.messages import AlignedBatch, CandleBatch, QuarantinedRows, Rejected
from bus.requests import LEASE_MS, Claim
from bus.scripts import Argument, Script

#: Below the socket timeout of the connection, so that an idle wait is no error.
_BLOCK_MS: Final = 2_000
_READ_COUNT: Final = 50
#: Of a page's rows in quarantine so many are kept, and so many characters of each.
_MOST_ROWS: Final = 20
_LONGEST_ROW: Final = 200
#: Publishers wait when so much of the server's maxmemory is in use: what is left is for queues, records and aligners.
MEMORY_HIGH_WATER: Final = 0.9

PublishOutcome = Literal["published", "duplicate", "gap", "full"]


class Published(msgspec.Struct, frozen=True):
    """What became of a page.

    Attributes:
        outcome: ``gap`` and ``duplicate``: the request's checkpoint is ``checkpoint_ms``, go on from there;
            ``full``: the stream is at its high-water mark, come back later.
        entry_id: The page's entry, where it was published.
    """

    outcome: PublishOutcome
    entry_id: str = ""
    checkpoint_ms: int = 0


class Publisher:
    """Appends the pages of requests to candle streams."""

    def __init__(self, redis: Redis, *, high_water: int = keys.STREAM_HIGH_WATER) -> None:
        self._redis = redis
        self._publish = Script(redis, "publish")
        self._high_water = high_water

    def has_room(self, request: FetchRequest) -> bool:
        """Whether the request's stream is below its high-water mark, and the server's memory below its own."""
        stream = keys.candles(request.exchange, request.timeframe, request.symbol)
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xlen(stream)
            pipeline.info("memory")
            entries, memory = pipeline.execute()
        most = int(memory.get("maxmemory", 0))
        is_full = most and int(memory.get("used_memory", 0)) >= MEMORY_HIGH_WATER * most
        return int(entries) < self._high_water and not is_full

    def publish(
        self,
        claim: Claim,
        batch: CandleBatch,
        *,
        requests: int = 0,
        long_decimals: int = 0,
        rejected: Sequence[Rejected] = (),
    ) -> Published:
        """Append the page ``[batch.since, batch.until)`` unless it is there; sending it again is harmless.

        Args:
            rejected: Rows that came for the page and cannot be true; they go to the exchange's quarantine with it.

        Raises:
            Fenced: Another attempt holds the request, or it was cancelled.
        """
        stream = keys.candles(batch.exchange, batch.timeframe, batch.symbol)
        names = [
            stream,
            keys.sequence(stream),
            keys.request(claim.request_id),
            keys.pages(claim.request_id),
            keys.open_requests(claim.exchange),
            keys.streams(),
            keys.counters(claim.exchange),
            keys.quarantine(claim.exchange),
        ]
        counts = [batch.n, gap_slots(batch), requests, long_decimals]
        span = [batch.since, batch.until]
        args: list[Argument] = [
            claim.request_id,
            claim.fence,
            *span,
            encode(batch),
            LEASE_MS,
            *counts,
            self._high_water,
            len(rejected),
            encode(quarantined(batch, rejected)) if rejected else b"",
            keys.QUARANTINE_MAX_ENTRIES,
            *page_counters(batch, rejected),
        ]
        outcome, detail = self._publish(names, args)
        if outcome in (b"fenced", b"cancelled"):
            raise Fenced(f"request {claim.request_id} is {outcome.decode()} for attempt {claim.attempt}")
        if outcome == b"published":
            return Published("published", entry_id=detail.decode())
        return Published(outcome.decode(), checkpoint_ms=int(detail))


def quarantined(batch: CandleBatch, rejected: Sequence[Rejected]) -> QuarantinedRows:
    """The message about rows that were kept out of a page; its length is bounded."""
    about = {name: getattr(batch, name) for name in ("exchange", "symbol", "timeframe", "request_id", "page")}
    first = [one._replace(row=one.row[:_LONGEST_ROW]) for one in rejected[:_MOST_ROWS]]
    return QuarantinedRows(**about, since=batch.since, until=batch.until, n=len(rejected), rows=tuple(first))


def gap_slots(batch: CandleBatch) -> int:
    """How many open times of the batch have no candle."""
    return sum(gap_slots_by_reason(batch).values())


class Entry(msgspec.Struct, frozen=True):
    """One stream entry: its id, its number in the stream and its body."""

    entry_id: str
    number: int
    body: bytes

    @classmethod
    def of(cls, stream: str, raw: tuple[bytes, dict[bytes, bytes]]) -> "Entry":
        """The entry as redis-py returns it.

        Raises:
            DecodeError: It has not our fields.
        """
        entry_id, fields = raw[0].decode(), raw[1]
        try:
            return cls(entry_id, int(fields.get(b"s", b"0")), fields[b"b"])
        except (KeyError, ValueError) as error:
            raise DecodeError(f"entry {entry_id} of {stream} is no candlebus entry ({error!r})") from error


def fetch_entries(redis: Redis, where: Sequence[tuple[str, str]]) -> list[CandleBatch]:
    """The batches of those (stream, entry id), in that order.

    Raises:
        EntriesLost: One has been trimmed.
        DecodeError: One is not a batch of ours.
    """
    with redis.pipeline(transaction=False) as pipeline:
        for stream, entry_id in where:
            pipeline.xrange(stream, entry_id, entry_id)
        answers = pipeline.execute()
    batches = []
    for (stream, entry_id), found in zip(where, answers, strict=True):
        if not found:
            raise EntriesLost(f"entry {entry_id} of {stream} was trimmed before it was read; ask again")
        batches.append(_decoded(stream, Entry.of(stream, found[0]), CandleBatch))
    return batches


def follow(redis: Redis, stream: str, start: str = "now") -> Iterator[CandleBatch | None]:
    """The batches of a candle stream as they come, each once; None where none came for two seconds.

    Args:
        start: ``now``, ``start`` or the entry id after which to begin.

    Raises:
        EntriesLost: Entries were trimmed before they were read.
        DecodeError: An entry is not a batch of ours; the text names it.
    """
    for entry in _unbroken(redis, stream, start):
        yield None if entry is None else _decoded(stream, entry, CandleBatch)


def follow_aligned(redis: Redis, group: str, start: str = "now") -> Iterator[AlignedBatch | None]:
    """The batches of an aligned stream, as :func:`follow`."""
    stream = keys.aligned(group)
    for entry in _unbroken(redis, stream, start):
        yield None if entry is None else _decoded(stream, entry, AlignedBatch)


def _unbroken(redis: Redis, stream: str, start: str) -> Iterator[Entry | None]:
    """As :func:`_entries`, up to where entries went before they were read."""
    expected = None
    for entry in _entries(redis, stream, start):
        if entry is not None:
            if expected is not None and entry.number > expected:
                lost = f"{entry.number - expected} entries of {stream} before {entry.entry_id}"
                raise EntriesLost(f"{lost} were trimmed before they were read")
            expected = entry.number + 1
        yield entry


def _entries(redis: Redis, stream: str, start: str) -> Iterator[Entry | None]:
    last = {"start": "0-0", "now": _last_id(redis, stream)}.get(start, start)
    while True:
        answer: Any = redis.xread({stream: last}, count=_READ_COUNT, block=_BLOCK_MS)
        found = (
            next(iter(answer.values()))[0] if isinstance(answer, dict) and answer else answer[0][1] if answer else []
        )
        if not found:
            yield None
        for raw in found:
            entry = Entry.of(stream, raw)
            last = entry.entry_id
            yield entry


def _last_id(redis: Redis, stream: str) -> str:
    newest: Any = redis.xrevrange(stream, count=1)
    return newest[0][0].decode() if newest else "0-0"


def _decoded(stream: str, entry: Entry, kind: type[M]) -> M:
    try:
        return decode(entry.body, kind)
    except DecodeError as error:
        raise type(error)(f"entry {entry.entry_id} of {stream}: {error}") from error
