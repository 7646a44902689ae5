"""P1: a request's pages lie in the stream up to its checkpoint, and its counts are what they hold."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from redis import Redis

from bus import keys
from bus.audit.reading import Head, Record, batched, entries_of, head_of, oldest_id, order, record_of
from bus.audit.report import Checked, Violation
from bus.clock import RedisClock
from bus.errors import UnsupportedTimeframe
from bus.timeframes import timeframe

_AT_ONCE = 200


def checkpoint(redis: Redis, request_id: str, checked: Checked) -> Iterator[Violation]:
    """Whether the listed pages fill the request's span up to its checkpoint."""
    record = record_of(redis, request_id)
    if record is None or "state" not in record.fields:
        return
    checked["requests"] += 1
    yield from _of_record(record)
    heads: list[Head | None] = []
    for part in batched(record.listed, _AT_ONCE):
        heads += _heads(redis, part)
    gone = next((k for k, head in enumerate(heads) if head is not None), len(heads))
    checked["trimmed pages"] += gone
    yield from _of_trimmed(redis, record, gone)
    yield from _of_pages(record, heads, gone)
    if not gone:
        yield from _of_counts(record, [head for head in heads if head is not None])


def _heads(redis: Redis, part: tuple[tuple[str, str], ...]) -> Iterator[Head | None]:
    """What the entries say of themselves; None for one that is not there."""
    for stream, alike in groupby(part, key=itemgetter(0)):
        found = entries_of(redis, stream, [entry_id for _, entry_id in alike])
        yield from (None if fields is None else head_of(fields) for _, fields in found)


def _of_record(record: Record) -> Iterator[Violation]:
    said = record.number("pages")
    if said != len(record.listed):
        yield _wrong(record, f"{said} pages, as it counts", f"{len(record.listed)} in its list")
    stray = next((one for one in record.listed if one[0] != record.series_stream), None)
    if stray is not None:
        yield _wrong(record, f"pages in {record.series_stream}", f"one listed in {stray[0]}", entry_id=stray[1])
    reached, end = record.fields.get("next_ms"), record.fields.get("until")
    if record.fields["state"] == "done" and (end is None or reached != end):
        yield _wrong(record, f"done at its end {end}", f"done at its checkpoint {reached}")


def _of_trimmed(redis: Redis, record: Record, gone: int) -> Iterator[Violation]:
    """Entries that are not there must have been old enough to be trimmed, and trimmed with all before them."""
    if not gone:
        return
    stream, entry_id = record.listed[gone - 1]
    oldest = oldest_id(redis, stream)
    before_ms = RedisClock(redis).now_ms() - keys.STREAM_KEEP_MS
    was_deleted = oldest is not None and order(entry_id) >= order(oldest)
    if was_deleted or order(entry_id)[0] > before_ms:
        kept = f"kept for {keys.STREAM_KEEP_MS // 1000} s"
        yield _wrong(record, f"page {gone - 1} of {stream}, {kept}", "no such entry", entry_id=entry_id)


def _of_pages(record: Record, heads: list[Head | None], gone: int) -> Iterator[Violation]:
    """Whether each page is the one that its place says, and begins where the one before it ends."""
    begins = record.number("since") if "since" in record.fields and not gone else None
    for page, head in enumerate(heads[gone:], start=gone):
        entry_id = record.listed[page][1]
        if head is None:
            yield _wrong(record, f"page {page}", "no such entry, or none that can be read", entry_id=entry_id)
            begins = None
            continue
        if head.request_id != record.request_id or head.page != page:
            found = f"page {head.page} of {head.request_id}"
            yield _wrong(record, f"page {page} of {record.request_id}", found, entry_id=entry_id)
        if begins is not None and head.since != begins:
            yield _wrong(record, f"page {page} from {begins}", f"from {head.since}", entry_id=entry_id)
        begins = head.until
    reached = record.fields.get("next_ms")
    if begins is not None and reached is not None and int(reached) != begins:
        yield _wrong(record, f"pages up to the checkpoint {reached}", f"pages up to {begins}")


def _of_counts(record: Record, heads: list[Head]) -> Iterator[Violation]:
    if len(heads) != len(record.listed):
        return  # said already
    counted = {"candles": sum(head.n for head in heads), "gap_slots": sum(map(_gap_slots, heads))}
    for name, there in counted.items():
        if record.number(name) != there:
            yield _wrong(record, f"{name} {record.number(name)}, as it counts", f"{there} in its pages")


def _gap_slots(head: Head) -> int:
    try:
        step_ms = timeframe(head.timeframe).duration_ms
    except UnsupportedTimeframe:
        return 0
    return sum((gap.to_ms - gap.from_ms) // step_ms for gap in head.gaps)


def _wrong(record: Record, expected: str, found: str, *, entry_id: str = "") -> Violation:
    stream = record.series_stream if entry_id else ""
    return Violation(
        promise="P1", stream=stream, entry_id=entry_id, request_id=record.request_id, expected=expected, found=found
    )
