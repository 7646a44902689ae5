"""A server that refuses for a while: worker and aligner processes live, go on, and lose nothing."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import RedisError

from bus import keys
from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.groups import GroupBook
from bus.requests import RequestBook
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from producers.client import Producer, workers_of
from workers.supervisor import Supervisor

pytestmark = [pytest.mark.redis, pytest.mark.slow]
SERIES = "bingx:BTC/USDT:USDT"
STREAM = keys.candles("bingx", "1m", "BTC/USDT:USDT")
GROUP = "pair"


#: A write that needs no memory opens the way for those after it.
PUBLISH_WITHOUT_MEMORY = """
redis.call('HDEL', 'none', 'none') redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 'b', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
"""


class Bus:
    """A server with one worker and one aligner, as processes."""

    def __init__(self, server: EmbeddedServer, sandbox: Sandbox, home: Path, log: Any) -> None:
        self.redis = connect(server.url)
        self.data = server._data
        settings = Settings(redis_url=server.url, urls=sandbox.urls, home=home, pace="full")
        self.supervisor = Supervisor(child_environment(settings), output=log, grace_s=5)
        self.supervisor.add("worker", "bingx")
        self.supervisor.add("aligner")
        self.pids = [one.child.pid for one in self.supervisor.processes]
        self._asked = 0

    def ask(self) -> str:
        """Ask for ten minutes that nobody asked for."""
        self._asked += 1
        until = int(time.time()) // 60 * 60_000 - self._asked * 600_000
        return Producer(self.redis).enqueue(SERIES, "1m", since=until - 600_000, until=until).id

    def finish(self, request_id: str, within_s: float = 60) -> None:
        book = RequestBook(self.redis)
        wait_for(lambda: (status := book.status(request_id)) is not None and status.has_ended, within_s)
        status = book.status(request_id)
        assert status is not None
        assert (status.state, status.error) == ("done", None)
        assert status.candles + status.gap_slots == 10

    def is_aligned(self) -> bool:
        """Whether the group has read all there is."""
        return self.redis.xinfo_groups(STREAM)[0]["lag"] == 0

    def all_live(self) -> bool:
        """Whether both processes are those that were started."""
        self.supervisor.look()
        return [one.child.pid for one in self.supervisor.processes] == self.pids


def wait_for(done: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    home = tmp_path_factory.mktemp("refusals")
    program = os.environ.get("CANDLEBUS_TEST_SERVER")  # noqa: TID251
    with Sandbox() as sandbox, EmbeddedServer(program=program) as server, (home / "log").open("wb") as log:
        running = Bus(server, sandbox, home, log)
        since = int(time.time()) // 60 * 60_000 - 86_400_000
        try:
            GroupBook(running.redis).add(GROUP, [SERIES, "bingx:ETH/USDT:USDT"], "1m", start_ms=since)
            wait_for(lambda: bool(workers_of(running.redis, "bingx")))
            yield running
        finally:
            running.supervisor.stop()
            running.redis.close()


@contextlib.contextmanager
def out_of_memory(bus: Bus) -> Iterator[None]:
    limit = bus.redis.config_get("maxmemory")["maxmemory"]
    bus.redis.config_set("maxmemory", "1mb")  # less than the server itself takes
    try:
        yield
    finally:
        bus.redis.config_set("maxmemory", limit)


@contextlib.contextmanager
def no_snapshot(bus: Bus) -> Iterator[None]:
    """MISCONF: a server that cannot save, as on a full disk, refuses writes."""
    blocked = bus.data / "dump.rdb"
    blocked.mkdir()
    bus.redis.config_set("save", "3600 1")
    with contextlib.suppress(RedisError):
        bus.redis.bgsave()
    wait_for(lambda: bus.redis.info("persistence")["rdb_last_bgsave_status"] == "err")
    try:
        yield
    finally:
        blocked.rmdir()
        bus.redis.bgsave()
        wait_for(lambda: bus.redis.info("persistence")["rdb_last_bgsave_status"] == "ok")
        bus.redis.config_set("save", "")


@contextlib.contextmanager
def no_replicas(bus: Bus) -> Iterator[None]:
    bus.redis.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        bus.redis.config_set("min-replicas-to-write", 0)


@contextlib.contextmanager
def busy(bus: Bus) -> Iterator[None]:
    bus.redis.config_set("busy-reply-threshold", 50)
    loop = "local t = redis.call('TIME') while redis.call('TIME')[1] - t[1] < 4 do end"
    with contextlib.suppress(RedisError):
        bus.redis.eval(loop, 0)
    yield


@contextlib.contextmanager
def too_many_clients(bus: Bus) -> Iterator[None]:
    """Everybody but us is cut off, and nobody comes in again."""
    limit = bus.redis.config_get("maxclients")["maxclients"]
    bus.redis.config_set("maxclients", 1)
    bus.redis.client_kill_filter(_type="normal", skipme=True)
    try:
        yield
    finally:
        bus.redis.config_set("maxclients", limit)


@contextlib.contextmanager
def cut_off_again_and_again(bus: Bus) -> Iterator[None]:
    for _ in range(20):
        bus.redis.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.1)
    yield


Fault = Callable[[Bus], contextlib.AbstractContextManager[None]]
FAULTS: dict[str, Fault] = {
    "OOM": out_of_memory,
    "MISCONF": no_snapshot,
    "NOREPLICAS": no_replicas,
    "BUSY": busy,
    "max clients": too_many_clients,
    "CLIENT KILL": cut_off_again_and_again,
}


@pytest.mark.parametrize("name", FAULTS)
def test_worker_and_aligner_live_through_it_and_go_on(bus: Bus, name: str) -> None:
    before = bus.ask()
    with FAULTS[name](bus):
        if name in ("OOM", "MISCONF", "NOREPLICAS"):
            with pytest.raises(RedisError):
                bus.redis.set("anything", 1)
        time.sleep(4)
    after = bus.ask()
    bus.finish(before)
    bus.finish(after)
    wait_for(bus.is_aligned)
    assert bus.all_live()


def test_at_the_server_s_limit_what_is_published_is_aligned_all_the_same(bus: Bus) -> None:
    """The first write of a commit, and of keeping a group, needs no memory."""
    bus.finish(bus.ask())
    wait_for(bus.is_aligned)
    with out_of_memory(bus):
        held = bus.redis.hget(keys.group_lease(GROUP), "until")
        number, newest = bus.redis.get(keys.sequence(STREAM)), bus.redis.xrevrange(STREAM, count=1)[0][1]
        bus.redis.eval(PUBLISH_WITHOUT_MEMORY, 2, STREAM, keys.sequence(STREAM), int(number or 0) + 1, newest[b"b"])
        wait_for(bus.is_aligned)
        wait_for(lambda: bus.redis.hget(keys.group_lease(GROUP), "until") not in (held, None))
    assert bus.all_live()
