"""The command line run in this process, over one bus that all its tests share."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from candlebus.cli import main
from candlebus.sandbox import Sandbox
from producers.client import workers_of
from tests.candlebus.processes import Start
from workers.supervisor import Supervisor


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class RunningBus(NamedTuple):
    """A server with one worker an exchange and an aligner, over stand-ins."""

    url: str
    sandbox: Sandbox
    redis: Redis


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command; fails where it prints a traceback."""

    def run_once(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ended(code, out, err)

    return run_once


@pytest.fixture(scope="session")
def running_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBus]:
    """A bus of these tests alone: nobody flushes it."""
    home = tmp_path_factory.mktemp("bus")
    program = os.environ.get("CANDLEBUS_TEST_SERVER")  # noqa: TID251
    with Sandbox() as sandbox, EmbeddedServer(program=program) as server, (home / "log").open("wb") as log:
        settings = Settings(redis_url=server.url, pace="full", urls=sandbox.urls, home=home)
        supervisor = Supervisor(child_environment(settings), output=log, grace_s=5)
        for role in (("worker", "bingx"), ("worker", "kucoinfutures"), ("aligner",)):
            supervisor.add(*role)
        client = connect(server.url)
        while not all(workers_of(client, exchange) for exchange in sandbox.urls):
            time.sleep(0.05)
        yield RunningBus(server.url, sandbox, client)
        client.close()
        supervisor.stop()


@pytest.fixture
def on_bus(running_bus: RunningBus, monkeypatch: pytest.MonkeyPatch) -> RunningBus:
    """Commands of this test use the bus of these tests."""
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", running_bus.url)
    return running_bus


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Stand-in exchanges of one test."""
    with Sandbox() as stand_ins:
        yield stand_ins


@pytest.fixture
def start(tmp_path: Path, sandbox: Sandbox) -> Iterator[Start]:
    """Starts commands whose exchanges are stand-ins; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str, settings: Settings | None = None) -> "subprocess.Popen[str]":
        env = child_environment(settings or Settings(pace="full", urls=sandbox.urls, home=tmp_path))
        command = [sys.executable, "-P", "-m", "candlebus", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, bufsize=1))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()
