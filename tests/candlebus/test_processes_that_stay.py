"""What runs until it is ended: `up`, workers, aligners, schedules, and what follows a bus, as processes."""

import os
import shlex
import signal
import socket
import time
from pathlib import Path

import pytest

from bus import keys
from bus.connection import connect, wait_until_ready
from bus.embedded import EmbeddedServer
from bus.settings import Settings
from candlebus.sandbox import Sandbox
from tests.candlebus.conftest import RunningBus
from tests.candlebus.processes import BTC, Start, gone, left_of, wait_until


def process_of(url: str) -> int:
    """Process id of the server there, once it answers."""
    with connect(url) as client:
        wait_until_ready(client, 20)
        return int(client.info("server")["process_id"])


@pytest.mark.slow
def test_up_serves_this_machine_until_it_is_ended(start: Start, sandbox: Sandbox, tmp_path: Path) -> None:
    up = start("up", "bingx", "kucoinfutures", "--processes", "1")
    assert up.stdout is not None
    export, _, url = up.stdout.readline().strip().partition("=")
    assert export == "export CANDLEBUS_REDIS_URL"

    second = start("up", "bingx")
    out, err = second.communicate(timeout=20)
    assert (second.returncode, out, err.count("\n")) == (2, "", 1)
    assert f"(process {up.pid}) runs already" in err

    fetch = start("fetch", BTC, "-t", "30m", "-n", "5")
    out, err = fetch.communicate(timeout=30)
    assert (fetch.returncode, len(out.splitlines())) == (0, 5)
    assert f"joining the bus of {'candlebus up bingx kucoinfutures --processes 1'!r}" in err

    paced = start("fetch", BTC, "-t", "30m", "--pace", "full")
    assert "pace belongs to the workers there" in paced.communicate(timeout=30)[1]
    assert paced.returncode == 2

    added = start("group", "add", "pair", BTC, "kucoinfutures:BTC/USDT:USDT", "-t", "30m")
    assert added.wait(timeout=20) == 0
    assert Path(shlex.split(url)[0].removeprefix("unix://")).is_socket()

    up.send_signal(signal.SIGTERM)
    assert up.wait(timeout=25) == 143
    assert gone(tmp_path)

    again = start("up", "bingx", "--processes", "1")
    assert again.stdout is not None
    again.stdout.readline()
    assert start("group", "list").communicate(timeout=20)[0] == "pair\n"
    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=25) == 0
    assert gone(tmp_path)


@pytest.mark.slow
def test_up_starts_its_server_again_and_its_workers_go_on(start: Start, tmp_path: Path) -> None:
    up = start("up", "bingx", "--processes", "1")
    assert up.stdout is not None
    assert up.stderr is not None
    url = shlex.split(up.stdout.readline().strip().partition("=")[2])[0]
    with connect(url) as client:
        client.set("k", "1")
    former = process_of(url)
    os.kill(former, signal.SIGKILL)
    wait_until(lambda: process_of(url) != former)
    fetch = start("fetch", BTC, "-t", "30m", "-n", "5")
    out, err = fetch.communicate(timeout=60)
    assert (fetch.returncode, len(out.splitlines())) == (0, 5), err
    with connect(url) as client:
        assert client.get("k") == b"1"
    up.send_signal(signal.SIGTERM)
    assert up.wait(timeout=25) == 143
    told = [line for line in up.stderr.read().splitlines() if "the server of this bus ended" in line]
    assert len(told) == 1
    assert told[0].startswith("candlebus: the server of this bus ended (exit code 137, last line: ")
    assert gone(tmp_path)


@pytest.mark.slow
def test_workers_and_aligners_of_a_shared_bus_end_when_asked(
    start: Start, running_bus: RunningBus, tmp_path: Path
) -> None:
    settings = Settings(redis_url=running_bus.url, urls=running_bus.sandbox.urls, home=tmp_path)
    processes = [
        start("worker", "bingx", "kucoinfutures", settings=settings),
        start("aligner", settings=settings),
        start("watch", BTC, settings=settings),
    ]
    wait_until(lambda: sum("-m workers" in line for line in left_of(tmp_path)) >= 3)
    time.sleep(3)  # until who watches has begun: before that it is interrupted, and says so by 130
    for process in processes:
        process.send_signal(signal.SIGINT)
    assert [process.wait(timeout=25) for process in processes] == [0, 0, 0]
    assert gone(tmp_path)


def test_a_schedule_asks_for_what_has_closed_and_ends_when_asked(
    start: Start, running_bus: RunningBus, tmp_path: Path
) -> None:
    series = "kucoinfutures:SOL/USDT:USDT"
    process = start("schedule", series, "-t", "1m", settings=Settings(redis_url=running_bus.url, home=tmp_path))
    arrived = lambda: running_bus.redis.zscore(keys.schedule(), "kucoinfutures:1m:SOL/USDT:USDT")  # noqa: E731
    wait_until(lambda: arrived() is not None)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert time.time() * 1000 - 3 * 60_000 < arrived() <= time.time() * 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("worker", "bingx"), ("aligner",), ("schedule", BTC, "-t", "1m")], ids=["worker", "aligner", "schedule"]
)
def test_who_serves_a_bus_may_be_started_before_its_server(
    start: Start, sandbox: Sandbox, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    settings = Settings(redis_url=f"redis://:secret@127.0.0.1:{port}/0", urls=sandbox.urls, home=tmp_path)
    process = start(*command, settings=settings)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "waiting for the server at redis://…@127.0.0.1" in line
    assert "refused" in line
    here = [command[0], *command[1:2]] if command[0] == "worker" else [command[0]]
    with EmbeddedServer(port=port) as server, connect(server.url) as client:
        client.config_set("requirepass", "secret")
        wait_until(lambda: start("alive", *here, settings=settings).wait(timeout=20) == 0, within_s=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=25) == 143
        assert start("alive", *here, settings=settings).wait(timeout=20) == 1
    assert gone(tmp_path)


def test_a_server_that_refuses_the_login_is_not_waited_for(start: Start) -> None:
    with EmbeddedServer() as server, connect(server.url) as client:
        client.config_set("requirepass", "secret")
        process = start("worker", "bingx", settings=Settings(redis_url=server.url.replace("//", "//:wrong@")))
        assert "refuses the login" in process.communicate(timeout=20)[1]
    assert process.returncode == 2
