"""The breaker and the budget of further tries, shared by all workers of an exchange and address, on a real server."""

import pytest
from redis import Redis

from bus import keys
from bus.errors import ExchangeUnavailable, OutOfService, Paused
from bus.traffic import STEP_S, traffic
from workers.breaker import (
    FEWEST_FAILURES,
    FIRST_WAIT_US,
    FREE_RETRIES,
    LONGEST_WAIT_US,
    OUTAGE_S,
    PROBE_LEASE_US,
    Breaker,
)
from workers.limiter import Budget, Limiter

FAST = Budget(interval_us=1_000, max_ahead_us=1_000_000, late_us=1_000_000, rows=500)
DOWN = ExchangeUnavailable("bingx", "bingx is in trouble with HTTP 503")
KEY = keys.breaker("bingx", "default")


def worker(redis: Redis) -> Limiter:
    return Limiter(redis, "bingx", "default", FAST)


def fail(limiter: Limiter, times: int = FEWEST_FAILURES) -> None:
    for _ in range(times):
        limiter.acquire(1)
        limiter.breaker.note_failure(DOWN)


def opened(redis: Redis, *, probe_in_us: int, open_s: float = 0) -> Limiter:
    """A worker beside an open breaker whose next probe is due in so many µs."""
    limiter = worker(redis)
    fail(limiter)
    seconds, micros = redis.time()
    now_us = seconds * 1_000_000 + micros
    redis.hset(KEY, mapping={"probe_us": now_us + probe_in_us, "opened_us": now_us - round(open_s * 1e6)})
    return limiter


def wait_us(redis: Redis) -> int:
    found = traffic(redis, "bingx", "default").breaker
    return 0 if found is None else found.probe_ms * 1000


def test_a_few_failures_in_a_row_open_it_for_every_worker_of_the_address(redis: Redis) -> None:
    fail(worker(redis), FEWEST_FAILURES - 1)
    assert redis.exists(KEY) == 0
    fail(worker(redis), 1)
    assert worker(redis).breaker.rest_ms() > 0
    assert Limiter(redis, "bingx", "other", FAST).breaker.rest_ms() == 0
    assert Limiter(redis, "kucoinfutures", "default", FAST).breaker.rest_ms() == 0


def test_as_long_as_most_requests_are_answered_it_stays_closed(redis: Redis) -> None:
    limiter = worker(redis)
    for _ in range(2 * FEWEST_FAILURES + 1):
        limiter.acquire(1)
    for _ in range(FEWEST_FAILURES):
        limiter.breaker.note_failure(DOWN)
    assert redis.exists(KEY) == 0


def test_failures_of_long_ago_do_not_open_it(redis: Redis) -> None:
    step = redis.time()[0] // STEP_S
    redis.hset(keys.traffic("bingx", "default"), mapping={f"{step - 3}:failed": 50, f"{step - 3}:sent": 50})
    fail(worker(redis), 1)
    assert redis.exists(KEY) == 0


def test_while_it_is_open_nothing_leaves_and_the_reason_is_told(redis: Redis) -> None:
    limiter = opened(redis, probe_in_us=40_000_000, open_s=12)
    with pytest.raises(Paused, match=r"bingx has been failing for 12 s, .* asks again in 40 s: .*HTTP 503") as caught:
        limiter.acquire(1)
    assert caught.value.pause_ms == pytest.approx(40_000, abs=500)


def test_a_single_request_probes_and_the_others_wait_for_what_it_brings(redis: Redis) -> None:
    probing = opened(redis, probe_in_us=0)
    probing.acquire(1)
    assert probing.breaker.is_probing
    for _ in range(3):
        with pytest.raises(Paused):
            worker(redis).acquire(1)


def test_a_probe_that_was_held_up_on_its_way_to_the_wire_gets_another_slot(redis: Redis) -> None:
    probing = opened(redis, probe_in_us=0)
    probing.acquire(1)
    probing.acquire(1)
    assert probing.breaker.is_probing
    with pytest.raises(Paused):
        worker(redis).acquire(1)


def test_an_answered_probe_closes_it(redis: Redis) -> None:
    probing = opened(redis, probe_in_us=0)
    probing.acquire(1)
    probing.breaker.note_answer()
    assert redis.exists(KEY) == 0
    worker(redis).acquire(1)


def test_what_had_left_before_it_opened_neither_closes_it_nor_moves_its_probe(redis: Redis) -> None:
    late = worker(redis)
    late.acquire(1)
    opened(redis, probe_in_us=50_000_000)
    late.breaker.note_answer()
    late.breaker.note_failure(DOWN)
    assert wait_us(redis) == pytest.approx(50_000_000, abs=500_000)


def test_probes_in_vain_come_further_and_further_apart_by_chance_up_to_a_bound(redis: Redis) -> None:
    probing = opened(redis, probe_in_us=0)
    for probes in range(9):
        redis.hset(KEY, "probe_us", 0)
        probing.acquire(1)
        probing.breaker.note_failure(DOWN)
        most_us = min(LONGEST_WAIT_US, FIRST_WAIT_US * 2 ** (probes + 1))
        assert most_us / 2 - 100_000 <= wait_us(redis) <= most_us
    found = traffic(redis, "bingx", "default").breaker
    assert found is not None
    assert found.probes == 9


def test_a_probe_whose_worker_died_is_followed_by_another(redis: Redis) -> None:
    opened(redis, probe_in_us=0).acquire(1)
    assert wait_us(redis) == pytest.approx(PROBE_LEASE_US, abs=500_000)
    redis.hincrby(KEY, "probe_us", -PROBE_LEASE_US)
    other = worker(redis)
    other.acquire(1)
    assert other.breaker.is_probing


def test_a_server_clock_that_was_set_back_does_not_keep_it_open(redis: Redis) -> None:
    probing = opened(redis, probe_in_us=3_600_000_000)
    assert probing.rest_ms() == 0, "workers take jobs: the next request probes"
    probing.acquire(1)
    assert probing.breaker.is_probing


def test_after_a_while_requests_fail_instead_of_waiting_and_workers_take_jobs_to_tell_them(redis: Redis) -> None:
    limiter = opened(redis, probe_in_us=40_000_000, open_s=OUTAGE_S + 1)
    with pytest.raises(
        OutOfService, match=f"has been failing for {OUTAGE_S + 1:.0f} s, and is waited for no longer: "
    ) as caught:
        limiter.acquire(1)
    assert not caught.value.retryable
    assert limiter.rest_ms() == 0


def test_it_is_forgotten_when_nobody_asks_for_a_while(redis: Redis) -> None:
    opened(redis, probe_in_us=0)
    assert 0 < redis.ttl(KEY) <= 600


def test_some_tries_a_minute_are_free_and_then_they_are_a_tenth_of_what_was_sent(redis: Redis) -> None:
    breakers = [Breaker(redis, "bingx", "default") for _ in range(3)]
    granted = [breakers[n % 3].may_retry() for n in range(FREE_RETRIES + 5)]
    assert granted == [True] * FREE_RETRIES + [False] * 5
    step = redis.time()[0] // STEP_S
    redis.hset(keys.traffic("bingx", "default"), f"{step}:sent", 150)
    assert [breakers[0].may_retry() for _ in range(7)] == [True] * 5 + [False] * 2
