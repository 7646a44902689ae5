"""RQ queues, one per exchange: how a turn is enqueued, and the only job class that a worker restores."""

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from bus import keys
from bus.fetch_request import FetchRequest

#: Wire names: looked up by workers, never imported.
FETCH_CANDLES: Final = "candlebus.fetch_candles"
REFRESH_CONTRACTS: Final = "candlebus.refresh_contracts"

#: A turn is a few pages; one that takes longer is ended and put back by the sweeper.
TURN_TIMEOUT_S: Final = 300
FAILED_JOB_TTL_S: Final = 3_600
MAX_JOB_BYTES: Final = 64 * 1024
_KEPT: Final = frozenset(
    b"data origin status timeout result_ttl failure_ttl ttl created_at enqueued_at started_at ended_at "
    b"worker_name last_heartbeat description".split()
)


def _refused(*_: Any, **__: Any) -> None:
    raise PermissionError("this worker runs only the functions of candlebus")


class SafeJob(Job):
    """A job whose function is looked up and never imported; it has no callbacks, webhooks, meta or results.

    Stock RQ imports whatever dotted name a job holds, whatever the serializer: a JSON job that names ``os.system``
    runs it. Fields that cannot be read are dropped, so that a malformed hash fails its job and not its worker.
    """

    functions: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    @property
    def func(self) -> Callable[..., Any]:
        return self.functions.get(str(self.func_name), _refused)

    def restore(self, raw_data: Mapping[bytes, bytes]) -> Any:
        fields = {key: value for key, value in raw_data.items() if key in _KEPT}
        fields[b"data"] = _inflated(fields.get(b"data", b""))
        try:
            return super().restore(fields)
        except NoSuchJobError:
            raise
        except Exception:  # noqa: BLE001 - whatever stands in the hash, the worker must live
            return super().restore({b"data": fields[b"data"], b"origin": fields.get(b"origin", b"")})


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


def queue_of(exchange: str, redis: Redis, job_class: type[Job] = SafeJob) -> Queue:
    """The queue of an exchange's jobs."""
    return Queue(keys.queue(exchange), connection=redis, serializer=JSONSerializer, job_class=job_class)


def turn_job_id(request_id: str, turn: int) -> str:
    """Id of the job of a request's turn."""
    return f"{request_id}-t{turn}"


def turn_of(job_id: str, request_id: str) -> int:
    """The turn that a job is for; 0 for the job of another app, whose id is its own."""
    prefix, number = f"{request_id}-t", job_id[len(request_id) + 2 :]
    return int(number) if job_id.startswith(prefix) and number.isdigit() and len(number) < 10 else 0


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


def is_waiting(redis: Redis, request: FetchRequest, turn: int) -> bool:
    """Whether the job of that turn stands in the queue."""
    queue = queue_of(request.exchange, redis)
    return redis.lpos(queue.key, turn_job_id(request.request_id, turn)) is not None
