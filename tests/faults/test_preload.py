"""The preloaded library: clocks that step, an fsync that is late and accounted for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.preload import Preload

_SYNC = """
import os, sys, time
with open(sys.argv[1], "wb", buffering=0) as file:
    file.write(b"x" * 10)
    begun_at = time.monotonic()
    os.fdatasync(file)
    print(time.monotonic() - begun_at)
    file.write(b"x" * 5)
"""


@pytest.fixture
def preload(tmp_path: Path) -> Preload:
    made = Preload(tmp_path)
    if not made.is_there:
        pytest.skip("there is no C compiler")
    return made


def _run(code: str, environment: dict[str, str], *arguments: str) -> str:
    whole = dict(os.environ) | environment  # noqa: TID251
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=whole, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("step_ms", [-86_400_000, -1_500, 1_500, 86_400_000])
def test_a_wall_clock_steps_and_the_monotonic_one_does_not(preload: Preload, step_ms: int) -> None:
    environment = preload.environment("worker")
    preload.step("worker", step_ms)
    told = _run("import time; print(time.time(), time.monotonic())", environment).split()
    assert float(told[0]) - time.time() == pytest.approx(step_ms / 1000, abs=10)
    assert float(told[1]) == pytest.approx(time.monotonic(), abs=10)


def test_clocks_of_other_names_stay(preload: Preload) -> None:
    preload.environment("worker")
    preload.step("worker", 86_400_000)
    assert float(_run("import time; print(time.time())", preload.environment("aligner"))) < time.time() + 10


def test_an_fsync_is_late_and_what_came_after_it_is_not_durable(preload: Preload, tmp_path: Path) -> None:
    file = tmp_path / "file"
    environment = preload.environment("server", syncs=True)
    preload.slow_syncs(120)
    took_s = float(_run(_SYNC, environment, str(file)))
    assert took_s >= 0.12
    assert (preload.durable_bytes(file), file.stat().st_size) == (10, 15)
    preload.forget_syncs([file])
    assert preload.durable_bytes(file) == 15
