"""The only job class that a worker restores: nothing planted in a job runs, and no job kills its worker."""

import json
import pickle  # noqa: TID251 - planted, to see that nothing reads it
import zlib
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from bus.queue import FETCH_CANDLES, enqueue_turn, is_waiting, queue_of, turn_of
from bus.safe_job import MAX_JOB_BYTES, SafeQueue, safe_job_class
from tests.helpers import request

CALLS: list[dict[str, Any]] = []


def record(**arguments: Any) -> None:
    CALLS.append(arguments)


class Mute(SimpleWorker):
    queue_class = SafeQueue

    def subscribe(self) -> None: ...

    def unsubscribe(self) -> None: ...


def work(redis: Redis) -> None:
    """Run everything that stands in the queue, as a worker does."""
    CALLS.clear()
    job_class = safe_job_class({FETCH_CANDLES: record})
    queue = queue_of("bingx", redis, job_class)
    worker = Mute([queue], connection=redis, job_class=job_class, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="CRITICAL")


def plant(redis: Redis, **fields: bytes) -> None:
    """A job hash as an intruder would write it."""
    data = json.dumps([FETCH_CANDLES, None, [], {"request_id": "planted"}]).encode()
    whole = {"data": data, "origin": b"fetch.bingx", "created_at": b"2026-01-01T00:00:00.000000Z", "status": b"queued"}
    redis.hset("rq:job:planted", mapping={**whole, **fields})  # type: ignore[arg-type]
    redis.rpush("rq:queue:fetch.bingx", "planted")


def test_a_turn_reaches_the_function_with_its_arguments(redis: Redis) -> None:
    enqueue_turn(redis, request(limit=7), 3)
    assert is_waiting(redis, request(), 3)
    assert not is_waiting(redis, request(), 4)
    work(redis)
    assert CALLS == [
        {"request_id": "r1", "exchange": "bingx", "symbol": "BTC/USDT:USDT", "timeframe": "1m", "limit": 7}
    ]


def test_an_app_that_knows_only_rq_is_served(redis: Redis) -> None:
    queue = Queue("fetch.bingx", connection=redis, serializer=JSONSerializer)
    queue.enqueue("candlebus.fetch_candles", request_id="app", exchange="bingx")
    work(redis)
    assert CALLS == [{"request_id": "app", "exchange": "bingx"}]


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.run", "bus.queue.record", "", "a" * 999])
def test_a_function_that_is_not_ours_is_never_run(redis: Redis, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    plant(redis, data=json.dumps([name, None, [f"touch {canary}"], {}]).encode())
    work(redis)
    assert not canary.exists()
    assert CALLS == []


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


@pytest.mark.parametrize("field", ["data", "meta", "result", "exc_info", "webhooks", "success_callback_name"])
def test_a_planted_pickle_is_never_read(redis: Redis, tmp_path: Path, field: str) -> None:
    canary = tmp_path / "canary"
    plant(redis, **{field: pickle.dumps(Bomb(canary))})
    work(redis)
    assert not canary.exists()


@pytest.mark.parametrize("field", ["success_callback_name", "failure_callback_name", "stopped_callback_name"])
def test_callbacks_are_dropped(redis: Redis, field: str) -> None:
    plant(redis, **{field: b"tests.bus.test_queue.record"})
    work(redis)
    assert len(CALLS) == 1


@pytest.mark.parametrize(
    "field", ["created_at", "status", "timeout", "result_ttl", "ttl", "enqueued_at", "last_heartbeat"]
)
def test_a_field_that_cannot_be_read_does_not_stop_the_worker(redis: Redis, field: str) -> None:
    plant(redis, **{field: b"\xffnonsense"})
    enqueue_turn(redis, request(), 1)
    work(redis)
    assert "r1" in [call["request_id"] for call in CALLS]


def test_data_that_inflates_beyond_its_bound_is_refused(redis: Redis) -> None:
    plant(redis, data=zlib.compress(b" " * (MAX_JOB_BYTES * 100)))
    enqueue_turn(redis, request(), 1)
    work(redis)
    assert [call["request_id"] for call in CALLS] == ["r1"]


@pytest.mark.parametrize(
    ("job_id", "turn"), [("r1-t3", 3), ("r1-t12", 12), ("r1-tx", 0), ("r1", 0), ("other-t3", 0), ("r1-t" + "9" * 30, 0)]
)
def test_the_turn_is_read_from_our_own_job_ids_only(job_id: str, turn: int) -> None:
    assert turn_of(job_id, "r1") == turn
