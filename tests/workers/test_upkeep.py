"""RQ's lists of a queue, kept in order by a worker that believes nothing in them."""

import pytest
from redis import Redis
from rq import Queue

from bus.queue import queue_of
from workers.upkeep import STUCK_S, Upkeep


class Watch:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return queue_of("bingx", redis)


def test_a_job_that_was_taken_and_never_begun_goes_back_to_the_queue_once(redis: Redis, queue: Queue) -> None:
    watch = Watch()
    upkeep = Upkeep(redis, queue, monotonic=watch)
    redis.hset("rq:job:stuck", "data", "[]")
    redis.rpush(queue.intermediate_queue_key, "stuck")
    for now_s, waiting in ((0.0, []), (STUCK_S - 0.1, []), (STUCK_S, [b"stuck"]), (STUCK_S * 3, [b"stuck"])):
        watch.now_s = now_s
        upkeep.look()
        assert redis.lrange(queue.key, 0, -1) == waiting
    assert redis.llen(queue.intermediate_queue_key) == 0


def test_a_job_that_was_begun_meanwhile_stays_begun(redis: Redis, queue: Queue) -> None:
    watch = Watch()
    upkeep = Upkeep(redis, queue, monotonic=watch)
    redis.hset("rq:job:quick", "data", "[]")
    redis.rpush(queue.intermediate_queue_key, "quick")
    upkeep.look()
    redis.delete(queue.intermediate_queue_key)
    watch.now_s = STUCK_S * 2
    upkeep.look()
    assert redis.llen(queue.key) == 0


def test_what_is_no_job_is_dropped(redis: Redis, queue: Queue) -> None:
    redis.rpush(queue.intermediate_queue_key, "gone", b"\xff", "a b", "")
    Upkeep(redis, queue).look()
    assert redis.llen(queue.intermediate_queue_key) == 0
    assert redis.llen(queue.key) == 0


def test_the_ended_and_the_dead_are_forgotten_and_the_living_are_not(redis: Redis, queue: Queue) -> None:
    redis.zadd("rq:failed:fetch.bingx", {"old": 1, "new": 9e12})
    redis.zadd("rq:finished:fetch.bingx", {"old": 1, b"\xff": -5, "new": 9e12})
    redis.zadd("rq:wip:fetch.bingx", {"old:1": 1, "new:1": 9e12})
    redis.hset("rq:worker:alive", "state", "idle")
    redis.sadd("rq:workers:fetch.bingx", "rq:worker:alive", "rq:worker:dead", b"\xff")
    redis.sadd("rq:workers", "rq:worker:alive", "rq:worker:dead")
    Upkeep(redis, queue).look()
    assert redis.zrange("rq:failed:fetch.bingx", 0, -1) == redis.zrange("rq:finished:fetch.bingx", 0, -1) == [b"new"]
    assert redis.zrange("rq:wip:fetch.bingx", 0, -1) == [b"new:1"]
    assert redis.smembers("rq:workers:fetch.bingx") == redis.smembers("rq:workers") == {b"rq:worker:alive"}
