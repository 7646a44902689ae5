"""The arithmetic of slots: in no window too many, whoever sleeps late, dies or is lost; in simulated time."""

from itertools import cycle
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from candlebus.sandbox.limits import most_in_window
from tests.workers.slot_world import LIMIT, PAUSE, Worker, World
from workers.exchanges import registry
from workers.exchanges.base import Facts, Limit, Weights
from workers.limiter import budget

BINGX, KUCOIN = registry.get("bingx").facts, registry.get("kucoinfutures").facts
TEN = msgspec.structs.replace(BINGX, limits=(Limit(10, 1_000),))
SECOND_US = 1_000_000


def small(*limits: Limit, **weights: int) -> Facts:
    return msgspec.structs.replace(BINGX, limits=limits, weights=Weights(**weights))


FACTS = {
    "ten a second": TEN,
    "fifty a second": small(Limit(50, 1_000)),
    "two windows": small(Limit(10, 1_000), Limit(31, 4_000)),
    "two windows of nearly one rate": small(Limit(10, 1_000), Limit(39, 4_000)),
    "weights": small(Limit(40, 2_000), server_time=2, contracts=3, candles=3, ticker=2),
    "weights with something in common": small(Limit(2_000, 2_000), server_time=100, contracts=200, candles=200),
}


def crew(facts: Facts, chance: Random) -> list[Worker]:
    """Workers that keep the limit used up: mostly in time, sometimes late, some of them dying in their sleep."""
    weights = sorted({*msgspec.structs.astuple(facts.weights)})

    def late_us() -> int:
        return chance.choice([0, 100, 1_000, 5_000, 14_000, 30_000, chance.randrange(150_000)])

    def held_up_us() -> int:
        return chance.choice([0, 0, 0, 0, 500, 3_000, chance.randrange(150_000)])

    return [
        Worker(
            late_us=late_us,
            held_up_us=held_up_us,
            weight=lambda: chance.choice(weights),
            dies_after=chance.choice([5, 1_000_000, 1_000_000, 1_000_000]),
        )
        for _ in range(chance.randrange(4, 13))
    ]


def assert_within(facts: Facts, world: World, extra: int = 0) -> None:
    arrivals = tuple(sorted(world.arrivals))
    for limit in facts.limits:
        assert most_in_window(arrivals, limit.window_ms)[1] <= limit.weight + extra


simulated = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
chances = st.integers(0, 2**32).map(Random)


@pytest.mark.parametrize("name", list(FACTS))
@simulated
@given(chance=chances)
def test_no_window_of_any_limit_is_ever_exceeded(redis: Redis, name: str, chance: Random) -> None:
    facts = FACTS[name]
    world = World(redis, budget(facts, "full"), crew(facts, chance))
    world.run(6 * SECOND_US)
    assert_within(facts, world)


@pytest.mark.parametrize("name", ["ten a second", "two windows", "fifty a second"])
@simulated
@given(chance=chances)
def test_nor_when_the_server_loses_its_memory_or_its_clock_is_set_back(redis: Redis, name: str, chance: Random) -> None:
    facts = FACTS[name]
    world = World(redis, budget(facts, "full"), crew(facts, chance))
    for _ in range(3):
        world.at(chance.randrange(5 * SECOND_US), redis.flushall)
        steps_us = [30_000, 900_000, 2_500_000, 3_600_000_000]
        world.at(chance.randrange(5 * SECOND_US), step_clock, world, -chance.choice(steps_us))
    world.run(6 * SECOND_US)
    assert_within(facts, world)


def step_clock(world: World, by_us: int) -> None:
    world.clock_us += by_us


@simulated
@given(chance=chances)
def test_a_clock_set_ahead_or_a_server_that_went_back_costs_at_most_one_request_over(
    redis: Redis, chance: Random
) -> None:
    world = World(redis, budget(TEN, "full"), crew(TEN, chance))
    instant_us = chance.randrange(2 * SECOND_US, 4 * SECOND_US)
    if chance.random() < 0.5:
        world.at(instant_us, step_clock, world, chance.choice([15_000, 600_000, 3_600_000_000]))
    else:
        kept: list[bytes] = []
        world.at(instant_us - chance.randrange(1, SECOND_US), lambda: kept.append(dump(redis)))
        world.at(instant_us, lambda: redis.restore(LIMIT, 0, kept[0], replace=True))
    world.run(6 * SECOND_US)
    assert_within(TEN, world, extra=1)


def dump(redis: Redis) -> bytes:
    kept = redis.dump(LIMIT)
    assert isinstance(kept, bytes)
    return kept


@simulated
@given(chance=chances)
def test_nothing_leaves_while_a_pause_holds_not_even_what_had_its_slot(redis: Redis, chance: Random) -> None:
    workers = [msgspec.structs.replace(worker, held_up_us=lambda: 0) for worker in crew(TEN, chance)]
    world = World(redis, budget(TEN, "full"), workers)
    begins_us = chance.randrange(SECOND_US, 3 * SECOND_US)
    world.at(begins_us, redis.set, PAUSE, "HTTP 429", 600_000)
    world.run(5 * SECOND_US)
    assert [at for at, _ in world.arrivals if at * 1000 > begins_us] == []


@pytest.mark.parametrize("workers", [1, 3, 12])
@pytest.mark.parametrize("name", ["ten a second", "fifty a second"])
def test_workers_that_wake_in_time_use_nearly_all_of_the_limit(redis: Redis, name: str, workers: int) -> None:
    late_us = cycle([300, 4_000, 9_000])
    limit = FACTS[name].limits[0]
    crew = [Worker(late_us=lambda: next(late_us), held_up_us=lambda: 200) for _ in range(workers)]
    world = World(redis, budget(FACTS[name], "full"), crew)
    world.run(10 * SECOND_US)
    later = [at for at, _ in world.arrivals if at > 1_000]
    assert (len(later) - 1) / (later[-1] - later[0]) * 1_000 >= 0.97 * limit.weight


def test_a_late_slot_with_none_behind_it_is_given_back_and_used_at_once(redis: Redis) -> None:
    late_us = cycle([0, 0, 60_000])
    world = World(redis, budget(TEN, "full"), [Worker(late_us=lambda: next(late_us))])
    world.run(4 * SECOND_US)
    gaps = [later - sooner for (sooner, _), (later, _) in zip(world.arrivals, world.arrivals[1:], strict=False)]
    # Every third slot of 102 ms is slept over by 60 ms. Lost, it would take 204 ms; given back, 162.
    assert max(gaps) == pytest.approx(162, abs=1)
