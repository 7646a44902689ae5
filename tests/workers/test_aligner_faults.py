"""The aligner on a real server when things go wrong: late candles, far ahead ones, crashes, silence, lost memory."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

import workers.aligner.group
import workers.aligner.rounds
from bus import keys
from bus.alignment import align_candles
from bus.codec import candles_of
from bus.connection import connect
from bus.errors import DecodeError
from bus.group_state import Restored, restored
from bus.group_status import members_of
from bus.groups import GroupBook
from bus.membership import align_pieces
from bus.messages import Candle, CandleBatch, Group, LateCandles
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import (
    SERIES,
    Owner,
    align,
    candle,
    late,
    publish,
    stream_of,
    unacknowledged,
    written,
)
from workers.aligner.consumer import AlignerProcess
from workers.aligner.group import READ_COUNT
from workers.sweeper import trim_streams

VENUES = ("bingx", "kucoinfutures")


@pytest.fixture
def group(redis: Redis) -> Group:
    return GroupBook(redis).add("g", SERIES, "1m", start_ms=0)


def settle_both(redis: Redis, since: int, until: int, version: int = 1) -> None:
    for exchange in VENUES:
        publish(redis, exchange, range(since, until), since, until, version)


def minutes(rows: list[dict[str, Candle]]) -> list[int]:
    return [next(iter(row.values())).open_time // MINUTE_MS for row in rows]


def test_a_candle_that_comes_changed_after_its_row_goes_to_the_late_stream_and_is_counted(
    redis: Redis, group: Group
) -> None:
    settle_both(redis, 0, 3)
    align(redis, group)
    publish(redis, "bingx", [1, 2], 1, 3, version=7)
    align(redis, group)
    assert late(redis) == [("bingx", "changed", 7, [1, 2])]
    assert GroupBook(redis).status("g").late == {SERIES[0]: 2, SERIES[1]: 0}
    assert len(written(redis)) == 3


def test_a_late_candle_is_told_once_though_whoever_read_it_died(redis: Redis, group: Group) -> None:
    settle_both(redis, 0, 3)
    owner = Owner(redis, group)
    owner.align()
    # This entry also settles minute 3, so it stays unacknowledged, and is read again by every successor.
    publish(redis, "bingx", [2, 3], 2, 4, version=7)
    for _ in range(3):
        owner.align()
        assert unacknowledged(redis, "bingx") == 1
        owner.restart()
    assert late(redis) == [("bingx", "changed", 7, [2])]


def test_a_correction_before_the_row_is_final_is_counted_and_used(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1, version=1)
    publish(redis, "bingx", [0], 0, 1, version=2)
    owner = Owner(redis, group)
    owner.align()
    owner.restart()
    publish(redis, "kucoinfutures", [0], 0, 1)
    owner.align()
    assert written(redis)[0][SERIES[0]] == candle("bingx", 0, 2)
    assert GroupBook(redis).status("g").corrections == {SERIES[0]: 1, SERIES[1]: 0}


def test_old_candles_that_come_again_are_not_late_and_a_changed_one_among_them_is(redis: Redis, group: Group) -> None:
    settle_both(redis, 0, 200)
    align(redis, group)
    publish(redis, "bingx", range(200), 0, 200, version=9, price_of=1)
    align(redis, group)
    assert late(redis) == []
    assert GroupBook(redis).status("g").late == {SERIES[0]: 0, SERIES[1]: 0}
    publish(redis, "bingx", [17], 17, 18, version=10)
    publish(redis, "bingx", range(18, 40), 18, 40, version=10, price_of=1)
    align(redis, group)
    assert late(redis) == [("bingx", "forgotten", 10, [17])]


def test_batches_far_ahead_are_kept_as_ids_and_read_again_when_their_time_comes(redis: Redis, group: Group) -> None:
    owner, chance = Owner(redis, group), random.Random(5)  # noqa: S311 - the same story every time
    ahead = [k * 500 for k in range(20)]
    chance.shuffle(ahead)
    for since in ahead:
        publish(redis, "bingx", range(since, since + 500), since, since + 500)
    owner.align()
    status = GroupBook(redis).status("g")
    assert status.pending[SERIES[0]] <= 1_024 + 500
    assert status.deferred[SERIES[0]] == 20 - 3
    assert status.lags_ms == {SERIES[0]: 0, SERIES[1]: 10_000 * MINUTE_MS}
    assert unacknowledged(redis, "bingx") == 20
    for since in range(0, 10_000, 1_000):
        publish(redis, "kucoinfutures", range(since, since + 1_000), since, since + 1_000)
        if chance.random() < 0.5:
            owner.restart()
        owner.align()
        assert GroupBook(redis).status("g").pending[SERIES[0]] <= 1_024 + 500
    assert minutes(written(redis)) == list(range(10_000))
    assert (unacknowledged(redis, "bingx"), unacknowledged(redis, "kucoinfutures")) == (0, 0)


def test_the_state_is_small_whatever_waits_and_however_long_the_group_runs(redis: Redis, group: Group) -> None:
    settle_both(redis, 0, 3_000)
    for since in range(3_000, 9_000, 500):
        publish(redis, "bingx", range(since, since + 500), since, since + 500)
    align(redis, group)
    assert GroupBook(redis).status("g").pending[SERIES[0]] >= 1_024
    assert redis.strlen(keys.group_state("g")) < 3_000


def test_streams_are_not_trimmed_past_what_a_group_must_read_again(redis: Redis, group: Group) -> None:
    redis.config_set("stream-node-max-entries", 1)  # which is how much a trim leaves
    publish(redis, "bingx", range(5), 0, 5, entry_id="1-0")
    publish(redis, "bingx", range(5, 9), 5, 9, entry_id="2-0")
    publish(redis, "kucoinfutures", range(5), 0, 5, entry_id="1-0")
    align(redis, group)
    assert trim_streams(redis, "bingx") == 1  # the first is decided, the second waits for the other series
    assert redis.xlen(stream_of("bingx")) == 1
    publish(redis, "kucoinfutures", range(5, 9), 5, 9, entry_id="2-0")
    align(redis, group)
    assert len(written(redis)) == 9
    publish(redis, "bingx", [9], 9, 10, entry_id="3-0")
    align(redis, group)
    assert trim_streams(redis, "bingx") == 1
    assert redis.xlen(stream_of("bingx")) == 1
    redis.config_set("stream-node-max-entries", 100)


def test_an_entry_trimmed_by_hand_before_its_time_is_told_and_holds_the_group(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", range(2_000), 0, 2_000)
    publish(redis, "bingx", [2_000], 2_000, 2_001)
    owner = Owner(redis, group)
    owner.align()
    redis.xtrim(stream_of("bingx"), maxlen=0, approximate=False)
    publish(redis, "kucoinfutures", range(2_001), 0, 2_001)
    owner.align()
    assert len(written(redis)) == 2_000
    assert redis.xlen(keys.dead(stream_of("bingx"))) == 1
    publish(redis, "bingx", [2_000], 2_000, 2_001, version=2, price_of=1)
    owner.align()
    assert len(written(redis)) == 2_001


def test_a_series_that_stalls_holds_the_group_and_is_named(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1, version=60_000)
    publish(redis, "kucoinfutures", [0], 0, 1, version=60_000)
    publish(redis, "bingx", [1], 1, 2, version=120_000)
    publish(redis, "bingx", range(2, 60), 2, 60, version=3_600_000)
    align(redis, group)
    status = GroupBook(redis).status("g")
    assert (status.held_by, status.held_ms) == (SERIES[1], 3_480_000)
    assert status.lags_ms == {SERIES[0]: 0, SERIES[1]: 59 * MINUTE_MS}
    assert minutes(written(redis)) == [0]


def test_with_detach_rows_go_on_without_a_stalled_series_until_it_is_back(redis: Redis) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0, detach_after_s=90)
    owner = Owner(redis, group)
    final: dict[str, list[Candle]] = {one: [] for one in SERIES}
    for minute in range(12):
        for one, exchange in zip(SERIES, VENUES, strict=True):
            if exchange == "kucoinfutures" and 4 <= minute < 8:
                continue
            publish(redis, exchange, [minute], minute, minute + 1, version=(minute + 1) * MINUTE_MS, price_of=1)
            final[one].append(candle(exchange, minute, 1))
        owner.align()
        if minute % 3 == 0:
            owner.restart()
        # The first page that was fetched 90 s after minute 4 of the other series decides.
        assert len(written(redis)) == (minute + 1 if minute not in (4, 5) else 4)
    log = members_of(redis, group)
    assert [row.candles for row in align_pieces(final, 60_000, MINUTE_MS, log)] == written(redis)
    assert [piece.members for piece in log] == [tuple(SERIES), (SERIES[0],), tuple(SERIES)]
    assert [len(row) for row in written(redis)] == [2] * 4 + [1] * 5 + [2] * 3


def test_an_aligner_that_was_away_does_not_take_a_series_for_silent(redis: Redis) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0, detach_after_s=60)
    for minute in range(100):
        publish(redis, "bingx", [minute], minute, minute + 1, version=(minute + 1) * MINUTE_MS)
    for minute in range(100):
        publish(redis, "kucoinfutures", [minute], minute, minute + 1, version=(minute + 1) * MINUTE_MS)
    align(redis, group)
    assert [len(row) for row in written(redis)] == [2] * 100


def test_rows_of_fewer_series_come_in_batches_of_their_own(redis: Redis) -> None:
    third = "bingx:ETH/USDT:USDT"
    group = GroupBook(redis).add("g", [*SERIES, third], "1m", start_ms=0, min_sources=1)
    publish(redis, "bingx", [0, 1], 0, 3)
    publish(redis, "kucoinfutures", [0, 2], 0, 3)
    align(redis, group)
    assert written(redis) == []  # nobody knows yet whether the third has a candle
    group = regroup(redis, [*SERIES], min_sources=1)
    align(redis, group)
    assert [list(row) for row in written(redis)] == [SERIES, SERIES[:1], SERIES[1:]]


def regroup(redis: Redis, series: list[str], **options: Any) -> Group:
    book = GroupBook(redis)
    book.remove("g")
    return book.add("g", series, "1m", start_ms=0, **options)


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
