"""A bus that the examples talk to as other apps would: server, stand-ins and workers in processes of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from redis import Redis

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from workers.supervisor import Supervisor

EXAMPLES = Path(__file__).parents[2] / "examples"
#: What npm says when it cannot reach the registry; anything else is a fault of the example's.
UNREACHABLE = ("EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ENOTFOUND", "ETIMEDOUT", "ERR_SOCKET_TIMEOUT")
#: ``CANDLEBUS_TEST_NODE=required`` makes a missing Node or registry a failure, so that CI does not skip in silence.
NODE_IS_REQUIRED = os.environ.get("CANDLEBUS_TEST_NODE") == "required"  # noqa: TID251


class App:
    """The two examples of one language: ``enqueue`` and ``subscribe``, run against the bus."""

    def __init__(self, commands: dict[str, list[str]], env: dict[str, str], folder: Path) -> None:
        self._commands = commands
        self._env = env
        self._folder = folder

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """The example, running; what it prints is read from its pipes."""
        pipe = subprocess.PIPE
        command = [*self._commands[name], *arguments]
        return subprocess.Popen(command, env=self._env, cwd=self._folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, name: str, *arguments: str) -> tuple[int, list[str], str]:
        """Exit code, lines on standard output and all of standard error."""
        with self.start(name, *arguments) as process:
            try:
                out, errors = process.communicate(timeout=90)
            finally:
                process.kill()
        return process.returncode, out.splitlines(), errors


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """Stand-ins; so many slots without a trade on KuCoin that a page has some."""
    with Sandbox(omission_rate=0.02) as stand_ins:
        yield stand_ins


@pytest.fixture(scope="package")
def settings(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Where the bus of the examples is: a server of their own, which no other test empties."""
    home = tmp_path_factory.mktemp("examples")
    with (
        EmbeddedServer(program=os.environ.get("CANDLEBUS_TEST_SERVER")) as server,  # noqa: TID251
        (home / "processes.log").open("wb") as log,
    ):
        settings = Settings(redis_url=server.url, pace="full", urls=sandbox.urls, home=home)
        supervisor = Supervisor(child_environment(settings), output=log, grace_s=5)
        for exchange in sandbox.urls:
            supervisor.add("worker", exchange)
        yield settings
        supervisor.stop()


@pytest.fixture
def bus(settings: Settings) -> Iterator[Redis]:
    """A connection to the bus of the examples."""
    client = connect(settings.redis_url or "")
    yield client
    client.close()


@pytest.fixture(scope="package")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the Node example with its packages installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _do_without("node and npm are not both installed")
    folder = tmp_path_factory.mktemp("node") / "example"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        _do_without("npm could not install the packages within two minutes")
    if any(code in done.stderr for code in UNREACHABLE):
        _do_without("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


def _do_without(reason: str) -> NoReturn:
    if NODE_IS_REQUIRED:
        pytest.fail(f"CANDLEBUS_TEST_NODE=required, but {reason}")
    pytest.skip(reason)


@pytest.fixture(params=["python", "node"])
def app(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> App:
    """The examples of each language in turn, told nothing but where the server is."""
    env = child_environment(msgspec.structs.replace(settings, urls={}))
    if request.param == "node":
        folder: Path = request.getfixturevalue("node_folder")
        return App({name: ["node", f"{name}.mjs"] for name in ("enqueue", "subscribe")}, env, folder)
    files = {"enqueue": "enqueue_with_rq.py", "subscribe": "subscribe_with_redis.py"}
    python = [sys.executable, "-P", "-W", "error"]
    return App({name: [*python, str(EXAMPLES / file)] for name, file in files.items()}, env, tmp_path)


Enqueue = Callable[..., dict[str, str]]


@pytest.fixture
def enqueue(app: App, bus: Redis) -> Enqueue:
    """Runs the example that asks for candles, to its good end; the record of its request."""

    def run(series: str, timeframe: str, *arguments: str) -> dict[str, str]:
        code, lines, errors = app.run("enqueue", series, timeframe, *arguments)
        assert code == 0, (lines, errors)
        found: Any = bus.hgetall(f"candlebus:request:{lines[0].removeprefix('request ')}")
        record = {name.decode(): value.decode() for name, value in found.items()}
        assert lines[1:] == [
            "done: " + ", ".join(f"{name} {record[name]}" for name in ("candles", "gap_slots", "pages"))
        ]
        return record

    return run
