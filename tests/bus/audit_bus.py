"""A small bus in which all promises are kept, and hands that break one."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from redis import Redis

from bus import keys
from bus.audit import Violation, audit
from bus.codec import columns, decode, encode
from bus.fetch_request import FetchRequest
from bus.groups import GroupBook
from bus.messages import AlignedBatch, CandleBatch, DeadLetter, Gap
from bus.requests import Claim, RequestBook
from bus.streams import Publisher
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, align, candle, stream_of

BINGX, KUCOIN = stream_of("bingx"), stream_of("kucoinfutures")
ALIGNED = keys.aligned("g")
#: Minutes of a page, and minutes that have no candle.
PAGE, QUIET = 10, {"kucoinfutures": {13, 14}, "bingx": set[int]()}


def ask(redis: Redis, request_id: str, exchange: str, minutes: int) -> Claim:
    """A request whose first turn a worker has begun."""
    request = FetchRequest(
        request_id=request_id,
        exchange=exchange,
        symbol="BTC/USDT:USDT",
        timeframe="1m",
        since=0,
        until=minutes * MINUTE_MS,
    )
    book = RequestBook(redis)
    book.accept(request)
    claim = book.claim(request, 1, "w")
    assert isinstance(claim, Claim)
    book.fix_span(claim, 0, minutes * MINUTE_MS)
    return claim


def page_of(claim: Claim, page: int, *, version: int = 1, since: int | None = None) -> CandleBatch:
    """A page of a request, as a worker makes it."""
    first = page * PAGE if since is None else since
    quiet = QUIET[claim.exchange]
    minutes = [minute for minute in range(first, first + PAGE) if minute not in quiet]
    return CandleBatch(
        exchange=claim.exchange,
        symbol="BTC/USDT:USDT",
        timeframe="1m",
        request_id=claim.request_id,
        page=page,
        version=version,
        since=first * MINUTE_MS,
        until=(first + PAGE) * MINUTE_MS,
        volume_unit="base",
        n=len(minutes),
        gaps=tuple(
            Gap(m * MINUTE_MS, (m + 1) * MINUTE_MS, "no_trades") for m in sorted(quiet) if first <= m < first + PAGE
        ),
        **columns([candle(claim.exchange, minute, version) for minute in minutes]),
    )


def fetch(redis: Redis, request_id: str, exchange: str, pages: int = 3, version: int = 1) -> Claim:
    """A request that is done."""
    claim = ask(redis, request_id, exchange, pages * PAGE)
    publisher = Publisher(redis)
    for page in range(pages):
        assert publisher.publish(claim, page_of(claim, page, version=version)).outcome == "published"
    assert RequestBook(redis).finish(claim)
    return claim


def healthy(redis: Redis) -> None:
    """Two series asked for and aligned; one of them asked for again, with other candles, when the rows were out."""
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    fetch(redis, "b1", "bingx")
    fetch(redis, "k1", "kucoinfutures")
    align(redis, group)
    fetch(redis, "b2", "bingx", version=2)
    align(redis, group)


def found(redis: Redis) -> list[Violation]:
    return audit(redis).violations


def promises(redis: Redis) -> set[str]:
    """Which promises the audit finds broken."""
    return {violation.promise for violation in found(redis)}


def ids(redis: Redis, stream: str) -> list[str]:
    entries: Any = redis.xrange(stream)
    return [entry_id.decode() for entry_id, _ in entries]


Entries = list[tuple[str, dict[bytes, bytes]]]


def rewrite(redis: Redis, stream: str, change: Callable[[Entries], Entries]) -> None:
    """Replace the entries of a stream; its groups have read them all."""
    entries: Any = redis.xrange(stream)
    groups: Any = redis.xinfo_groups(stream)
    redis.delete(stream)
    for entry_id, fields in change([(entry_id.decode(), fields) for entry_id, fields in entries]):
        redis.xadd(stream, fields, id=entry_id)
    for group in groups:
        redis.xgroup_create(stream, group["name"], id="$", entries_read=group["entries-read"])


def rewrite_batch(redis: Redis, place: int, stream: str = BINGX, **fields: Any) -> str:
    """Replace fields of the batch at that place in a stream; the entry's id."""

    def change(entries: Entries) -> Entries:
        entry_id, parts = entries[place]
        batch: Any = decode(parts[b"b"], AlignedBatch if stream == ALIGNED else CandleBatch)
        entries[place] = (entry_id, parts | {b"b": encode(msgspec.structs.replace(batch, **fields))})
        return entries

    rewrite(redis, stream, change)
    return ids(redis, stream)[place]


def set_aside(redis: Redis, stream: str, entry_id: str, body: bytes, reason: str = "no") -> str:
    """What an aligner does with an entry that it cannot take; the id of the letter."""
    letter = DeadLetter(stream=stream, entry_id=entry_id, reason=reason, body=body)
    letter_id: Any = redis.xadd(keys.dead(stream), {"b": encode(letter)})
    return str(letter_id.decode())


def numbered(entries: Sequence[tuple[str, dict[bytes, bytes]]]) -> Entries:
    """The entries with the numbers that their places give them."""
    return [
        (entry_id, fields | {b"s": str(number).encode()}) for number, (entry_id, fields) in enumerate(entries, start=1)
    ]
