"""The audit finds every violation in pages that is planted in a real server, and none where there is none."""

from typing import Any

import pytest
from redis import Redis

from bus import keys
from bus.audit import audit
from bus.codec import columns, decode
from bus.errors import BusError
from bus.messages import Candle, CandleBatch, Gap
from bus.requests import RequestBook
from bus.streams import Publisher
from tests.bus.audit_bus import (
    BINGX,
    KUCOIN,
    Entries,
    ask,
    fetch,
    found,
    ids,
    numbered,
    page_of,
    promises,
    rewrite,
    rewrite_batch,
    set_aside,
)
from tests.helpers import MINUTE_MS

pytestmark = pytest.mark.usefixtures("healthy_bus")


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
