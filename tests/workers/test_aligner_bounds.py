"""An aligner that catches up leaves no more unread than a server lets a client leave: P16 of docs/reliability.md."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from redis import Redis

from bus import keys
from bus.codec import columns, encode
from bus.groups import GroupBook
from bus.messages import CandleBatch, Group
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, Owner, candle, late, publish
from workers.aligner.consumer import AlignerProcess
from workers.aligner.group import READ_COUNT, GroupAligner
from workers.aligner.portions import MOST_ENTRIES
from workers.aligner.rounds import Round, Rounds
from workers.aligner.wakeup import Wakeup

#: Candles of a page here, 10 kB, and what the server lets a client leave unread: twice as many as one trip may bring.
_PAGE = 200
_UNREAD_BYTES = 2 * MOST_ENTRIES * 10_000


@pytest.fixture
def strict(redis: Redis) -> Iterator[Redis]:
    """A server that soon lets go of a client that does not read."""
    before = redis.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
    redis.config_set("client-output-buffer-limit", f"normal {_UNREAD_BYTES} 0 0")
    yield redis
    redis.config_set("client-output-buffer-limit", before)


def symbols(count: int) -> list[str]:
    return [f"C{number}/USDT:USDT" for number in range(count)]


def fill(redis: Redis, names: Sequence[str], pages: int) -> None:
    """So many pages in the stream of each symbol."""
    for symbol in names:
        for page in range(pages):
            minutes = range(page * _PAGE, (page + 1) * _PAGE)
            span = {"since": minutes.start * MINUTE_MS, "until": minutes.stop * MINUTE_MS, "n": _PAGE}
            about = {"exchange": "bingx", "symbol": symbol, "timeframe": "1m", "request_id": "r", "page": page}
            candles = columns([candle("bingx", minute) for minute in minutes])
            batch = CandleBatch(**about, **span, version=1, volume_unit="base", **candles)  # type: ignore[arg-type]
            redis.xadd(keys.candles("bingx", "1m", symbol), {"s": page + 1, "b": encode(batch)})


def many_groups(redis: Redis, count: int, names: Sequence[str]) -> list[str]:
    groups = [f"g{number:02}" for number in range(count)]
    for name in groups:
        GroupBook(redis).add(name, [f"bingx:{symbol}" for symbol in names], "1m", start_ms=0)
    return groups


def test_many_groups_that_catch_up_get_all_their_rows(strict: Redis) -> None:
    fill(strict, symbols(16), pages=READ_COUNT)
    groups = many_groups(strict, 16, symbols(16))
    process = AlignerProcess(strict)
    for _ in range(200):
        process.step()
        if not process.is_busy:
            break
    last = f"{(READ_COUNT * _PAGE - 1) * MINUTE_MS}-1"
    assert [strict.xrevrange(keys.aligned(name), count=1)[0][0].decode() for name in groups] == [last] * 16  # type: ignore[index, union-attr]


def test_groups_that_found_no_place_in_a_round_come_first_in_the_next(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[list[GroupAligner]] = []
    run = Rounds.run

    def seen(self: Rounds, groups: Sequence[GroupAligner]) -> Round:
        rounds.append(list(groups))
        return run(self, groups)

    monkeypatch.setattr(Rounds, "run", seen)
    fill(redis, symbols(16), pages=2 * READ_COUNT)
    groups = many_groups(redis, 10, symbols(16))
    process = AlignerProcess(redis)
    for _ in range(5):
        process.step()
    turns = [group.group.name for groups in rounds for group in groups]
    assert turns == groups * 2
    assert all(len(groups) * 16 * READ_COUNT <= MOST_ENTRIES for groups in rounds)


def test_a_group_of_as_many_series_as_there_may_be_has_a_round_of_its_own(redis: Redis) -> None:
    fill(redis, symbols(64), pages=1)
    many_groups(redis, 2, symbols(64))
    process = AlignerProcess(redis)
    process.step()
    assert [redis.xlen(keys.aligned(name)) for name in ("g00", "g01")] == [0, 0]  # what was pending comes first
    process.step()
    process.step()
    assert [redis.xlen(keys.aligned(name)) > 0 for name in ("g00", "g01")] == [True, False]


@pytest.fixture
def group(redis: Redis) -> Group:
    return GroupBook(redis).add("g", SERIES, "1m", start_ms=0)


def test_entries_whose_time_comes_all_at_once_are_read_in_portions(strict: Redis, group: Group) -> None:
    owner, copies = Owner(strict, group), 3 * MOST_ENTRIES
    for version in range(1, copies + 1):
        publish(strict, "bingx", range(2_000, 2_000 + _PAGE), 2_000, 2_000 + _PAGE, version, price_of=1)
    owner.align()
    assert GroupBook(strict).status("g").deferred[SERIES[0]] == copies
    for exchange in ("bingx", "kucoinfutures"):
        publish(strict, exchange, range(2_000), 0, 2_000)
    owner.align()
    status = GroupBook(strict).status("g")
    assert (status.rows, status.deferred[SERIES[0]]) == (2_000, 0)


def test_rows_that_are_looked_up_for_what_came_again_are_read_in_portions(strict: Redis, group: Group) -> None:
    owner = Owner(strict, group)
    for since in range(0, 200_000, 500):
        for exchange in ("bingx", "kucoinfutures"):
            publish(strict, exchange, range(since, since + 500), since, since + 500)
    owner.align()
    assert strict.memory_usage(keys.aligned("g"), samples=0) > 2 * _UNREAD_BYTES
    strict.config_set("client-output-buffer-limit", f"normal {2 * _UNREAD_BYTES} 0 0")
    publish(strict, "bingx", range(10), 0, 10, version=2, price_of=1)
    owner.align()
    assert late(strict) == []


def test_thousands_of_streams_are_watched_without_reading_a_page_of_each_at_once(strict: Redis) -> None:
    streams = [f"candlebus:candles:bingx:1m:C{number}" for number in range(4 * MOST_ENTRIES)]
    grow(strict, streams)
    wakeup = Wakeup(strict)
    wakeup.add({"one": streams[: 3 * MOST_ENTRIES], "other": streams[3 * MOST_ENTRIES :]})
    assert wakeup.wait(None) == []
    grow(strict, streams)
    assert wakeup.wait(None) == ["one", "other"]
    grow(strict, streams[-1:])
    assert wakeup.wait(5_000) == ["other"]
    assert wakeup.wait(1) == wakeup.wait(1) == []
    grow(strict, streams[:1])
    assert wakeup.wait(5_000) == ["one"]


def test_of_thousands_of_streams_each_wakes_who_waits_as_soon_as_it_grows(redis: Redis) -> None:
    streams = [f"candlebus:candles:bingx:1m:C{number}" for number in range(4 * MOST_ENTRIES)]
    wakeup = Wakeup(redis)
    wakeup.add({"one": streams[:-1], "other": streams[-1:]})
    publisher = threading.Timer(0.2, grow, (redis, streams[-1:]))
    publisher.start()
    begun = time.monotonic()
    assert wakeup.wait(5_000) == ["other"]
    assert time.monotonic() - begun < 2
    publisher.join()


def grow(redis: Redis, streams: Sequence[str]) -> None:
    """An entry as large as a page in each stream."""
    with redis.pipeline(transaction=False) as pipeline:
        for stream in streams:
            pipeline.xadd(stream, {"s": 1, "b": b"x" * 10_000})
        pipeline.execute()
