"""The aligner on a real server: candles that come late, come again, or come far too early."""

import random

from redis import Redis

from bus import keys
from bus.groups import GroupBook
from bus.messages import Group
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import (
    SERIES,
    Owner,
    align,
    candle,
    late,
    minutes,
    publish,
    settle_both,
    stream_of,
    unacknowledged,
    written,
)
from workers.sweeper import trim_streams


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
