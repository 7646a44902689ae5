"""RQ's own lists of a queue, kept in order without restoring a job or believing a name that stands in them.

RQ's maintenance would restore what is in its registries, some of it by its stock job class, and end the worker over a
name that is no text. What became of a request is in the book of requests; here only what RQ would leave lying goes.
"""

import logging
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from redis import Redis, ResponseError
from rq import Queue
from rq.job import Job
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

from bus.clock import RedisClock
from bus.safe_job import FAILED_JOB_TTL_S, JOB_ID

_log = logging.getLogger(__name__)

#: A job that was taken and not begun for so long belonged to a worker that died on the way.
STUCK_S: Final = 20.0
_MOST_AT_ONCE: Final = 1_000
#: RQ's, followed by what stands in its list of running jobs.
_EXECUTION: Final = b"rq:execution:"


class Upkeep:
    """Looks after the lists of one queue; needs no lock, for a job that two workers put back runs once."""

    def __init__(self, redis: Redis, queue: Queue, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._queue = queue
        self._clock = RedisClock(redis)  # a machine whose clock is ahead would take for over what is under way
        self._monotonic = monotonic
        self._seen_at: dict[bytes, float] = {}
        self._ended = (queue.finished_job_registry, queue.failed_job_registry)

    def look(self) -> None:
        """Look once."""
        steps = [self._drop_strangers, self._forget_ended, self._fail_abandoned]
        for step in [*steps, self._put_back_stuck, self._forget_dead_workers]:
            try:
                step()
            except ResponseError as error:
                _log.error("RQ's lists are damaged", extra={"queue": self._queue.name, "cause": str(error)})

    def _drop_strangers(self) -> None:
        """Delete what stands under the name of a list and is none: RQ would end every worker over it."""
        queue = self._queue
        kinds = {queue.key: b"list", queue.intermediate_queue_key: b"list", WORKERS_BY_QUEUE_KEY % queue.name: b"set"}
        kinds |= {one.key: b"zset" for one in (queue.started_job_registry, *self._ended)}
        for name, kind in kinds.items():
            found: Any = self._redis.type(name)
            if found not in (kind, b"none"):
                self._redis.delete(name)
                cause = f"a {found.decode()}, no {kind.decode()}"
                _log.error("a key of RQ's deleted", extra={"key": name, "cause": cause})

    def _forget_ended(self) -> None:
        """Drop jobs from the lists of the finished and the failed once their lives are over."""
        for registry in self._ended:
            self._redis.zremrangebyscore(registry.key, "-inf", self._now_s())

    def _fail_abandoned(self) -> None:
        """Mark the jobs of dead workers as failed, for whoever follows them by RQ, and let them expire.

        The score is of the clock of the worker that runs the job; its execution lives by the server's.
        """
        running = self._queue.started_job_registry.key
        overdue: Any = self._redis.zrangebyscore(running, "-inf", self._now_s(), start=0, num=_MOST_AT_ONCE)
        for name in overdue:
            if self._redis.exists(_EXECUTION + name):
                continue
            job_id = name.partition(b":")[0]
            if JOB_ID.fullmatch(job_id) and self._exists(job_id):
                self._redis.hset(_key(job_id), "status", "failed")
                self._redis.expire(_key(job_id), FAILED_JOB_TTL_S)
            self._redis.zrem(running, name)

    def _put_back_stuck(self) -> None:
        """Put jobs that were taken and never begun at the back of the queue; drop what is no job."""
        taken = self._queue.intermediate_queue_key
        names: Any = self._redis.lrange(taken, 0, _MOST_AT_ONCE - 1)
        now = self._monotonic()
        self._seen_at = {name: self._seen_at.get(name, now) for name in names}
        for name, seen_at in self._seen_at.items():
            if not (JOB_ID.fullmatch(name) and self._exists(name)):
                self._redis.lrem(taken, 1, name)  # type: ignore[arg-type]
            elif now - seen_at >= STUCK_S:
                with self._redis.pipeline(transaction=True) as pipeline:
                    pipeline.lrem(taken, 1, name)  # type: ignore[arg-type]
                    pipeline.rpush(self._queue.key, name)
                    pipeline.execute()
                _log.warning("job put back", extra={"queue": self._queue.name, "job_id": name.decode()})

    def _forget_dead_workers(self) -> None:
        """Drop the names of workers that are no more."""
        own = WORKERS_BY_QUEUE_KEY % self._queue.name
        for name in list(islice(self._redis.sscan_iter(own), _MOST_AT_ONCE)):
            if not self._redis.exists(name):
                self._redis.srem(own, name)
                self._redis.srem(REDIS_WORKER_KEYS, name)

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1000

    def _exists(self, job_id: bytes) -> bool:
        return bool(self._redis.type(_key(job_id)) == b"hash")


def _key(job_id: bytes) -> str:
    return Job.key_for(job_id.decode())
