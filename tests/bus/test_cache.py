"""Values under TTL keys on a real server: one loader at a time, however many readers."""

import threading
import time

import pytest
from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import ExchangeUnavailable
from bus.messages import ClockOffset

KEY = keys.clock("bingx")


def offset(low_ms: int) -> ClockOffset:
    return ClockOffset(low_ms=low_ms, high_ms=low_ms + 1, measured_ms=0)


def cache(redis: Redis) -> Cache:
    return Cache(redis, RedisClock(redis))


def test_a_value_is_loaded_once_and_then_shared(redis: Redis) -> None:
    calls: list[int] = []

    def load() -> ClockOffset:
        calls.append(1)
        return offset(5)

    values = [cache(redis).get_or_load(KEY, ClockOffset, 60_000, load) for _ in range(3)]
    assert values == [offset(5)] * 3
    assert len(calls) == 1
    assert 0 < redis.pttl(KEY) <= 60_000


def test_many_readers_at_one_expiry_cause_one_load(redis: Redis) -> None:
    calls: list[int] = []
    together = threading.Barrier(16)

    def load() -> ClockOffset:
        calls.append(1)
        return offset(7)

    def read() -> None:
        together.wait()
        assert cache(redis).get_or_load(KEY, ClockOffset, 60_000, load) == offset(7)

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_load_that_fails_leaves_the_next_caller_free_to_try(redis: Redis) -> None:
    def fail() -> ClockOffset:
        raise ExchangeUnavailable("bingx", "down")

    with pytest.raises(ExchangeUnavailable):
        cache(redis).get_or_load(KEY, ClockOffset, 60_000, fail)
    assert cache(redis).get_or_load(KEY, ClockOffset, 60_000, lambda: offset(1)) == offset(1)


def test_a_loader_that_died_is_replaced_when_its_lease_ends(redis: Redis) -> None:
    redis.set(keys.load_lease(KEY), "dead", px=200)
    assert cache(redis).get_or_load(KEY, ClockOffset, 60_000, lambda: offset(2)) == offset(2)


def test_a_right_that_lasts_longer_than_any_is_left_of_a_clock_that_was_set_back(redis: Redis) -> None:
    redis.set(keys.load_lease(KEY), "dead", px=86_400_000)
    assert cache(redis).get_or_load(KEY, ClockOffset, 60_000, lambda: offset(2)) == offset(2)


def test_a_value_of_another_version_is_loaded_anew(redis: Redis) -> None:
    redis.set(KEY, b"\x81\xa4type\xa8clock.v9")
    assert cache(redis).get_or_load(KEY, ClockOffset, 60_000, lambda: offset(3)) == offset(3)


def test_a_loader_that_lives_keeps_its_right_however_long_it_takes(redis: Redis) -> None:
    began, may_end = threading.Event(), threading.Event()

    def long() -> ClockOffset:
        began.set()
        assert may_end.wait(10)
        return offset(1)

    one, brought = Cache(redis, RedisClock(redis), lease_ms=200), list[ClockOffset]()
    thread = threading.Thread(target=lambda: brought.append(one.get_or_load(KEY, ClockOffset, 60_000, long)))
    thread.start()
    assert began.wait(10)
    assert not redis.set(keys.load_lease(KEY), "another", nx=True)
    time.sleep(0.5)  # two leases and a half
    assert not redis.set(keys.load_lease(KEY), "another", nx=True)
    may_end.set()
    thread.join()
    assert cache(redis).get(KEY, ClockOffset) == offset(1)


def test_what_a_loader_brings_after_its_lease_ran_out_is_refused(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    overtaken = threading.Event()

    def late() -> ClockOffset:
        assert overtaken.wait(10)
        return offset(1)

    slow = Cache(redis, RedisClock(redis), lease_ms=100)
    monkeypatch.setattr(slow, "_renew", lambda *_: 0)  # as one that hangs
    brought: list[ClockOffset] = []
    thread = threading.Thread(target=lambda: brought.append(slow.get_or_load(KEY, ClockOffset, 60_000, late)))
    thread.start()
    while not redis.exists(keys.load_lease(KEY)):
        pass
    assert cache(redis).get_or_load(KEY, ClockOffset, 60_000, lambda: offset(2)) == offset(2)
    overtaken.set()
    thread.join()
    assert brought == [offset(1)]
    assert cache(redis).get(KEY, ClockOffset) == offset(2)


def test_while_one_loads_the_others_use_what_they_have(redis: Redis) -> None:
    redis.set(keys.load_lease(KEY), "another", px=10_000)
    found = cache(redis).get_or_load(KEY, ClockOffset, 60_000, lambda: offset(1), meanwhile=lambda: offset(9))
    assert found == offset(9)


def test_a_value_that_is_not_fresh_is_loaded_anew_and_keeps_the_life_that_it_says(redis: Redis) -> None:
    cache(redis).put(KEY, offset(1), 60_000)

    def is_fresh(found: ClockOffset) -> bool:
        return found.low_ms > 1

    for _ in range(2):
        found = cache(redis).get_or_load(
            KEY, ClockOffset, lambda value: value.low_ms * 1000, lambda: offset(2), is_fresh=is_fresh
        )
        assert found == offset(2)
    assert 0 < redis.pttl(KEY) <= 2_000
