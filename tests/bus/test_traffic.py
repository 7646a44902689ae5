"""What was sent lately, counted by all workers together, and read by whoever looks at the bus."""

import pytest
from redis import Redis

from bus import keys
from bus.errors import ExchangeUnavailable
from bus.traffic import STEP_S, addresses, traffic
from producers.look import look_at
from workers.breaker import FEWEST_FAILURES, Breaker
from workers.limiter import Budget, Limiter

FAST = Budget(interval_us=2_000, max_ahead_us=1_000_000, late_us=1_000_000, rows=500)


def test_nothing_sent_is_nothing_counted(redis: Redis) -> None:
    assert addresses(redis, keys.traffic) == {}
    quiet = traffic(redis, "bingx", "default")
    assert (quiet.sent, quiet.refused, quiet.failed, quiet.retried, quiet.budget_share) == (0, 0, 0, 0, 0.0)
    assert quiet.breaker is None


def test_all_workers_of_an_address_count_together_and_other_addresses_apart(redis: Redis) -> None:
    for egress in ("here", "here", "there"):
        Limiter(redis, "bingx", egress, FAST).acquire(3)
    assert addresses(redis, keys.traffic) == {"bingx": ["here", "there"]}
    (bingx,) = look_at(redis, ["bingx"])
    assert [(one.egress, one.sent) for one in bingx.traffic] == [("here", 2), ("there", 1)]


def test_the_share_of_the_budget_is_the_time_that_the_requests_took_up(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    for _ in range(10):
        limiter.acquire(30)
    used = traffic(redis, "bingx", "default")
    assert used.budget_share == pytest.approx(10 * 0.06 / (used.span_ms / 1000), abs=0.001)
    assert 50_000 <= used.span_ms < 60_000


def test_refusals_failures_and_further_tries_are_counted(redis: Redis) -> None:
    limiter = Limiter(redis, "bingx", "default", FAST)
    limiter.acquire(1)
    assert limiter.breaker.may_retry()
    limiter.breaker.note_failure(ExchangeUnavailable("bingx", "HTTP 503"))
    limiter.pause(1, "HTTP 429", refusals=1)
    limiter.pause(1, "another program")
    seen = traffic(redis, "bingx", "default")
    assert (seen.sent, seen.retried, seen.failed, seen.refused) == (1, 1, 1, 1)


def test_what_lies_more_than_a_minute_back_is_not_counted_and_soon_forgotten(redis: Redis) -> None:
    step = redis.time()[0] // STEP_S
    key = keys.traffic("bingx", "default")
    redis.hset(key, mapping={f"{step - 9}:sent": 5, f"{step - 5}:sent": 7, f"{step - 9}:failed": 5})
    assert traffic(redis, "bingx", "default").sent == 7
    Limiter(redis, "bingx", "default", FAST).acquire(1)
    assert traffic(redis, "bingx", "default").sent == 8
    assert {field.decode().partition(":")[0] for field in redis.hkeys(key)} <= {str(step - 5), str(step), str(step + 1)}
    assert 0 < redis.ttl(key) <= 120


def test_a_look_at_the_bus_shows_the_traffic_and_an_open_breaker(redis: Redis) -> None:
    breaker = Breaker(redis, "bingx", "default")
    for _ in range(FEWEST_FAILURES):
        breaker.note_failure(ExchangeUnavailable("bingx", "bingx is in trouble with HTTP 503"))
    (look,) = look_at(redis, ["bingx"])
    (seen,) = look.traffic
    assert seen.failed == FEWEST_FAILURES
    assert seen.breaker is not None
    assert seen.breaker.reason == "bingx is in trouble with HTTP 503"
    assert 0 < seen.breaker.probe_ms <= 2_000
