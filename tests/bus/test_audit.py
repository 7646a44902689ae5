"""The audit finds every kind of violation that is planted in a real server, and none where there is none."""

import threading
from typing import Any

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.audit import audit
from bus.codec import column, columns, decode, encode, numbers
from bus.errors import BusError
from bus.groups import GroupBook
from bus.messages import AlignedBatch, Candle, CandleBatch, Gap
from bus.requests import RequestBook
from bus.streams import Publisher
from tests.bus.audit_bus import (
    ALIGNED,
    BINGX,
    KUCOIN,
    Entries,
    ask,
    fetch,
    found,
    healthy,
    ids,
    numbered,
    page_of,
    promises,
    rewrite,
    rewrite_batch,
    set_aside,
)
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, align


@pytest.fixture(autouse=True)
def _bus(redis: Redis) -> None:
    healthy(redis)
    assert found(redis) == []


def test_an_empty_server_is_clean(redis: Redis) -> None:
    redis.flushall()
    assert audit(redis).is_clean


def test_it_says_how_much_it_looked_at(redis: Redis) -> None:
    checked = audit(redis).checked
    assert (checked["streams"], checked["pages"], checked["candles"]) == (2, 9, 88)
    assert (checked["requests"], checked["groups"], checked["rows"]) == (3, 1, 28)


def test_requests_in_every_state_are_clean(redis: Redis) -> None:
    book = RequestBook(redis)
    running = ask(redis, "running", "bingx", 30)
    Publisher(redis).publish(running, page_of(running, 0))
    book.fail(ask(redis, "failed", "bingx", 30), BusError("no"))
    book.release(ask(redis, "queued", "bingx", 30))
    book.release(ask(redis, "cancelled", "bingx", 30))
    book.cancel("cancelled", "bingx")
    assert found(redis) == []


def test_an_id_that_begins_anew_with_other_arguments_is_clean(redis: Redis) -> None:
    fetch(redis, "b1", "bingx", pages=2)
    assert found(redis) == []


def test_pages_that_were_trimmed_in_time_are_clean_and_counted(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.xtrim(BINGX, minid=ids(redis, BINGX)[2], approximate=False)
    monkeypatch.setattr(keys, "STREAM_KEEP_MS", -1)
    report = audit(redis)
    assert report.violations == []
    assert report.checked["trimmed pages"] == 2


def test_pages_that_were_trimmed_too_early_are_missing(redis: Redis) -> None:
    gone = ids(redis, BINGX)[1]
    redis.xtrim(BINGX, minid=ids(redis, BINGX)[2], approximate=False)
    first = found(redis)[0]
    assert (first.promise, first.request_id, first.entry_id) == ("P1", "b1", gone)


@pytest.mark.parametrize("place", range(6))
def test_a_deleted_entry(redis: Redis, place: int) -> None:
    redis.xdel(BINGX, ids(redis, BINGX)[place])
    assert promises(redis) >= {"P1"}


@pytest.mark.parametrize("place", range(6))
def test_an_entry_that_was_written_twice(redis: Redis, place: int) -> None:
    entries: Any = redis.xrange(BINGX)
    again = redis.xadd(BINGX, entries[place][1] | {b"s": str(redis.incr(keys.sequence(BINGX)))})
    twice = [violation for violation in found(redis) if violation.entry_id == again.decode()]  # type: ignore[union-attr]
    assert "P1" in {violation.promise for violation in twice}


def test_pages_in_another_order(redis: Redis) -> None:
    def swapped(entries: Entries) -> Entries:
        (first_id, first), (second_id, second), *rest = entries
        return numbered([(first_id, second), (second_id, first), *rest])

    rewrite(redis, BINGX, swapped)
    assert promises(redis) == {"P1"}


def test_a_page_in_the_stream_of_another_series(redis: Redis) -> None:
    rewrite_batch(redis, 0, symbol="ETH/USDT:USDT")
    assert "candles of this stream" in {violation.expected for violation in found(redis)}


def test_a_number_left_out(redis: Redis) -> None:
    def renumbered(entries: Entries) -> Entries:
        return [*entries[:-1], (entries[-1][0], entries[-1][1] | {b"s": b"7"})]

    rewrite(redis, BINGX, renumbered)
    redis.set(keys.sequence(BINGX), 7)
    assert [str(one) for one in found(redis)] == [
        f"P1 not kept: stream {BINGX}, entry {ids(redis, BINGX)[-1]}: expected number 6, found number 7"
    ]


def test_a_number_on_record_that_is_not_the_last_one(redis: Redis) -> None:
    redis.incr(keys.sequence(BINGX))
    assert promises(redis) == {"P1"}


@pytest.mark.parametrize("minute", [0, 20, 40])
def test_a_checkpoint_that_was_moved(redis: Redis, minute: int) -> None:
    redis.hset(keys.request("b1"), "next_ms", minute * MINUTE_MS)
    assert {(one.promise, one.request_id) for one in found(redis)} == {("P1", "b1")}


@pytest.mark.parametrize("name", ["pages", "candles", "gap_slots"])
def test_a_count_that_is_wrong(redis: Redis, name: str) -> None:
    redis.hincrby(keys.request("k1"), name, 1)
    assert {(one.promise, one.request_id) for one in found(redis)} == {("P1", "k1")}


def test_a_list_of_pages_that_was_cut(redis: Redis) -> None:
    redis.rpop(keys.pages("k1"))
    assert {(one.promise, one.request_id) for one in found(redis)} == {("P1", "k1")}


@pytest.mark.parametrize(
    "changed", [{"high": 0.5}, {"low": 9e9}, {"volume": -1.0}, {"open": -1.0, "low": -1.0}, {"high": 2e15}]
)
def test_a_candle_that_cannot_be(redis: Redis, changed: dict[str, float]) -> None:
    candle = Candle(0, 2.0, 2.0, 2.0, 2.0, 1.0)._replace(**changed)
    entry_id = rewrite_batch(redis, 0, n=1, until=MINUTE_MS, **columns([candle]))
    assert ("P10", entry_id) in {(one.promise, one.entry_id) for one in found(redis)}


def test_an_entry_that_cannot_be_read(redis: Redis) -> None:
    entry_id = rewrite_batch(redis, 0, t=b"")
    assert ("P10", entry_id) in {(one.promise, one.entry_id) for one in found(redis)}


def test_an_entry_of_somebody_else_is_clean_once_a_dead_letter_names_it(redis: Redis) -> None:
    entry_id: Any = redis.xadd(BINGX, {"b": b"not ours"})
    assert promises(redis) == {"P1", "P10"}
    set_aside(redis, BINGX, entry_id.decode(), b"not ours")
    assert found(redis) == []


def without_minute(batch: CandleBatch, place: int) -> dict[str, Any]:
    parts = {name: bytes(getattr(batch, name)) for name in "tohlcv"}
    return {"n": batch.n - 1} | {name: data[: 8 * place] + data[8 * (place + 1) :] for name, data in parts.items()}


def batch_at(redis: Redis, place: int, stream: str = BINGX) -> CandleBatch:
    entries: Any = redis.xrange(stream)
    return decode(entries[place][1][b"b"], CandleBatch)


def test_a_candle_missing_without_a_gap(redis: Redis) -> None:
    entry_id = rewrite_batch(redis, 1, **without_minute(batch_at(redis, 1), 4))
    assert ("P7", entry_id) in {(one.promise, one.entry_id) for one in found(redis)}


@pytest.mark.parametrize(
    "gaps",
    [
        (Gap(13 * MINUTE_MS, 16 * MINUTE_MS, "no_trades"),),
        (Gap(13 * MINUTE_MS, 15 * MINUTE_MS, "no_trades"), Gap(14 * MINUTE_MS, 15 * MINUTE_MS, "no_trades")),
        (Gap(13 * MINUTE_MS, 15 * MINUTE_MS - 1, "no_trades"),),
        (),
    ],
)
def test_gaps_that_do_not_fill_what_the_candles_leave(redis: Redis, gaps: tuple[Gap, ...]) -> None:
    entry_id = rewrite_batch(redis, 1, KUCOIN, gaps=gaps)
    assert ("P7", entry_id) in {(one.promise, one.entry_id) for one in found(redis)}


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
