"""What ends by itself: `fetch` and its own bus, as processes that are interrupted, killed, or lose their reader."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bus.settings import Settings
from candlebus.sandbox import Sandbox
from tests.candlebus.conftest import RunningBus
from tests.candlebus.processes import BTC, Start, gone, wait_until


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def own_server(pid: int) -> int:
    """The server of a fetch: a child of a child of its process."""
    below = [grandchild for child in children(pid) for grandchild in children(child)]
    [found] = [one for one in below if b"-server" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return found


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
