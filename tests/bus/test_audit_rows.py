"""The audit of rows finds nothing wrong with what an aligner wrote, whatever came late, twice or changed."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis import Redis

from bus import keys
from bus.audit.report import Checked
from bus.audit.rows import rows
from bus.connection import connect
from bus.groups import GroupBook
from bus.messages import Group
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, Owner, align, publish, stream_of, written

VENUES = ("bingx", "kucoinfutures")


def found(redis: Redis, group: Group) -> tuple[list[str], Checked]:
    checked = Checked()
    return [str(violation) for violation in rows(redis, group, checked)], checked


def live(redis: Redis, owner: Owner, chance: random.Random) -> None:
    """Pages of both series, mostly in order; some revised, some late, some missing, and owners that die."""
    silent = chance.choice([None, *VENUES])
    version = 1
    for since in range(0, 120, 6):
        for venue in VENUES:
            if venue == silent and 24 <= since < 84:
                continue
            back = chance.choice([0, 0, 0, 6, 12]) if since >= 12 else 0
            version += 60_000
            minutes = [minute for minute in range(since - back, since + 6 - back) if (minute * 5 + len(venue)) % 9]
            price_of = chance.choice([0, 0, 0, version])
            publish(redis, venue, minutes, since - back, since + 6 - back, version, price_of=price_of)
            if back:
                publish(redis, venue, range(since, since + 6), since, since + 6, version + 1, price_of=0)
        if chance.random() < 0.6:
            owner.align()
        if chance.random() < 0.2:
            owner.restart()
    owner.align()


@given(st.integers(0, 2**32), st.sampled_from([None, 1]), st.sampled_from([None, 300]))
@example(seed=23622, min_sources=None, detach_after_s=None)  # a late candle came once more, and its row's was trimmed
@settings(deadline=None, max_examples=25)
def test_whatever_came_the_rows_are_found_to_be_those_of_the_batch_form(
    server: str, seed: int, min_sources: int | None, detach_after_s: int | None
) -> None:
    redis = connect(server)
    redis.flushall()
    policy = {"min_sources": min_sources, "detach_after_s": detach_after_s}
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=3 * MINUTE_MS, **policy)
    live(redis, Owner(redis, group), random.Random(seed))  # noqa: S311
    told, checked = found(redis, group)
    assert told == []
    assert checked["rows"] == len(written(redis))
    redis.xtrim(stream_of("bingx"), maxlen=5, approximate=False)
    assert found(redis, group)[0] == []
    redis.close()


def test_the_membership_log_says_which_rows_are_due(redis: Redis) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0, detach_after_s=60)
    publish(redis, "bingx", range(3), 0, 3, 1)
    publish(redis, "kucoinfutures", range(3), 0, 3, 1)
    publish(redis, "bingx", range(3, 9), 3, 9, 10)
    publish(redis, "bingx", [], 9, 9, 100_000)
    align(redis, group)
    assert len(written(redis)) == 9
    assert found(redis, group)[0] == []
    publish(redis, "kucoinfutures", range(3, 12), 3, 12, 100_001)
    publish(redis, "bingx", range(9, 12), 9, 12, 100_002)
    align(redis, group)
    assert len(written(redis)) > 9
    assert found(redis, group)[0] == []
    redis.delete(keys.group_members("g"))
    assert {text.partition(": ")[2] for text in found(redis, group)[0]} != set()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_trimmed_stream_leaves_the_rows_of_its_entries_untold_and_the_others_checked(redis: Redis, lost: int) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    for since in (0, 3, 6):
        for venue in VENUES:
            publish(redis, venue, range(since, since + 3), since, since + 3)
    align(redis, group)
    redis.xtrim(stream_of("bingx"), maxlen=3 - lost, approximate=False)
    told, checked = found(redis, group)
    assert (told, checked["rows"], checked["rows that cannot be told"]) == ([], 9, 3 * lost)
    redis.delete(keys.aligned("g"))
    assert len(found(redis, group)[0]) == 3 * (3 - lost)
