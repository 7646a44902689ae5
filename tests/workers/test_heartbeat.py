"""A worker says that it lives, and who does not is counted no longer than a few of its heartbeats."""

import time
from typing import Any

from redis import Redis
from rq.serializers import JSONSerializer

from bus.queue import FETCH_CANDLES, enqueue_turn, queue_of
from bus.safe_job import SafeQueue, safe_job_class
from producers.alive import served_here
from producers.client import workers_of
from tests.helpers import request
from workers import heartbeat
from workers.heartbeat import LIFE_S, beating
from workers.patience import PatientWorker


class Mute(PatientWorker):
    queue_class = SafeQueue

    def subscribe(self) -> None: ...

    def unsubscribe(self) -> None: ...


def worker_of(redis: Redis, run: Any) -> Mute:
    job_class = safe_job_class({FETCH_CANDLES: run})
    return Mute([queue_of("bingx", redis, job_class)], connection=redis, job_class=job_class, serializer=JSONSerializer)


def life_s(redis: Redis, worker: Mute) -> int:
    return int(redis.ttl(worker.key))  # type: ignore[arg-type]


def wait_until_known(redis: Redis) -> None:
    deadline = time.monotonic() + 10
    while not workers_of(redis, "bingx"):
        assert time.monotonic() < deadline, "no heartbeat came"
        time.sleep(0.005)


def test_a_busy_worker_says_that_it_lives_and_would_not_be_counted_for_as_long_as_its_job_has(
    redis: Redis, monkeypatch: Any
) -> None:
    """The job ends once its worker, whose key it takes away, has said it anew."""
    lives_s: list[int] = []

    def run(**_: Any) -> None:
        lives_s.append(life_s(redis, worker))
        redis.delete(worker.key)
        wait_until_known(redis)
        lives_s.append(life_s(redis, worker))

    monkeypatch.setattr("workers.patience.beating", lambda beat: beating(beat, every_s=0.01), raising=False)
    enqueue_turn(redis, request(limit=7), 1)
    worker = worker_of(redis, run)
    worker.work(burst=True, logging_level="CRITICAL")
    assert len(lives_s) == 2
    assert 0 < min(lives_s) <= max(lives_s) <= LIFE_S
    assert heartbeat.EVERY_S * 3 < LIFE_S


def test_a_worker_that_was_silent_for_so_long_that_it_was_struck_out_counts_again(redis: Redis) -> None:
    worker = worker_of(redis, None)
    worker.register_birth()  # type: ignore[no-untyped-call]
    redis.flushall()
    worker.heartbeat()
    assert workers_of(redis, "bingx") == 1
    assert served_here(redis, "worker", "bingx") == 1
    assert 0 < life_s(redis, worker) <= LIFE_S
