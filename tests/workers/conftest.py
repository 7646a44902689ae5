"""Fixtures of more than one of these tests."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from bus.connection import connect
from bus.groups import GroupBook
from bus.messages import Group
from bus.settings import Settings
from candlebus import CcxtClient
from candlebus.sandbox import Sandbox
from tests.faults.preload import Preload
from tests.faults.server import ServerUnderTest
from tests.workers.aligner_helpers import SERIES
from tests.workers.exchange_fakes import FakeTime
from tests.workers.stage import BEGAN_MS, Opened, Stage
from tests.workers.turns import Work
from workers.client_pace import SteadyClock
from workers.desk import Desk
from workers.worker import ExchangeWorker


class SteppedServer(msgspec.Struct, frozen=True):
    """A server of its own whose clock is stepped."""

    redis: Redis
    set_off: Callable[[int], None]

    def step(self, ms: int) -> None:
        """Set its clock so far off the truth, ms."""
        self.set_off(ms)
        time.sleep(0.01)  # it looks at the clock again after half a millisecond


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[SteppedServer]:
    preload = Preload(tmp_path)
    if not preload.is_there:
        pytest.skip("there is no C compiler")
    server = ServerUnderTest(tmp_path, preload, wrapped=False)
    server.start()
    yield SteppedServer(server.control, lambda ms: preload.step("server", ms))
    server.kill()
    server.control.close()


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[Sandbox]:
    """Stand-in exchanges of a module."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(stand_ins: Sandbox) -> Iterator[Sandbox]:
    """The same, without what a former test planned."""
    yield stand_ins
    stand_ins.plan(faults="", latency_ms=0)


@pytest.fixture
def work(redis: Redis, server: str, sandbox: Sandbox) -> Iterator[Work]:
    """Runs the queue of an exchange until it is empty."""
    opened = []

    def run(exchange: str = "bingx") -> None:
        rq_connection = connect(server)
        desk = Desk(exchange, redis, Settings(pace="full", urls=sandbox.urls))
        opened.extend([rq_connection.close, desk.close])
        ExchangeWorker(desk, redis, rq_connection).work(burst=True, logging_level="ERROR")

    yield run
    for close in opened:
        close()


@pytest.fixture
def group(redis: Redis) -> Group:
    """A group of two series, from the first minute on."""
    return GroupBook(redis).add("g", SERIES, "1m", start_ms=0)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Stand-ins for one client."""
    time = FakeTime(BEGAN_MS)
    with Sandbox(limit="off", omission_rate=0.02, clock=time.now_ms) as sandbox:
        yield Stage(sandbox, time)


@pytest.fixture
def client(stage: Stage) -> Iterator[Opened]:
    """Opens clients whose own clock may be off."""
    opened: list[CcxtClient] = []

    def open_client(name: str = "bingx", *, off_ms: int = 0, pace: Any = "conservative", url: str = "") -> CcxtClient:
        clock = SteadyClock(lambda: stage.time.now_ms() + off_ms, stage.time.monotonic, stage.time.sleep)
        urls = {name: url} if url else stage.sandbox.urls
        opened.append(CcxtClient(name, settings=Settings(pace=pace, urls=urls), clock=clock))
        return opened[-1]

    yield open_client
    for one in opened:
        one.close()
