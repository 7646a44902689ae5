"""The command line with standard streams that are closed, full, or without a reader."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox

Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as stand_ins:
        yield stand_ins


@pytest.fixture
def shell(tmp_path: Path, sandbox: Sandbox) -> Shell:
    """Runs the command line by a shell, for what it does to the standard streams; the exchanges are stand-ins."""
    env = child_environment(Settings(pace="full", urls=sandbox.urls, home=tmp_path))

    def run(line: str) -> "subprocess.CompletedProcess[str]":
        command = f"{shlex.quote(sys.executable)} -P -m candlebus {line}"
        return subprocess.run(
            ["/bin/sh", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.mark.parametrize(
    "arguments", ["exchanges", "--version", "fetch --help", "fetch bingx:BTC/USDT:USDT -t 30m -n 5"]
)
def test_a_closed_output_is_one_line_and_exit_code_1(shell: Shell, arguments: str) -> None:
    done = shell(f"{arguments} >&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "candlebus: cannot write standard output: Bad file descriptor"
    assert "Traceback" not in done.stderr


def test_a_closed_error_stream_keeps_no_candle_from_coming(shell: Shell) -> None:
    done = shell("fetch bingx:BTC/USDT:USDT -t 30m -n 5 2>&-")
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 5, "")


def test_a_file_is_written_though_every_stream_is_closed(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    done = shell(f"fetch bingx:BTC/USDT:USDT -t 30m -n 5 -o {file} <&- >&- 2>&-")
    assert done.returncode == 0
    assert len(file.read_text().splitlines()) == 6
