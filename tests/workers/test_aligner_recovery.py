"""The aligner on a real server that lost something: memory, a stream, a consumer group, an owner."""

import pytest
from redis import Redis

import workers.aligner.group
import workers.aligner.rounds
from bus import keys
from bus.codec import candles_of
from bus.connection import connect
from bus.errors import DecodeError
from bus.groups import GroupBook
from bus.messages import Candle, CandleBatch, Group, LateCandles
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import (
    SERIES,
    VENUES,
    Owner,
    late,
    minutes,
    publish,
    settle_both,
    stream_of,
    unacknowledged,
    written,
)
from workers.aligner.consumer import AlignerProcess
from workers.aligner.group import READ_COUNT


def test_an_owner_whose_server_went_back_takes_up_what_the_server_has(redis: Redis, group: Group) -> None:
    settle_both(redis, 0, 3)
    owner = Owner(redis, group)
    owner.align()
    aligned = keys.aligned("g")
    names = [keys.group_state("g"), keys.group_lease("g"), aligned, keys.sequence(aligned), *map(stream_of, VENUES)]
    copies = {name: redis.dump(name) for name in names}
    settle_both(redis, 3, 6)
    owner.align()
    for name, copy in copies.items():
        redis.restore(name, 0, copy, replace=True)  # type: ignore[arg-type]
    settle_both(redis, 3, 9)
    assert owner.step() == "stale"
    owner.restart()
    owner.align()
    assert minutes(written(redis)) == list(range(9))


def test_a_former_owner_that_goes_on_reading_keeps_nothing_from_its_successor(redis: Redis, group: Group) -> None:
    """As where it was paused, or lost its lease to a step of the server's clock, and does not know it yet."""
    former = Owner(redis, group, "former")
    settle_both(redis, 0, 3)
    former.align()
    redis.hset(keys.group_lease("g"), "until", 1)
    successor = Owner(redis, group, "successor")
    successor.align()
    settle_both(redis, 3, 6)
    assert former.step() == "lost"
    successor.align()
    assert minutes(written(redis)) == list(range(6))
    assert [unacknowledged(redis, exchange) for exchange in VENUES] == [0, 0]


def test_a_stream_that_somebody_deleted_is_read_again_once_it_is_back(redis: Redis, group: Group, server: str) -> None:
    settle_both(redis, 0, 3)
    own = connect(server)
    process = AlignerProcess(own)
    for _ in range(3):
        process.step()
    redis.delete(stream_of("bingx"))
    settle_both(redis, 3, 6)
    process._ready["g"] = None
    process.step()
    assert process.held == []
    process._share()
    for _ in range(3):
        process.step()
    assert minutes(written(redis)) == list(range(6))
    own.close()


def test_what_waited_is_read_again_where_somebody_destroyed_the_consumer_group(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", range(6), 0, 6)
    publish(redis, "kucoinfutures", range(3), 0, 3)
    owner = Owner(redis, group)
    owner.align()
    redis.xgroup_destroy(stream_of("bingx"), keys.align_consumer_group("g"))
    assert owner.step() == "removed"
    GroupBook(redis).begin_reading(group)
    publish(redis, "kucoinfutures", range(3, 6), 3, 6)
    owner.restart()
    owner.align()
    assert minutes(written(redis)) == list(range(6))
    assert late(redis) == []


def test_it_is_read_again_though_an_owner_ended_in_the_middle_of_that(redis: Redis, group: Group) -> None:
    for minute in range(READ_COUNT + 2):
        settle_both(redis, minute, minute + 1)
    publish(redis, "bingx", range(10, 13), 10, 13)
    owner = Owner(redis, group)
    owner.align()
    redis.xgroup_destroy(stream_of("bingx"), keys.align_consumer_group("g"))
    GroupBook(redis).begin_reading(group)
    publish(redis, "kucoinfutures", range(10, 13), 10, 13)
    owner.restart()
    assert owner.step() == "idle"
    owner._rounds._read([owner.aligner], {})  # pending now, and no commit knows of it
    owner.restart()
    owner.align()
    assert minutes(written(redis)) == list(range(13))
    assert late(redis) == []


def test_where_what_waited_is_gone_for_good_the_rows_wait_for_it(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", range(6), 0, 6)
    publish(redis, "kucoinfutures", range(3), 0, 3)
    owner = Owner(redis, group)
    owner.align()
    redis.xtrim(stream_of("bingx"), maxlen=0, approximate=False)
    publish(redis, "kucoinfutures", range(3, 6), 3, 6)
    owner.restart()
    owner.align()
    assert minutes(written(redis)) == [0, 1, 2]
    assert GroupBook(redis).status("g").held_by == SERIES[0]
    publish(redis, "bingx", range(3, 6), 3, 6, version=2, price_of=1)
    owner.align()
    assert minutes(written(redis)) == list(range(6))


def fail_once(monkeypatch: pytest.MonkeyPatch, minute: int) -> None:
    """The next candles that begin with that minute cannot be taken, once."""
    left = [minute * MINUTE_MS]

    def taken(batch: CandleBatch | LateCandles) -> list[Candle]:
        if batch.since in left:
            left.remove(batch.since)
            raise DecodeError("cannot be taken")
        return candles_of(batch)

    monkeypatch.setattr(workers.aligner.group, "candles_of", taken)


def test_the_rows_of_an_entry_that_could_not_be_taken_wait_for_it(
    redis: Redis, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch, 1)
    for minute in range(3):
        settle_both(redis, minute, minute + 1)
    owner = Owner(redis, group)
    owner.align()
    owner.restart()
    owner.align()
    assert minutes(written(redis)) == [0]
    assert redis.xlen(keys.dead(stream_of("bingx"))) == 1
    publish(redis, "bingx", [1], 1, 2)
    owner.align()
    assert minutes(written(redis)) == [0, 1, 2]


def test_one_that_fails_as_it_is_read_again_does_not_stand_for_another_that_is_missing(
    redis: Redis, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(3):
        publish(redis, "bingx", [minute], minute, minute + 1)
    owner = Owner(redis, group)
    owner.align()
    waiting = redis.xpending_range(stream_of("bingx"), keys.align_consumer_group("g"), "-", "+", 10)
    redis.xack(stream_of("bingx"), keys.align_consumer_group("g"), waiting[1]["message_id"])
    fail_once(monkeypatch, 0)
    publish(redis, "kucoinfutures", range(3), 0, 3)
    owner.restart()
    owner.align()
    assert minutes(written(redis)) == [0, 1, 2], "the stream is read again, and so is the one that failed"
    assert late(redis) == []


def test_rows_are_written_when_the_servers_memory_has_run_out(redis: Redis, group: Group) -> None:
    settle_both(redis, 0, 3)
    owner = Owner(redis, group)
    redis.config_set("maxmemory", 1)
    try:
        owner.align()
    finally:
        redis.config_set("maxmemory", 0)
    assert len(written(redis)) == 3
