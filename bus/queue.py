"""RQ queues, one per exchange, and how a turn is enqueued."""

from typing import Final

import msgspec
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from bus import keys
from bus.fetch_request import FetchRequest
from bus.safe_job import FAILED_JOB_TTL_S, TURN_TIMEOUT_S, SafeJob, SafeQueue

#: Wire names: looked up by workers, never imported.
FETCH_CANDLES: Final = "candlebus.fetch_candles"
REFRESH_CONTRACTS: Final = "candlebus.refresh_contracts"


def queue_of(exchange: str, redis: Redis, job_class: type[Job] = SafeJob) -> Queue:
    """The queue of an exchange's jobs."""
    return SafeQueue(keys.queue(exchange), connection=redis, serializer=JSONSerializer, job_class=job_class)


def turn_job_id(request_id: str, turn: int) -> str:
    """Id of the job of a request's turn."""
    return f"{request_id}-t{turn}"


def turn_of(job_id: str, request_id: str) -> int:
    """The turn that a job is for; 0 for the job of another app, whose id is its own."""
    prefix, number = f"{request_id}-t", job_id[len(request_id) + 2 :]
    return int(number) if job_id.startswith(prefix) and number.isdecimal() and len(number) < 10 else 0


def enqueue_turn(redis: Redis, request: FetchRequest, turn: int) -> None:
    """Put a turn of a request at the back of its exchange's queue."""
    arguments = {key: value for key, value in msgspec.structs.asdict(request).items() if value is not None}
    queue_of(request.exchange, redis).enqueue_call(
        FETCH_CANDLES,
        kwargs=arguments,
        job_id=turn_job_id(request.request_id, turn),
        timeout=TURN_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=FAILED_JOB_TTL_S,
        description=f"turn {turn} of {request.request_id}",
    )


def withdraw_turn(redis: Redis, request: FetchRequest, turn: int) -> None:
    """Take the job of a turn that nobody wants any more out of the queue; one that a worker has taken is left to it."""
    job_id = turn_job_id(request.request_id, turn)
    if redis.lrem(queue_of(request.exchange, redis).key, 0, job_id):
        redis.delete(SafeJob.key_for(job_id))


def is_waiting(redis: Redis, request: FetchRequest, turn: int) -> bool:
    """Whether the job of that turn stands in the queue."""
    queue = queue_of(request.exchange, redis)
    return redis.lpos(queue.key, turn_job_id(request.request_id, turn)) is not None
