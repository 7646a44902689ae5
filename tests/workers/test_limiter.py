"""The shared budget on a real server: never over the limit, close to it, and silent while paused."""

import threading
import time

import pytest
from redis import Redis

from bus import keys
from bus.errors import Paused
from bus.scripts import Script
from bus.traffic import traffic
from workers.exchanges import registry
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
        ["limit", "pause", "breaker", "traffic"], [cost_us, ahead_us, 10_000, "", 0]
    )
    return what, int(wait_us)


def test_slots_follow_each_other_at_the_cost_of_the_request_before(redis: Redis) -> None:
    what, zeroth = reserve(redis, 300_000)
    assert (what, zeroth) == (b"wait", 300_000)  # nobody knows what was sent before
    what, first = reserve(redis, 100_000)
    assert (what, first) == (b"wait", pytest.approx(600_000, abs=20_000))
    what, second = reserve(redis, 100_000)
    assert (what, second - first) == (b"wait", pytest.approx(100_000, abs=20_000))


def test_nobody_reserves_further_ahead_than_allowed(redis: Redis) -> None:
    for _ in range(2):
        reserve(redis, 600_000)
    what, wait_us = reserve(redis, 600_000)
    assert what == b"wait"
    assert wait_us == pytest.approx(200_000, abs=20_000)
    assert redis.zcard("limit") == 2


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


def test_budget_and_pause_do_not_outlive_their_use(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    limiter.acquire(1)
    limiter.pause(100, "x")
    assert 0 < redis.pttl(keys.limit("bingx", "default")) <= 62_000
    assert 0 < redis.pttl(keys.pause("bingx", "default")) <= 100
