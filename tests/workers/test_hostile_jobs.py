"""Whatever is planted among the jobs of a real server, a real worker runs none of it and serves the next request."""

import json
import os
import pickle  # noqa: TID251 - planted, to see that nothing reads it
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.queue import FETCH_CANDLES
from bus.requests import RequestBook
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from producers.client import Producer, workers_of
from tests.workers.watched_process import WatchedProcess
from workers.supervisor import command

pytestmark = pytest.mark.slow
BTC = "bingx:BTC/USDT:USDT"
QUEUE = "rq:queue:fetch.bingx"
JOB = "rq:job:planted"


class House:
    """A server of its own, stand-in exchanges, and one worker process."""

    def __init__(self, redis: Redis, worker: WatchedProcess) -> None:
        self.redis = redis
        self.worker = worker

    def plant(self, data: bytes | None = None, **fields: bytes) -> None:
        """A job hash as an intruder would write it, and its id in the queue."""
        honest = json.dumps([FETCH_CANDLES, None, [], {"request_id": "planted"}]).encode()
        self.redis.delete(JOB)
        self.redis.hset(JOB, mapping={b"data": honest if data is None else data, **of(fields)})  # type: ignore[dict-item]
        self.redis.rpush(QUEUE, "planted")

    def check(self) -> None:
        """An honest request is served, by the same process as ever."""
        pending = Producer(self.redis).enqueue(BTC, "5m", limit=10, afresh=True)
        assert pending.wait(30).state == "done", self.worker.log[-2_000:]
        assert self.worker.is_alive, self.worker.log[-2_000:]
        assert self.redis.llen(QUEUE) == 0


def of(fields: dict[str, bytes]) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in fields.items()}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with EmbeddedServer(program=os.environ.get("CANDLEBUS_TEST_SERVER")) as server, Sandbox() as sandbox:  # noqa: TID251
        redis = connect(server.url)
        settings = Settings(redis_url=server.url, urls=sandbox.urls, pace="full", log="json")
        folder = tmp_path_factory.mktemp("worker")
        with WatchedProcess(command("worker", "bingx"), child_environment(settings), folder) as worker:
            waited = time.monotonic() + 20
            while not workers_of(redis, "bingx") and time.monotonic() < waited:
                time.sleep(0.05)
            yield House(redis, worker)
        redis.close()


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


def call(name: Any, *arguments: Any, instance: Any = None) -> bytes:
    return json.dumps([name, instance, list(arguments), {}]).encode()


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "posix.system", "builtins.eval", "builtins.exec", "subprocess.run", "subprocess.getoutput",
        "bus.queue.os.system", "workers.jobs.Jobs.fetch_candles", "bus.safe_job.json.os.system", "__import__",
        "candlebus.fetch_candles.__globals__", "candlebus.fetch_candles ", "CANDLEBUS.fetch_candles", "", ".",
        "a" * 999, None, 5, ["os.system"], {"os": "system"},
    ],
    ids=repr,
)  # fmt: skip
def test_no_function_but_ours_runs(house: House, tmp_path: Path, name: Any) -> None:
    canary = tmp_path / "canary"
    house.plant(call(name, f"touch {canary}"))
    house.plant(call("system", f"touch {canary}", instance="os"))
    house.check()
    assert not canary.exists()


@pytest.mark.parametrize("field", ["data", "meta", "result", "exc_info", "webhooks", "success_callback_name"])
@pytest.mark.parametrize("packed", [False, True])
def test_no_pickle_is_read(house: House, tmp_path: Path, field: str, packed: bool) -> None:
    canary = tmp_path / "canary"
    body = pickle.dumps(Bomb(canary))
    house.plant(**{field: zlib.compress(body) if packed else body})
    house.check()
    assert not canary.exists()


@pytest.mark.parametrize("which", ["success", "failure", "stopped"])
@pytest.mark.parametrize("data", [None, call("os.system", "true")], ids=["honest", "refused"])
def test_no_callback_runs_when_the_job_ends(house: House, data: bytes | None, which: str, tmp_path: Path) -> None:
    house.plant(data, **callbacks(tmp_path / "canary", which))
    house.check()
    assert not list(tmp_path.iterdir())


def callbacks(canary: Path, *which: str) -> dict[str, bytes]:
    hooks = json.dumps([{"url": f"file://{canary}", "method": "POST", "events": ["finished", "failed"]}]).encode()
    names = {f"{one}_callback_name": f"{Path(__file__).stem}.touch".encode() for one in which}
    return {**names, **{f"{one}_callback_timeout": b"-5" for one in which}, "webhooks": hooks}


def test_the_callbacks_and_webhooks_of_an_abandoned_job_are_not_run_by_the_upkeep(house: House, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    body = pickle.dumps(Bomb(canary))
    house.redis.hset(
        JOB, mapping={b"data": body, b"meta": body, b"status": b"started", **of(callbacks(canary, "failure"))}
    )  # type: ignore[dict-item]
    registry = "rq:wip:fetch.bingx"
    house.redis.zadd(registry, {"planted:execution": 1, "no-such-job:x": 1, b"\xff:\xfe": 1, "": 1})
    until = time.monotonic() + 20
    while house.redis.zcount(registry, "-inf", 10) and time.monotonic() < until:
        time.sleep(0.1)
    assert house.redis.zcount(registry, "-inf", 10) == 0
    assert house.redis.hget(JOB, "status") == b"failed"
    assert 0 < house.redis.ttl(JOB) <= 3_600
    house.check()
    assert not canary.exists()


MALFORMED = [
    b"",
    b"\xff\xfe",
    b"never",
    b"-1",
    b"1e99",
    b"9" * 400,
    b"0001-01-01T00:00:00.000000Z",
    b"[" * 5_000,
    b"null",
]


@pytest.mark.parametrize(
    "field",
    [
        "origin", "status", "timeout", "result_ttl", "failure_ttl", "ttl", "created_at", "enqueued_at", "started_at",
        "ended_at", "last_heartbeat", "worker_name", "description", "dependency_id", "dependency_ids",
        "allow_dependency_failures", "enqueue_at_front", "group_id", "retries_left", "number_of_retries",
        "retry_intervals", "enqueue_at_front_on_retry", "repeats_left", "repeat_intervals", "rate_limit_key",
        "rate_limit_concurrency", "success_callback_timeout", "meta", "exc_info", "no_such_field", "data",
    ],
)  # fmt: skip
def test_no_field_of_a_job_ends_the_worker(house: House, field: str) -> None:
    for value in MALFORMED:
        house.plant(**{field: value})
    house.check()


@pytest.mark.parametrize(
    "data",
    [
        b"[]", b"5", b"{}", b"null", b'"x"', b"[1,2,3]", call(FETCH_CANDLES, 1, 2), b"[" * 60_000, b"\x00" * 100,
        json.dumps([FETCH_CANDLES, None, {}, []]).encode(), json.dumps([FETCH_CANDLES, None, 5, "x"]).encode(),
        json.dumps([FETCH_CANDLES, {"a": 1}, [], {"request_id": "x"}]).encode(), b'["\\ud800",null,[],{}]',
        json.dumps([FETCH_CANDLES, None, [], {"request_id": "a:b\n*", "exchange": "bingx"}]).encode(),
        json.dumps([FETCH_CANDLES, None, [], dict.fromkeys(map(str, range(5_000)), 1)]).encode(),
    ],
    ids=lambda data: repr(data[:30]),
)  # fmt: skip
def test_no_data_of_another_shape_ends_the_worker(house: House, data: bytes) -> None:
    house.plant(data)
    house.check()


def test_a_bomb_in_a_job_is_refused_in_little_memory(house: House) -> None:
    house.check()
    before = house.worker.peak_mib
    inflater = zlib.compressobj(9)
    bomb = b"".join(inflater.compress(bytes(2**20)) for _ in range(1_024)) + inflater.flush()
    assert len(bomb) < 2 * 2**20
    house.plant(bomb)
    house.plant(zlib.compress(bytes(60 * 2**20), 9)[:65_000])
    house.plant(meta=bytes(64 * 2**20), description=bytes(64 * 2**20), data=bytes(64 * 2**20))
    house.check()
    assert house.worker.peak_mib - before < 40


@pytest.mark.parametrize(
    "job_id",
    [b"\xff\xfe", b"", b"a:b", b"a b", b"a\nb", b"*", b"../x", b"\x00", b"planted:execution", b"x" * 100_000, b"gone"],
    ids=lambda name: repr(name[:20]),
)
def test_no_name_in_the_queue_ends_the_worker(house: House, job_id: bytes) -> None:
    house.redis.rpush(QUEUE, job_id)
    house.redis.rpush(f"{QUEUE}:intermediate", job_id)
    house.check()


def test_a_queue_full_of_nothing_is_worked_off(house: House) -> None:
    with house.redis.pipeline(transaction=False) as pipeline:
        for number in range(5):
            pipeline.rpush(QUEUE, *(f"{number}-{k}" for k in range(1_000)))
        pipeline.execute()
    house.check()


@pytest.mark.parametrize(
    "name",
    [
        JOB, f"{JOB}:dependents", "rq:job:planted:executions", "rq:executions:planted", "rq:results:planted",
        "rq:wip:fetch.bingx", "rq:failed:fetch.bingx", "rq:finished:fetch.bingx", f"{QUEUE}:intermediate",
        "rq:canceled:fetch.bingx", "rq:deferred:fetch.bingx", "rq:clean_registries:fetch.bingx", "rq:groups",
        "rq:rate-limits", "rq:workers:fetch.bingx",
    ],
)  # fmt: skip
def test_no_key_of_rqs_that_is_of_another_kind_ends_the_worker(house: House, name: str) -> None:
    house.redis.delete(name)
    house.redis.set(name, b"\xff")
    if name != JOB:
        house.plant()
    else:
        house.redis.rpush(QUEUE, "planted")
    house.check()
    house.redis.delete(name)


def test_dependents_are_neither_restored_nor_run(house: House, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    body = pickle.dumps(Bomb(canary))
    house.redis.hset("rq:job:next", mapping={"data": body, "meta": body, "origin": "fetch.bingx", "status": "deferred"})
    house.redis.sadd("rq:job:planted:dependents", "next", b"\xff")
    house.redis.zadd("rq:deferred:fetch.bingx", {"next": 1})
    house.plant(dependency_ids=b'["next"]', allow_dependency_failures=b"1")
    house.check()
    assert house.redis.hget("rq:job:next", "status") == b"deferred"
    assert not canary.exists()


def test_nobody_stops_the_worker_by_publishing(house: House) -> None:
    names = [key.removeprefix("rq:worker:") for key in Worker.all_keys(house.redis)]
    commands = [{"command": "shutdown"}, {"command": "stop-job", "job_id": "x"}, {"command": "kill-horse"}, "nonsense"]
    heard = [house.redis.publish(f"rq:pubsub:{name}", json.dumps(one)) for name in names for one in commands]
    assert sum(map(int, heard)) == 0  # type: ignore[arg-type]
    house.check()


def test_what_waits_for_rqs_scheduler_waits_for_ever(house: House, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    house.redis.zadd("rq:scheduled:fetch.bingx", {"later": 1})
    house.redis.hset("rq:job:later", mapping={"data": call("os.system", f"touch {canary}"), "origin": "fetch.bingx"})
    house.check()
    assert house.redis.zscore("rq:scheduled:fetch.bingx", "later") == 1
    assert not canary.exists()


def test_a_job_that_is_no_request_fails_as_rq_tells_it(house: House) -> None:
    queue = Queue("fetch.bingx", connection=house.redis, serializer=JSONSerializer)
    job = queue.enqueue(FETCH_CANDLES, request_id="no name at all", exchange="bingx", symbol="x", timeframe="1m")
    until = time.monotonic() + 20
    while job.get_status() != "failed" and time.monotonic() < until:
        time.sleep(0.05)
    assert job.get_status() == "failed"
    assert RequestBook(house.redis).status("no name at all") is None
    house.check()


def test_the_worker_ends_in_order_after_all_that(house: House) -> None:
    house.check()
    os.kill(house.worker.pid, signal.SIGTERM)
    assert house.worker.wait(30) == 0
