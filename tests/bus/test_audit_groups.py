"""The audit finds every violation in groups and records that is planted in a real server."""

import threading
from typing import Any

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.audit import audit
from bus.codec import column, columns, decode, encode, numbers
from bus.groups import GroupBook
from bus.messages import AlignedBatch, Candle
from bus.requests import RequestBook
from tests.bus.audit_bus import (
    ALIGNED,
    BINGX,
    Entries,
    ask,
    fetch,
    found,
    ids,
    numbered,
    promises,
    rewrite,
    rewrite_batch,
    set_aside,
)
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, align

pytestmark = pytest.mark.usefixtures("healthy_bus")


def aligned_row(redis: Redis, place: int) -> AlignedBatch:
    entries: Any = redis.xrange(ALIGNED)
    return decode(entries[place][1][b"b"], AlignedBatch)


def test_an_aligned_row_with_another_candle(redis: Redis) -> None:
    batch = aligned_row(redis, 0)
    source = batch.sources[SERIES[0]]
    closes = numbers("d", source.c)
    closes[5] += 0.25
    changed = batch.sources | {SERIES[0]: msgspec.structs.replace(source, c=column("d", closes))}
    entry_id = rewrite_batch(redis, 0, ALIGNED, sources=changed)
    (only,) = found(redis)
    assert (only.promise, only.group, only.entry_id, only.open_ms) == ("P6", "g", entry_id, 5 * MINUTE_MS)


def test_an_aligned_row_that_is_missing(redis: Redis) -> None:
    batch = aligned_row(redis, 0)
    sources = {
        name: msgspec.structs.replace(source, **{f: getattr(source, f)[8:] for f in "tohlcv"})
        for name, source in batch.sources.items()
    }
    rewrite_batch(redis, 0, ALIGNED, n=batch.n - 1, t=batch.t[8:], spread=batch.spread[8:], sources=sources)
    assert [(one.promise, one.open_ms, one.found) for one in found(redis)] == [("P6", 0, "none")]


def test_an_aligned_row_too_many(redis: Redis) -> None:
    batch = aligned_row(redis, 0)
    at_ms = 13 * MINUTE_MS
    extra = columns([Candle(at_ms, 1.0, 1.0, 1.0, 1.0, 1.0)])
    sources = {name: msgspec.structs.replace(source, **extra) for name, source in batch.sources.items()}
    one = msgspec.structs.replace(batch, n=1, t=column("q", [at_ms]), spread=column("q", [0]), sources=sources)

    def with_extra(entries: Entries) -> Entries:
        ((entry_id, fields),) = entries
        before, after = cut(batch, 13)
        made = [(f"{at_ms - MINUTE_MS}-1", before), (f"{at_ms}-1", one), (entry_id, after)]
        return numbered([(name, fields | {b"b": encode(body)}) for name, body in made])

    rewrite(redis, ALIGNED, with_extra)
    redis.set(keys.sequence(ALIGNED), 3)
    assert [(one.promise, one.open_ms, one.expected) for one in found(redis)] == [("P6", at_ms, f"no row of {at_ms}")]


def cut(batch: AlignedBatch, rows: int) -> tuple[AlignedBatch, AlignedBatch]:
    """The first rows of a batch, and the others."""
    parts = []
    for cut_at in (slice(None, 8 * rows), slice(8 * rows, None)):
        sources = {
            name: msgspec.structs.replace(source, **{f: getattr(source, f)[cut_at] for f in "tohlcv"})
            for name, source in batch.sources.items()
        }
        t, spread = batch.t[cut_at], batch.spread[cut_at]
        parts.append(msgspec.structs.replace(batch, n=len(t) // 8, t=t, spread=spread, sources=sources))
    return parts[0], parts[1]


def test_a_spread_that_is_not_that_of_the_candles(redis: Redis) -> None:
    rewrite_batch(redis, 0, ALIGNED, spread=column("q", [1] * aligned_row(redis, 0).n))
    assert promises(redis) == {"P6"}


def test_an_aligned_stream_that_was_deleted(redis: Redis) -> None:
    redis.delete(ALIGNED)
    assert promises(redis) == {"P6"}


def test_a_candle_changed_after_its_row_that_nobody_was_told_of(redis: Redis) -> None:
    redis.delete(keys.late("g"), keys.sequence(keys.late("g")))
    report = audit(redis)
    assert (report.violations, report.checked["rows that cannot be told"]) == ([], 28)


def test_a_state_of_a_group_that_cannot_be_read(redis: Redis) -> None:
    redis.set(keys.group_state("g"), b"?")
    assert promises(redis) == {"P6"}


def test_entries_trimmed_before_a_group_had_read_them(redis: Redis) -> None:
    fetch(redis, "b3", "bingx", version=3)
    redis.xtrim(BINGX, maxlen=1, approximate=False)
    assert "P14" in promises(redis)


def test_entries_trimmed_that_a_group_had_read_and_not_acknowledged(redis: Redis) -> None:
    fetch(redis, "b3", "bingx", pages=4, version=3)  # one page ahead of the other series
    align(redis, GroupBook(redis).get("g"))
    assert found(redis) == []
    waiting = ids(redis, BINGX)[-1]
    redis.xdel(BINGX, waiting)
    assert ("P14", waiting) in {(one.promise, one.entry_id) for one in found(redis)}


def test_a_stream_that_is_not_kept_for_its_group(redis: Redis) -> None:
    redis.xgroup_destroy(BINGX, keys.align_consumer_group("g"))
    assert [(one.promise, one.stream, one.group) for one in found(redis)] == [("P14", BINGX, "g")]


def test_a_request_that_nobody_looks_after(redis: Redis) -> None:
    RequestBook(redis).release(ask(redis, "lost", "bingx", 30))
    redis.zrem(keys.open_requests("bingx"), "lost")
    assert [(one.promise, one.request_id) for one in found(redis)] == [("P3", "lost")]


def test_a_live_request_whose_record_runs_out(redis: Redis) -> None:
    ask(redis, "short", "bingx", 30)
    redis.pexpire(keys.request("short"), 60_000)
    assert [(one.promise, one.request_id) for one in found(redis)] == [("P3", "short")]


@pytest.mark.parametrize("fields", [{"state": "lost"}, {"state": "failed", "error": ""}])
def test_an_end_that_is_none(redis: Redis, fields: dict[str, str]) -> None:
    redis.hset(keys.request("b1"), mapping=fields)  # type: ignore[arg-type]
    assert "P3" in promises(redis)


def test_a_record_that_is_kept_for_ever(redis: Redis) -> None:
    redis.persist(keys.request("b1"))
    assert [(one.promise, one.request_id) for one in found(redis)] == [("P16", "b1")]


def test_too_many_dead_letters(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        set_aside(redis, BINGX, f"1-{number}", b"")
    monkeypatch.setattr(keys, "DEAD_MAX_ENTRIES", -99)
    assert [(one.promise, one.stream) for one in found(redis)] == [("P16", keys.dead(BINGX))]


def test_it_is_sound_while_others_publish_align_and_trim(redis: Redis, server: str) -> None:
    group = GroupBook(redis).get("g")
    over = threading.Event()

    def go_on() -> None:
        for number in range(12):
            for exchange in ("bingx", "kucoinfutures"):
                fetch(redis, f"{exchange}-{number}", exchange, pages=4 + number, version=10 + number)
            align(redis, group)
        over.set()

    worker = threading.Thread(target=go_on)
    worker.start()
    seen = []
    while not over.is_set():
        seen += found(redis)
    worker.join()
    assert seen == []
