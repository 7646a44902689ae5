"""The aligner on a real server through stories of losses and deaths, drawn by chance: rows as of a batch."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

import workers.aligner.group
import workers.aligner.rounds
from bus import keys
from bus.alignment import align_candles
from bus.connection import connect
from bus.group_state import Restored, restored
from bus.group_status import members_of
from bus.groups import GroupBook
from bus.membership import align_pieces
from bus.messages import Candle, Group
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import (
    SERIES,
    VENUES,
    Owner,
    candle,
    late,
    minutes,
    publish,
    stream_of,
    unacknowledged,
    written,
)


def lose(redis: Redis, chance: random.Random, group: Group) -> None:
    """Somebody takes from a group what waits in it: all of a stream, or one entry."""
    place, consumers = chance.randrange(2), keys.align_consumer_group("g")
    stream, last = stream_of(VENUES[place]), restored(redis, [group])[0]
    assert isinstance(last, Restored)
    waiting = redis.xpending_range(stream, consumers, "-", last.progress[place].read_id, 100)
    if chance.random() < 0.5:
        redis.xgroup_destroy(stream, consumers)
    elif waiting:
        redis.xack(stream, consumers, chance.choice(waiting)["message_id"])


def story(redis: Redis, chance: random.Random, group: Group, *more: str) -> None:
    """Pages in any order, some twice, read by owners that die before, between and after their commits."""
    pages = []
    for exchange in VENUES:
        cuts = sorted({0, 40, *chance.sample(range(40), chance.choice([4, 12]))})
        for since, until in itertools.pairwise(cuts):
            kept = [m for m in range(since, until) if (m * 7 + len(exchange)) % 5]
            pages += [(exchange, kept, since, until)] * chance.choice([1, 1, 2])
    chance.shuffle(pages)
    if chance.random() < 0.5:
        pages.sort(key=lambda page: page[2] + chance.randrange(10))  # roughly as they come live
    owners = [Owner(redis, group, "first")]
    for number, page in enumerate(pages):
        publish(redis, *page, version=number * 20_000, price_of=1)
        owner = owners[-1]
        match chance.choice(["step", "step", "align", "die", "die after reading", "replaced", "wait", *more]):
            case "step":
                owner.step()
            case "align":
                owner.align()
            case "die":
                owner.restart()
            case "die after reading":
                name = keys.align_consumer_group("g")
                redis.xreadgroup(name, "aligner", dict.fromkeys(map(stream_of, VENUES), ">"), chance.choice([None, 2]))
                owner.restart()
            case "die before a commit":
                redis.script_flush()
                owner.step()
                owner.restart()
            case "forgotten":
                lose(redis, chance, group)
                GroupBook(redis).begin_reading(group)
                owner.restart()
            case "replaced":
                owner.leases.release(["g"])
                owners.append(Owner(redis, group, f"successor {len(owners)}"))
                owner.step()  # too late, and without any effect
    owners[-1].restart()
    owners[-1].align()


def final_candles() -> dict[str, list[Candle]]:
    return {
        one: [candle(exchange, m) for m in range(40) if (m * 7 + len(exchange)) % 5]
        for one, exchange in zip(SERIES, VENUES, strict=True)
    }


def doubted(redis: Redis) -> set[int]:
    """Minutes of old candles that came again and stand in no row, of which nobody can tell whether they changed."""
    found = late(redis)
    assert {reason for _, reason, _, _ in found} <= {"forgotten"}
    return {minute for *_, at in found for minute in at}


stories = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32)
aheads = st.sampled_from([3, 8, 1_024])


@stories
@given(seed=seeds, ahead=aheads)
def test_every_row_is_written_once_whoever_dies_when(server: str, seed: int, ahead: int) -> None:
    with connect(server) as redis, pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers.aligner.group, "_AHEAD_CANDLES", ahead)
        redis.flushall()
        group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
        story(redis, random.Random(seed), group)  # noqa: S311 - the same story for one seed
        assert written(redis) == [row.candles for row in align_candles(final_candles(), 60_000, MINUTE_MS)]
        assert not doubted(redis) & set(minutes(written(redis)))
        assert [unacknowledged(redis, exchange) for exchange in VENUES] == [0, 0]


@stories
@given(seed=seeds, ahead=aheads)
def test_rows_are_the_same_where_somebody_destroys_the_consumer_group_or_acknowledges_by_hand(
    server: str, seed: int, ahead: int
) -> None:
    with connect(server) as redis, pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers.aligner.group, "_AHEAD_CANDLES", ahead)
        redis.flushall()
        group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
        patch.setattr(workers.aligner.rounds, "READ_COUNT", 2)
        patch.setattr(workers.aligner.group, "READ_COUNT", 2)
        more = ["forgotten", "forgotten", "die before a commit", "die before a commit"]
        story(redis, random.Random(seed), group, *more)  # noqa: S311 - the same story for one seed
        assert written(redis) == [row.candles for row in align_candles(final_candles(), 60_000, MINUTE_MS)]
        assert [unacknowledged(redis, exchange) for exchange in VENUES] == [0, 0]


@stories
@given(seed=seeds, ahead=aheads, least=st.sampled_from([None, 1]))
def test_rows_follow_the_log_where_silent_series_are_left_out(
    server: str, seed: int, ahead: int, least: int | None
) -> None:
    with connect(server) as redis, pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers.aligner.group, "_AHEAD_CANDLES", ahead)
        redis.flushall()
        book = GroupBook(redis)
        group = book.add("g", SERIES, "1m", start_ms=0, detach_after_s=60, min_sources=least)
        story(redis, random.Random(seed), group)  # noqa: S311 - the same story for one seed
        log = members_of(redis, group)
        rows = [row.candles for row in align_pieces(final_candles(), 60_000, MINUTE_MS, log, least)]
        out = written(redis)
        assert out == rows[: len(out)]
        decided_ms = book.status("g").decided_ms
        assert all(min(c.open_time for c in row.values()) >= decided_ms for row in rows[len(out) :])
        assert not doubted(redis) & {m for row in out for m in minutes([row]) if len(row) == 2}
