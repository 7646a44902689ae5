"""What a worker restores of a job: a function that is looked up, its arguments, and nothing else of what stands there.

Stock RQ imports whatever dotted name a job holds, whatever the serializer: a JSON job that names ``os.system`` runs it.
It calls callbacks by name, posts to webhooks, unpickles what is read without a serializer, inflates without a bound,
and ends the worker at a field that it cannot read.
"""

import json
import logging
import re
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from redis import Redis, ResponseError
from rq import Queue
from rq.exceptions import DequeueTimeout, NoSuchJobError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job

_log = logging.getLogger(__name__)

#: A turn is a few pages; one that takes longer is ended and put back by the sweeper.
TURN_TIMEOUT_S: Final = 300
FAILED_JOB_TTL_S: Final = 3_600
#: As RQ documents it, for jobs that do not say.
RESULT_TTL_S: Final = 500
MAX_JOB_BYTES: Final = 64 * 1024
#: What RQ allows as the id of a job.
JOB_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,128}")
_DAMAGED_S: Final = 1.0
_READ: Final = (b"data", b"result_ttl", b"failure_ttl")


def _refused(*_: Any, **__: Any) -> None:
    raise PermissionError("this worker runs only the functions of candlebus")


class SafeJob(Job):
    """A job whose function is looked up and never imported, in bounded time and memory.

    It has no callbacks, webhooks, meta, dependents, repeats or retries, whatever its hash says.
    """

    functions: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    @property
    def func(self) -> Callable[..., Any]:
        return self.functions.get(str(self.func_name), _refused)

    def refresh(self) -> None:
        """Read the few fields that count, those that are not larger than an honest one.

        Raises:
            NoSuchJobError: There is no hash of that name.
        """
        try:
            with self.connection.pipeline(transaction=False) as pipeline:
                pipeline.hlen(self.key)
                for name in _READ:
                    pipeline.hstrlen(self.key, name)
                fields, *lengths = pipeline.execute()
            small = [name for name, length in zip(_READ, lengths, strict=True) if length <= MAX_JOB_BYTES]
            values: Any = self.connection.hmget(self.key, small) if small else []
        except ResponseError as error:
            raise NoSuchJobError(f"{self.key} is no hash") from error
        if not fields:
            raise NoSuchJobError(f"no such job: {self.key}")
        self.restore({name: value for name, value in zip(small, values, strict=True) if value is not None})

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        super().restore({b"data": _inflated(raw_data.get(b"data", b""))})
        self.timeout = TURN_TIMEOUT_S
        self.result_ttl = _seconds(raw_data.get(b"result_ttl"), RESULT_TTL_S)
        self.failure_ttl = _seconds(raw_data.get(b"failure_ttl"), FAILED_JOB_TTL_S)


def _seconds(text: bytes | None, otherwise: int) -> int:
    """A life of at most an hour, as the job says it; ``otherwise`` where it says none."""
    return min(int(text), FAILED_JOB_TTL_S) if text and text.isdigit() and len(text) < 10 else otherwise


def _inflated(data: bytes) -> bytes:
    """The job's data, inflated to at most its bound; what is larger becomes a call of nothing."""
    try:
        inflater = zlib.decompressobj()
        out = inflater.decompress(data, MAX_JOB_BYTES)
        whole = inflater.eof
    except zlib.error:
        out, whole = data[: MAX_JOB_BYTES + 1], len(data) <= MAX_JOB_BYTES
    return out if whole else json.dumps(["candlebus.too_large", None, [], {}]).encode()


def safe_job_class(functions: Mapping[str, Callable[..., Any]]) -> type[SafeJob]:
    """The job class of a worker that runs these functions by wire name, and no others."""
    return type("SafeJob", (SafeJob,), {"functions": dict(functions)})


class SafeQueue(Queue):
    """A queue that hands out nothing but jobs, and knows of no dependents: those would be restored by stock RQ."""

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        """The next id in the queue that can be one; others are dropped, for RQ would end the worker over them."""
        while True:
            try:
                found = super().lmove(connection, queue_key, timeout)
            except ResponseError as error:
                if timeout is None:
                    raise
                _log.error("no job can be taken", extra={"queue": queue_key, "cause": str(error)})
                time.sleep(_DAMAGED_S)  # the upkeep of the worker repairs it
                raise DequeueTimeout(timeout, [queue_key]) from error
            if found is None or JOB_ID.fullmatch(found[1]):
                return found
            connection.lrem(IntermediateQueue.get_intermediate_queue_key(queue_key), 1, found[1])
            _log.warning("job dropped", extra={"queue": queue_key, "job_id": repr(found[1][:64]), "cause": "no id"})

    @classmethod
    def _fetch_dequeued_job(cls, connection: Redis, queue_key: str, job_id: str, *args: Any, **options: Any) -> Any:
        found = super()._fetch_dequeued_job(connection, queue_key, job_id, *args, **options)
        if found is None:  # a job that is no more
            connection.lrem(IntermediateQueue.get_intermediate_queue_key(queue_key), 1, job_id)
        else:
            job, queue = found
            job.origin = queue.name  # whatever the hash says
        return found

    def move_dependents_to_ready(self, *_: Any, **__: Any) -> dict[str, list[str]]:
        return {}

    def enqueue_dependents(self, *_: Any, **__: Any) -> dict[str, list[str]]:
        return {}
