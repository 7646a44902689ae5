"""The shared budget on a real server: never over the limit, close to it, and silent while paused."""

import threading
import time
from itertools import count

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.errors import BusUnavailable, Paused
from bus.scripts import Script
from bus.traffic import traffic
from workers.exchanges import registry
from workers.exchanges.base import Facts, Limit, Weights
from workers.limiter import Budget, Limiter, budget

BINGX, KUCOIN = registry.get("bingx").facts, registry.get("kucoinfutures").facts
FAST = Budget(interval_us=5_000, max_ahead_us=1_000_000, late_us=1_000_000, rows=500)


def test_the_paces_are_those_of_the_documents() -> None:
    assert budget(BINGX, "half").interval_us == 120_000  # 1000 requests a minute, half of them
    assert budget(BINGX, "full").interval_us == pytest.approx(60e6 / 980, abs=1)
    assert budget(KUCOIN, "half").interval_us * 3 == 90_000  # 2000 weight in 30 s, half of it, 3 a page
    assert budget(BINGX, "conservative").interval_us == 700_000
    assert budget(KUCOIN, "conservative").interval_us * 3 == pytest.approx(700_000, abs=3)


def test_pages_are_of_500_at_the_conservative_pace_and_the_largest_at_the_others() -> None:
    assert budget(BINGX, "conservative").rows == 500
    assert budget(BINGX, "half").rows == 1440
    assert budget(KUCOIN, "full").rows == 500


@pytest.mark.parametrize("pace", ["conservative", "half", "full"])
@pytest.mark.parametrize("facts", [BINGX, KUCOIN], ids=lambda facts: facts.name)
def test_no_pace_can_exceed_any_of_the_limits(facts: object, pace: str) -> None:
    for limit in facts.limits:  # type: ignore[attr-defined]
        paced = budget(facts, pace)  # type: ignore[arg-type]
        assert -(-limit.window_ms * 1000 // paced.interval_us) <= limit.weight


def limited(*limits: Limit, **weights: int) -> Facts:
    return msgspec.structs.replace(BINGX, limits=limits, weights=Weights(**weights))


def test_of_two_limits_the_slower_one_says_how_far_apart_and_the_tighter_one_how_late() -> None:
    fast, slow = Limit(500, 10_000), Limit(1000, 60_000)
    assert budget(limited(fast, slow), "full") == budget(limited(slow, fast), "full")
    assert budget(limited(fast, slow), "full").interval_us == budget(limited(slow), "full").interval_us
    assert budget(limited(fast, slow), "full").late_us == budget(limited(slow), "full").late_us
    # 10 a second has 23 ms of room beside 595 a minute, not the 1.2 s of that one.
    assert budget(limited(Limit(10, 1_000), Limit(595, 60_000)), "full").late_us < 0.8 * 30_000


@pytest.mark.parametrize("pace", ["half", "full"])
def test_a_heavy_request_at_the_end_of_a_window_is_reckoned_with(pace: str) -> None:
    facts = limited(Limit(20, 1_000), server_time=1, contracts=1, candles=5, ticker=1)
    interval_us = budget(facts, pace).interval_us  # type: ignore[arg-type]
    assert 1_000_000 / interval_us + 5 <= 20 + 1


def test_a_server_that_answers_too_late_for_any_slot_is_said_to_be_too_far_away(redis: Redis) -> None:
    instants = count(step=10)
    close = Budget(interval_us=100, max_ahead_us=1_000_000, late_us=5_000, rows=500)
    limiter = Limiter(redis, "bingx", "default", close, sleep=lambda _: None, monotonic=lambda: float(next(instants)))
    with pytest.raises(BusUnavailable, match="takes more than 5 ms to answer"):
        limiter.acquire(1)


def test_workers_rest_while_a_pause_of_a_day_at_most_holds_and_then_take_jobs_to_tell_them(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    assert limiter.rest_ms() == 0
    limiter.pause(3_600_000, "ban")
    assert 3_500_000 < limiter.rest_ms() <= 3_600_000
    limiter.pause(25 * 3_600_000, "ban")
    assert limiter.rest_ms() == 0


def test_many_workers_share_one_budget(redis: Redis) -> None:
    granted: list[float] = []

    def worker() -> None:
        limiter = Limiter(redis, "bingx", "default", FAST)
        for _ in range(10):
            limiter.acquire(1)
            granted.append(time.monotonic())

    threads = [threading.Thread(target=worker) for _ in range(8)]
    begun_at = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Sleeps may end late, never early: the k-th request leaves no sooner than k intervals after the beginning.
    assert all(at - begun_at >= k * 0.005 - 0.002 for k, at in enumerate(sorted(granted)))


def reserve(redis: Redis, cost_us: int, ahead_us: int = 1_000_000) -> tuple[bytes, int]:
    what, wait_us, _ = Script(redis, "reserve")(
        ["limit", "pause", "breaker", "traffic"], [cost_us, ahead_us, 10_000, "", 0, 0]
    )
    return what, int(wait_us)


def slots(redis: Redis) -> list[int]:
    """The instants that were handed out and not used, µs."""
    return [int(instant) for name, instant in redis.zrange("limit", 0, -1, withscores=True) if name != b"free"]


def test_slots_follow_each_other_at_the_cost_of_the_request_before(redis: Redis) -> None:
    assert reserve(redis, 300_000) == (b"wait", 300_000)  # nobody knows what was sent before
    reserve(redis, 100_000)
    reserve(redis, 100_000)
    first, second, third = slots(redis)
    assert (second - first, third - second) == (300_000, 100_000)


def test_nobody_reserves_further_ahead_than_allowed(redis: Redis) -> None:
    for _ in range(2):
        reserve(redis, 600_000)
    what, wait_us = reserve(redis, 600_000)
    assert what == b"wait"
    assert 0 < wait_us <= 200_000
    assert len(slots(redis)) == 1


def test_a_server_clock_that_was_set_back_does_not_stop_the_exchange(redis: Redis) -> None:
    redis.zadd("limit", {"free": 4_000_000_000_000_000})
    assert reserve(redis, 100_000) == (b"wait", 100_000)


def test_a_slot_that_was_slept_over_is_given_up(redis: Redis) -> None:
    naps: list[float] = []
    strict = Budget(interval_us=1_000, max_ahead_us=1_000_000, late_us=5_000, rows=500)

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        time.sleep(seconds + (0.05 if len(naps) == 1 else 0))

    Limiter(redis, "bingx", "default", strict, sleep=sleep).acquire(1)
    assert traffic(redis, "bingx", "default").sent == 1
    assert len(naps) >= 1


def test_a_short_pause_is_waited_out_and_a_long_one_reported_with_its_reason(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    limiter.pause(150, "HTTP 429")
    started = time.monotonic()
    limiter.acquire(1)
    assert time.monotonic() - started >= 0.14
    limiter.pause(60_000, "HTTP 429")
    with pytest.raises(Paused, match="bingx is left alone for another 60 s: HTTP 429") as caught:
        limiter.acquire(1)
    assert caught.value.pause_ms == pytest.approx(60_000, abs=100)


def test_a_pause_holds_for_every_worker_of_the_exchange_and_address_and_no_other(redis: Redis) -> None:
    Limiter(redis, "bingx", "default", FAST).pause(60_000, "HTTP 418")
    assert Limiter(redis, "bingx", "default", FAST).paused_ms() > 59_000
    assert Limiter(redis, "bingx", "other", FAST).paused_ms() == 0
    assert Limiter(redis, "kucoinfutures", "default", FAST).paused_ms() == 0


def test_a_shorter_pause_does_not_cut_a_longer_one(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    limiter.pause(60_000, "ban")
    limiter.pause(1_000, "refusal")
    assert limiter.paused_ms() > 59_000


def test_a_pause_lasts_no_longer_than_it_was_given_though_the_servers_clock_was_set_back(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    limiter.pause(150, "HTTP 429")
    redis.pexpire(keys.pause("bingx", "default"), 3_600_000)  # as if by now an hour lay between the clock and its end
    assert 0 < limiter.paused_ms() <= 150
    limiter.pause(100, "HTTP 429")
    redis.pexpire(keys.pause("bingx", "default"), 3_600_000)
    limiter.acquire(1)
    assert limiter.paused_ms() == 0


def test_budget_and_pause_do_not_outlive_their_use(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    limiter.acquire(1)
    limiter.pause(100, "x")
    assert 0 < redis.pttl(keys.limit("bingx", "default")) <= 62_000
    assert 0 < redis.pttl(keys.pause("bingx", "default")) <= 100
