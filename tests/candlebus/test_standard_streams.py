"""The command line with standard streams that are closed, full, or without a reader."""

import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from tests.candlebus.conftest import Run, RunningBus

Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


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


@pytest.mark.parametrize(
    "arguments", ["exchanges", "--version", "fetch --help", "fetch bingx:BTC/USDT:USDT -t 30m -n 5"]
)
def test_a_full_disk_under_standard_output_is_one_line_and_exit_code_1(shell: Shell, arguments: str) -> None:
    done = shell(f"{arguments} >/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "candlebus: cannot write standard output: No space left on device"
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("option", ["-o", "--report"])
def test_a_full_disk_under_a_file_is_one_line_and_exit_code_1(shell: Shell, option: str, suffix: str) -> None:
    form = f"--format {suffix}" if option == "-o" else ""
    done = shell(f"fetch bingx:BTC/USDT:USDT -t 30m -n 5 {form} {option} /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "candlebus: cannot write /dev/full: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_of_a_file_that_grows_too_large_for_its_disk_no_part_stays(
    run: Run, on_bus: RunningBus, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"candles.{suffix}"
    file.write_text("precious")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        code, out, err = run("fetch", "bingx:BTC/USDT:USDT", "-t", "30m", "-n", "500", "-o", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"candlebus: cannot write {file}: File too large"
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "precious"
