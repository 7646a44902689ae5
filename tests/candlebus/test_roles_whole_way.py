"""The whole way with a user per role: nothing is denied that a role needs."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from rq import Queue
from rq.serializers import JSONSerializer

from bus.embedded import EmbeddedServer
from bus.roles import ADMIN, ROLES, acl_file
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from producers.client import Producer, workers_of
from tests.bus.test_roles import rules
from tests.candlebus.conftest import Run
from workers.supervisor import Supervisor

PASSWORD = "one for all in this test"
SERIES = ["bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"]
As = Callable[[str], Run]


class Guarded:
    """A server with a user per role, a worker an exchange and an aligner, each logged in as its own."""

    def __init__(self, server: EmbeddedServer, sandbox: Sandbox, home: Path, log: Any) -> None:
        self.path = server.url.removeprefix("unix://")
        self.sandbox = sandbox
        self.home = home
        self.supervisors = [Supervisor(self.environment(role), output=log, grace_s=5) for role in ("worker", "aligner")]
        for exchange in ("bingx", "kucoinfutures"):
            self.supervisors[0].add("worker", exchange)
        self.supervisors[1].add("aligner")

    def url(self, role: str) -> str:
        return f"unix://{role}:{PASSWORD.replace(' ', '%20')}@{self.path}"

    def environment(self, role: str) -> dict[str, str]:
        return child_environment(
            Settings(redis_url=self.url(role), urls=self.sandbox.urls, home=self.home, pace="full")
        )

    def client(self, role: str) -> Redis:
        return Redis.from_url(self.url(role), decode_responses=True)

    def denied(self) -> list[str]:
        admin = self.client(ADMIN)
        told = admin.acl_log()
        admin.close()
        return [f"{one['username']} {one['reason']} {one['object']} {one['context']}" for one in told]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("guarded")
    program = os.environ.get("CANDLEBUS_TEST_SERVER")  # noqa: TID251
    with Sandbox() as sandbox, EmbeddedServer(program=program) as server, (home / "log").open("wb") as log:
        first = Redis.from_url(server.url)
        users = acl_file().splitlines()
        for line in [*users[1:], users[0]]:  # the last one shuts out the user who tells the others
            first.execute_command("ACL", "SETUSER", *rules(line), *([] if line == users[0] else [f">{PASSWORD}"]))
        first.close()
        bus = Guarded(server, sandbox, home, log)
        reader = Redis.from_url(bus.url("reader"))
        wait_for(lambda: all(workers_of(reader, exchange) for exchange in sandbox.urls))
        reader.close()
        yield bus
        for supervisor in bus.supervisors:
            supervisor.stop()


@pytest.fixture
def as_role(guarded: Guarded, run: Run, monkeypatch: pytest.MonkeyPatch) -> As:
    """Runs a command as the user of a role."""

    def of(role: str) -> Run:
        monkeypatch.setenv("CANDLEBUS_REDIS_URL", guarded.url(role))
        return run

    return of


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.redis
@pytest.mark.slow
def test_each_role_does_its_part_and_none_is_denied_anything(as_role: As, guarded: Guarded) -> None:
    since = str((int(time.time()) // 60 - 100) * 60_000)
    assert as_role("admin")("group", "add", "pair", *SERIES, "-t", "1m", "--since", since).code == 0

    fetched = as_role("producer")("fetch", *SERIES, "-t", "1m", "--since", since, "--align", "--format", "jsonl")
    assert fetched.code == 0, fetched.err
    assert len(fetched.out.splitlines()) > 50
    assert as_role("producer")("contracts", "bingx", "BTC/USDT:USDT").code == 0

    reader = guarded.client("reader")
    wait_for(lambda: bool(reader.xlen("candlebus:aligned:pair")))
    for command in (("status", "--json"), ("group", "show", "pair"), ("group", "list"), ("audit",), ("doctor",)):
        ended = as_role("reader")(*command)
        assert ended.code == 0, (command, ended.err)
    assert json.loads(as_role("reader")("status", "--json").out)["exchanges"]["bingx"]["workers"] == 1

    assert as_role("admin")("group", "remove", "pair").code == 0
    reader.close()
    assert guarded.denied() == []


@pytest.mark.redis
@pytest.mark.slow
def test_an_app_of_plain_rq_is_a_producer_and_a_job_that_fails_needs_no_more(guarded: Guarded) -> None:
    producer = Redis.from_url(guarded.url("producer"))
    queue = Queue("fetch.bingx", connection=producer, serializer=JSONSerializer)
    asked = {"exchange": "bingx", "symbol": "ETH/USDT:USDT", "timeframe": "1m", "limit": 5}
    good = queue.enqueue("candlebus.fetch_candles", request_id="plain-1", **asked)
    bad = queue.enqueue("os.system", "true")
    wait_for(lambda: producer.hget("candlebus:request:plain-1", "state") == b"done")
    reader = Redis.from_url(guarded.url("worker"))
    wait_for(lambda: reader.hget(f"rq:job:{bad.id}", "status") == b"failed")
    assert reader.hget(f"rq:job:{good.id}", "status") in (b"finished", None)
    producer.close()
    reader.close()
    assert guarded.denied() == []


@pytest.mark.redis
def test_a_producer_may_take_its_request_out_of_a_queue_that_nobody_serves(guarded: Guarded) -> None:
    producer = Redis.from_url(guarded.url("producer"))
    pending = Producer(producer).enqueue("okx:BTC/USDT:USDT", "1m", limit=5)
    assert pending.cancel() == "cancelled"
    assert producer.llen("rq:queue:fetch.okx") == 0
    producer.close()
    assert guarded.denied() == []


@pytest.mark.redis
@pytest.mark.slow
def test_after_a_restart_of_the_server_s_memory_of_scripts_all_go_on(guarded: Guarded, as_role: As) -> None:
    admin = guarded.client(ADMIN)
    admin.script_flush()
    admin.close()
    assert as_role("producer")("fetch", "bingx:SOL/USDT:USDT", "-t", "1m", "-n", "5").code == 0
    assert {line.partition(" ")[0] for line in guarded.denied()} <= {"producer"}  # it tried to load what it may not


@pytest.mark.redis
def test_a_role_is_stopped_at_its_bounds(guarded: Guarded) -> None:
    reader, producer, aligner = (guarded.client(role) for role in ("reader", "producer", "aligner"))
    for attempt in (
        lambda: reader.xadd("candlebus:candles:bingx:1m:X", {"b": "x"}),
        lambda: producer.xadd("candlebus:candles:bingx:1m:X", {"b": "x"}),
        lambda: aligner.xadd("candlebus:candles:bingx:1m:X", {"b": "x"}),
        lambda: aligner.rpush("rq:queue:fetch.bingx", "x"),
        lambda: reader.hset("rq:job:x", "data", "x"),
        lambda: producer.publish("rq:pubsub:x", "stop"),
        lambda: producer.flushall(),
        lambda: producer.config_get("dir"),
        lambda: producer.keys("*"),
    ):
        with pytest.raises(NoPermissionError):
            attempt()
    for client in (reader, producer, aligner):
        client.close()
    admin = guarded.client(ADMIN)
    admin.acl_log_reset()
    admin.close()


def test_the_password_is_in_no_command_line_and_no_log(guarded: Guarded) -> None:
    if sys.platform != "linux":
        pytest.skip("command lines are read from /proc")
    secrets = (PASSWORD.encode(), PASSWORD.replace(" ", "%20").encode())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        assert not any(secret in line for secret in secrets), line
    written = (guarded.home / "log").read_bytes()
    assert not any(secret in written for secret in secrets)
    assert set(ROLES) == {"reader", "producer", "worker", "aligner"}


@pytest.mark.redis
@pytest.mark.slow
def test_the_farewell_of_worker_and_aligner_is_within_their_bounds(guarded: Guarded) -> None:
    admin = guarded.client(ADMIN)
    admin.acl_log_reset()
    admin.close()
    for supervisor in guarded.supervisors:
        supervisor.stop()
    assert guarded.denied() == []
