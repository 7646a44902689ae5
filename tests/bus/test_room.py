"""Room on the server: publishers wait below its limits, and nothing unread is trimmed to make some."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from bus import keys
from bus.streams import Publisher
from tests.helpers import request
from workers.sweeper import trim_streams

STREAM = keys.candles("bingx", "1m", "BTC/USDT:USDT")


def test_there_is_room_until_the_stream_is_at_its_high_water_mark(redis: Redis) -> None:
    publisher = Publisher(redis, high_water=2)
    redis.xadd(STREAM, {"b": "x"})
    assert publisher.has_room(request())
    redis.xadd(STREAM, {"b": "x"})
    assert not publisher.has_room(request())


def test_there_is_none_while_nine_tenths_of_the_server_s_memory_are_in_use(redis: Redis) -> None:
    limit = redis.config_get("maxmemory")["maxmemory"]
    used = int(redis.info("memory")["used_memory"])
    try:
        for most, room in ((used * 2, True), (int(used * 1.05), False), (0, True)):
            redis.config_set("maxmemory", most)
            assert Publisher(redis).has_room(request()) == room
    finally:
        redis.config_set("maxmemory", limit)


STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "read a", "read b", "read other", "acknowledge", "trim"]), st.integers(1, 4)),
    max_size=40,
)


@pytest.mark.redis
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(steps=STEPS)
def test_no_entry_is_trimmed_that_an_aligner_has_not_read_and_acknowledged(redis: Redis, steps: list[Any]) -> None:
    redis.flushall()
    redis.config_set("stream-node-max-entries", 1)  # the server trims whole nodes
    redis.sadd(keys.streams(), STREAM)
    for group in ("align:a", "align:b", "other"):
        redis.xgroup_create(STREAM, group, id="0", mkstream=True)
    published: list[bytes] = []
    trimmed, acknowledged = 0, {"align:a": set[bytes](), "align:b": set[bytes]()}
    for what, count in steps:
        if what == "publish":
            # Older than an hour, so that only the groups hold them.
            published += [redis.xadd(STREAM, {"b": "x"}, id=f"{len(published) + n + 1}-0") for n in range(count)]
        elif what.startswith("read"):
            group = what[5:] if what == "read other" else f"align:{what[5:]}"
            redis.xreadgroup(group, "c", {STREAM: ">"}, count=count)
        elif what == "acknowledge":
            for group, done in acknowledged.items():
                pending = redis.xpending_range(STREAM, group, "-", "+", count)
                for one in pending[::2]:  # with holes
                    redis.xack(STREAM, group, one["message_id"])
                    done.add(one["message_id"])
        else:
            trimmed += trim_streams(redis, "bingx")
    left = {entry for entry, _ in redis.xrange(STREAM)}
    assert len(left) == len(published) - trimmed
    for done in acknowledged.values():
        assert set(published) - done <= left


def test_what_everybody_has_read_and_is_an_hour_old_is_trimmed(redis: Redis) -> None:
    redis.config_set("stream-node-max-entries", 1)
    redis.sadd(keys.streams(), STREAM)
    redis.xgroup_create(STREAM, "align:a", id="0", mkstream=True)
    old = [redis.xadd(STREAM, {"b": "x"}, id=f"{n}-0") for n in (1, 2, 3)]
    redis.xadd(STREAM, {"b": "x"})
    redis.xreadgroup("align:a", "c", {STREAM: ">"}, count=3)
    redis.xack(STREAM, "align:a", *old[:2])
    assert trim_streams(redis, "bingx") == 2
    redis.xack(STREAM, "align:a", old[2])
    redis.xreadgroup("align:a", "c", {STREAM: ">"})
    assert trim_streams(redis, "bingx") == 1
    assert redis.xlen(STREAM) == 1
