"""Groups shared out among aligner processes that join, leave, crash and pause; each row once, as in the batch form."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bus import keys
from bus.alignment import align_candles
from bus.child import Child
from bus.codec import decode, rows_of
from bus.connection import connect
from bus.group_leases import GroupLeases, fair_share
from bus.groups import GroupBook
from bus.messages import AlignedBatch, Candle
from bus.settings import Settings, child_environment
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, candle, publish
from workers.aligner.consumer import AlignerProcess
from workers.supervisor import command

VENUES = ("bingx", "kucoinfutures")


def add_groups(redis: Redis, count: int) -> list[str]:
    names = [f"g{number}" for number in range(count)]
    for name in names:
        GroupBook(redis).add(name, SERIES, "1m", start_ms=0)
    return names


@pytest.mark.parametrize(
    ("groups", "processes", "share"), [(10, 3, 4), (10, 1, 10), (9, 3, 3), (2, 5, 1), (0, 4, 0), (5, 0, 5)]
)
def test_a_fair_share_leaves_no_group_without_an_owner(groups: int, processes: int, share: int) -> None:
    assert fair_share(groups, processes) == share
    assert share * max(1, processes) >= groups


def share(processes: Sequence[AlignerProcess]) -> None:
    for process in processes:
        process._share()


@pytest.fixture
def three(server: str) -> Iterator[list[AlignerProcess]]:
    clients = [connect(server) for _ in range(3)]
    yield [AlignerProcess(client) for client in clients]
    for client in clients:
        client.close()


def test_whoever_joins_gets_an_even_share_and_whoever_leaves_gives_it_back(
    redis: Redis, three: list[AlignerProcess]
) -> None:
    names = add_groups(redis, 10)
    share(three[:1])
    assert sorted(three[0].held) == names
    for _ in range(2):
        share(three)
    assert sorted(len(process.held) for process in three) == [2, 4, 4]
    assert sorted(name for process in three for name in process.held) == names
    three[2].is_stopping = True
    three[2].run()
    share(three[:2])
    assert sorted(name for process in three[:2] for name in process.held) == names
    assert [len(process.held) for process in three[:2]] == [5, 5]


def test_who_is_silent_for_a_lease_loses_its_share_and_can_change_nothing_when_it_wakes(
    redis: Redis, three: list[AlignerProcess]
) -> None:
    names = add_groups(redis, 4)
    silent, other = three[:2]
    share([silent])
    silent._align(names)
    # As if a lease's time had passed without a word.
    redis.zadd(keys.aligners(), dict.fromkeys(redis.zrange(keys.aligners(), 0, -1), 1))  # type: ignore[union-attr]
    for name in names:
        redis.hset(keys.group_lease(name), "until", 1)
    share([other])
    assert sorted(other.held) == names
    for exchange in VENUES:
        publish(redis, exchange, [0], 0, 1)
    silent._align(silent.held)
    assert silent.held == []
    assert sum(redis.xlen(keys.aligned(name)) for name in names) == 0
    other._align(names)
    other._align(names)
    assert [redis.xlen(keys.aligned(name)) for name in names] == [1] * 4


def test_a_process_of_named_groups_takes_these_and_leaves_the_sharing_to_the_others(redis: Redis, server: str) -> None:
    add_groups(redis, 4)
    own = connect(server)
    named, others = AlignerProcess(own, ["g1"]), AlignerProcess(own)
    share([named, others])
    assert (named.held, sorted(others.held)) == (["g1"], ["g0", "g2", "g3"])
    own.close()


def test_a_group_that_was_removed_leaves_no_lease_behind(redis: Redis, three: list[AlignerProcess]) -> None:
    add_groups(redis, 1)
    GroupBook(redis).remove("g0")
    assert GroupLeases(redis, "me").take(["g0"], 1) == {}
    assert not redis.exists(keys.group_lease("g0"))


def test_a_group_whose_state_cannot_be_read_does_not_hold_up_the_others(
    redis: Redis, three: list[AlignerProcess]
) -> None:
    add_groups(redis, 2)
    redis.set(keys.group_state("g0"), b"no state")
    process = three[0]
    share([process])
    assert process.held == ["g1"]
    for exchange in VENUES:
        publish(redis, exchange, [0], 0, 1)
    for _ in range(2):
        process.step()
    assert redis.xlen(keys.aligned("g1")) == 1


def owners(redis: Redis, names: Sequence[str]) -> Counter[str]:
    found = [GroupBook(redis).status(name).owner for name in names]
    return Counter(owner for owner in found if owner)


def wait_until(is_so: Any, seconds: float) -> float:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, "not in time"
        time.sleep(0.05)
    return time.monotonic() - began


def pid_of(owner: str) -> int:
    return int(owner.rsplit("-", 2)[1])


@pytest.mark.slow
def test_rows_come_once_and_equal_the_batch_though_one_of_three_is_killed_and_one_paused(
    redis: Redis, server: str, tmp_path: Path
) -> None:
    names = add_groups(redis, 12)
    env = child_environment(Settings(redis_url=server, home=tmp_path))
    with (tmp_path / "log").open("wb") as log:
        children = [Child(command("aligner"), env=env, output=log, grace_s=5) for _ in range(3)]
        try:
            wait_until(lambda: sorted(owners(redis, names).values()) == [4, 4, 4], 20)
            publish_minutes(redis, 0, 20)
            killed, paused, _ = owners(redis, names)
            os.kill(pid_of(killed), signal.SIGKILL)
            os.kill(pid_of(paused), signal.SIGSTOP)
            publish_minutes(redis, 20, 40)
            took = wait_until(
                lambda: all(redis.xlen(keys.aligned(name)) and rows(redis, name) == expected(40) for name in names), 20
            )
            assert took < 10  # takeover of both shares and all
            assert paused not in owners(redis, names)
            publish_minutes(redis, 40, 50)
            os.kill(pid_of(paused), signal.SIGCONT)
            wait_until(lambda: all(rows(redis, name) == expected(50) for name in names), 10)
            wait_until(lambda: sorted(owners(redis, names).values()) == [6, 6], 20)
            publish_minutes(redis, 50, 60)
            wait_until(lambda: all(rows(redis, name) == expected(60) for name in names), 10)
        finally:
            for child in children:
                child.stop()
    assert owners(redis, names) == Counter()


def publish_minutes(redis: Redis, since: int, until: int) -> None:
    for minute in range(since, until):
        for exchange in VENUES:
            publish(redis, exchange, [minute] if has(exchange, minute) else [], minute, minute + 1)


def has(exchange: str, minute: int) -> bool:
    return (minute * 7 + len(exchange)) % 5 > 0


def expected(until: int) -> list[dict[str, Candle]]:
    data = {
        one: [candle(exchange, minute) for minute in range(until) if has(exchange, minute)]
        for one, exchange in zip(SERIES, VENUES, strict=True)
    }
    return [row.candles for row in align_candles(data, 60_000, MINUTE_MS)]


def rows(redis: Redis, name: str) -> list[dict[str, Candle]]:
    found: Any = redis.xrange(keys.aligned(name))
    return [row for _, fields in found for row in rows_of(decode(fields[b"b"], AlignedBatch))]
