"""The supervisor starts again whatever ends, however it ended; only settings that never worked end it."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.supervisor import Supervised

Supervise = Callable[[str], Supervised]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Supervises a line of Python, which finds in ``runs`` how often it ran before."""
    started: list[Supervised] = []

    def begin(line: str) -> Supervised:
        count = f"f = open({str(tmp_path / 'runs')!r}, 'a+'); runs = f.tell(); f.write('x'); f.close()"
        argv = [sys.executable, "-c", f"import os, signal, sys, time; {count}; {line}"]
        started.append(Supervised(argv, os.environ, None, 1.0))  # noqa: TID251
        return started[-1]

    yield begin
    for one in started:
        one.child.stop()


def looked_after(one: Supervised, until: Callable[[int | None], bool]) -> int | None:
    """What the supervisor says once ``until`` holds of it."""
    deadline = time.monotonic() + 20
    while not until(said := one.look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return said


@pytest.mark.parametrize(
    "end",
    ["sys.exit(0)", "sys.exit(1)", "os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(2) if runs else sys.exit(0)"],
)
def test_a_process_is_started_again_whatever_it_ended_with(supervise: Supervise, end: str) -> None:
    one = supervise(end)
    assert looked_after(one, lambda said: one.restarts >= 3 or said is not None) is None
    assert one.restarts >= 3


def test_settings_that_are_wrong_from_the_start_end_the_supervisor(supervise: Supervise) -> None:
    one = supervise("sys.exit(2)")
    assert looked_after(one, lambda said: said is not None) == 2
    assert one.restarts == 0


def test_a_server_that_turns_unfit_later_is_waited_for_until_it_is_fit_again(supervise: Supervise) -> None:
    one = supervise("sys.exit({0: 1, 1: 2, 2: 2}[runs]) if runs < 3 else time.sleep(60)")
    looked_after(one, lambda _: one.restarts == 3)
    time.sleep(0.3)
    assert one.look() is None
    assert one.child.exit_code() is None
