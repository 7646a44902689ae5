"""RQ's lists of a queue, kept in order by a worker that believes nothing in them."""

import time

import pytest
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job

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


def running(queue: Queue) -> Job:
    """A job of another app's that a worker has begun."""
    job = queue.enqueue("candlebus.fetch_candles")
    with queue.connection.pipeline() as pipeline:
        job.prepare_for_execution("w", pipeline=pipeline)
        Execution.create(job, 360, pipeline)
        pipeline.execute()
    return job


def status(redis: Redis, job: Job) -> bytes | None:
    return redis.hget(job.key, "status")


@pytest.mark.parametrize("off_s", [-3_600, 3_600])
def test_a_job_under_way_is_not_abandoned_whatever_the_clock_of_who_runs_it_and_of_who_looks(
    redis: Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch, off_s: int
) -> None:
    job = running(queue)
    (name, score), *_ = redis.zrange("rq:wip:fetch.bingx", 0, -1, withscores=True)
    redis.zadd("rq:wip:fetch.bingx", {name: score + min(0, off_s)})  # who runs it is behind, or who looks ahead
    truth = time.time
    monkeypatch.setattr(time, "time", lambda: truth() + max(0, off_s))
    Upkeep(redis, queue).look()
    assert (status(redis, job), redis.zcard("rq:wip:fetch.bingx")) == (b"started", 1)


def test_the_job_of_a_dead_worker_is_marked_as_failed(redis: Redis, queue: Queue) -> None:
    job = running(queue)
    (name, score), *_ = redis.zrange("rq:wip:fetch.bingx", 0, -1, withscores=True)
    redis.zadd("rq:wip:fetch.bingx", {name: score - 361})
    redis.delete(b"rq:execution:" + name)  # as after 361 s
    Upkeep(redis, queue).look()
    assert (status(redis, job), redis.zcard("rq:wip:fetch.bingx")) == (b"failed", 0)


def test_the_ended_are_remembered_as_long_as_rq_wants_though_this_machines_clock_is_ahead(
    redis: Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.zadd("rq:failed:fetch.bingx", {"failed": time.time() + 3_600})
    truth = time.time
    monkeypatch.setattr(time, "time", lambda: truth() + 7_200)
    Upkeep(redis, queue).look()
    assert redis.zcard("rq:failed:fetch.bingx") == 1
