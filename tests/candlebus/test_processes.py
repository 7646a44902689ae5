"""The command line as processes: how they begin, how they end, and that nothing of them stays."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus import keys
from bus.connection import connect, wait_until_ready
from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from tests.candlebus.conftest import RunningBus

BTC = "bingx:BTC/USDT:USDT"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
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


def left_of(home: Path) -> list[str]:
    """Command lines of the processes that were started with that home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def own_server(pid: int) -> int:
    """The server of a fetch: a child of a child of its process."""
    below = [grandchild for child in children(pid) for grandchild in children(child)]
    [found] = [one for one in below if b"-server" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return found


def process_of(url: str) -> int:
    """Process id of the server there, once it answers."""
    with connect(url) as client:
        wait_until_ready(client, 20)
        return int(client.info("server")["process_id"])


def gone(home: Path, within_s: float = 15) -> bool:
    deadline = time.monotonic() + within_s
    while left_of(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_until(happened: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_fetch_without_a_bus_brings_its_own_and_leaves_nothing(
    start: Start, sandbox: Sandbox, tmp_path: Path
) -> None:
    fetch = start("fetch", BTC, "kucoinfutures:BTC/USDT:USDT", "-t", "30m", "-n", "20", "--align")
    out, err = fetch.communicate(timeout=60)
    assert fetch.returncode == 0, err
    assert all(json.loads(line)["spread_ms"] == 0 for line in out.splitlines())
    assert len(out.splitlines()) >= 15
    assert gone(tmp_path)
    assert [sandbox.stats(venue).refusals for venue in sandbox.urls] == [0, 0]


@pytest.mark.slow
def test_an_exchange_that_stays_down_is_waited_for_and_then_one_line_and_exit_code_1(
    start: Start, tmp_path: Path
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        fetch = start("fetch", BTC, "-t", "30m", settings=Settings(urls={"bingx": url}, home=tmp_path))
        out, err = fetch.communicate(timeout=120)
    assert (fetch.returncode, out) == (1, "")
    *progress, last = err.splitlines()
    assert all("0 candles" in line for line in progress)
    assert "bingx has been failing for" in last
    assert "bingx does not answer" in last
    assert gone(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "candlebus: interrupted\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_a_fetch_that_is_ended_leaves_no_process_and_no_file(
    start: Start, sandbox: Sandbox, tmp_path: Path, number: int, code: int, words: str
) -> None:
    sandbox.plan(latency_ms=400)
    file = tmp_path / "candles.csv"
    file.write_text("precious")
    fetch = start("fetch", BTC, "-t", "1m", "-n", "40000", "-o", str(file))
    wait_until(lambda: sandbox.stats("bingx").candle_requests > 0)
    fetch.send_signal(number)
    out, err = fetch.communicate(timeout=30)
    assert (fetch.returncode, out, err) == (code, "", words)
    assert gone(tmp_path)
    assert file.read_text() == "precious"
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_fetch_whose_own_server_ends_says_so(start: Start, sandbox: Sandbox, tmp_path: Path, number: int) -> None:
    sandbox.plan(latency_ms=400)
    fetch = start("fetch", BTC, "-t", "1m", "-n", "40000")
    wait_until(lambda: sandbox.stats("bingx").candle_requests > 0)
    os.kill(own_server(fetch.pid), number)
    out, err = fetch.communicate(timeout=30)
    assert (fetch.returncode, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith(
        f"candlebus: the embedded server ended (exit code {137 if number == signal.SIGKILL else 0}, "
    )
    assert last.endswith("); run the same command again")
    assert gone(tmp_path)


@pytest.mark.parametrize("arguments", ["exchanges", "status", "--help", "fetch --help"])
def test_a_reader_that_goes_away_is_no_error(start: Start, running_bus: RunningBus, arguments: str) -> None:
    process = start(*arguments.split(), settings=Settings(redis_url=running_bus.url))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert process.stderr.read() == ""


@pytest.mark.slow
def test_a_fetch_that_is_interrupted_three_times_still_leaves_nothing(
    start: Start, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # its path is short enough for a socket
        monkeypatch.setenv("TMPDIR", folder)
        sandbox.plan(latency_ms=400)
        fetch = start("fetch", BTC, "-t", "1m", "-n", "40000")
        wait_until(lambda: sandbox.stats("bingx").candle_requests > 0)
        for _ in range(3):
            fetch.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert fetch.wait(timeout=30) == 130
        assert gone(tmp_path)
        assert not list(Path(folder).iterdir())


def test_the_version_and_the_help_need_no_bus(start: Start) -> None:
    assert start("--version").communicate(timeout=20)[0].startswith("candlebus ")
    assert "--align" in start("fetch", "--help").communicate(timeout=20)[0]


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


def test_the_sandbox_prints_the_lines_to_export(start: Start) -> None:
    process = start("sandbox", "--port", "kucoinfutures=0")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("export CANDLEBUS_URL_KUCOINFUTURES=http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "stand-in exchanges, no real ones" in err


@pytest.mark.slow
def test_the_demo_checks_itself(start: Start, tmp_path: Path) -> None:
    demo = start("demo")
    out, err = demo.communicate(timeout=90)
    assert (demo.returncode, err) == (0, "")
    assert (
        out.splitlines()[0] == "The exchanges of this demo are stand-ins on this machine: made-up candles, no network."
    )
    assert "spread bp" in out
    assert "aligned rows in" in out
    assert gone(tmp_path)


def test_what_nobody_expects_keeps_its_traceback(tmp_path: Path) -> None:
    code = "from candlebus import cli; cli._run = lambda _: 1 / 0; cli.main([])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=os.sep, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
