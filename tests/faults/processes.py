"""The fleet under test: supervisors with their workers and aligners, as an operator starts them, and who is who."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Literal

from workers.supervisor import Supervised

Role = Literal["worker", "aligner", "guardian", "supervisor"]
_GRACE_S: Final = 5.0
_LOOK_S: Final = 0.2
#: What ``patches/sitecustomize.py`` ends a process with.
MISFIT: Final = 97
#: An honest worker holds about 90 MiB; a body may have 32 MiB, on each of four threads.
_MOST_MIB: Final = 280


class Fleet:
    """Two workers for each exchange under one supervisor, and two aligners, each under its own.

    Attributes:
        misfits: What ended because a test-only patch is out of date.
        refused: What ended because it found its settings wrong, which no fault may bring about.
    """

    def __init__(self, log: IO[bytes], exchanges: tuple[str, ...], *, workers: int = 2, aligners: int = 2) -> None:
        """Start nothing yet."""
        self._log = log
        self._commands = [["worker", *exchanges, "--processes", str(workers)], *[["aligner"]] * aligners]
        self._environments: dict[str, Mapping[str, str]] = {}
        self._supervised: list[Supervised] = []
        self._keeper: threading.Thread | None = None
        self._ended = threading.Event()
        self.refused: list[str] = []
        self.misfits: list[str] = []

    def start(self, environments: Mapping[str, Mapping[str, str]]) -> None:
        """Start everything; environments by role, ``worker`` and ``aligner``."""
        self._ended.clear()
        for command in self._commands:
            argv = [sys.executable, "-P", "-m", "candlebus", *command]
            self._supervised.append(Supervised(argv, environments[command[0]], self._log.fileno(), _GRACE_S * 5))
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        while not self._ended.wait(_LOOK_S):
            for one in self._supervised:
                if one.child.exit_code() == MISFIT:
                    self.misfits.append(f"a patch does not fit the code, says {self._log.name}")
                    return
                if one.look() is not None:
                    self.refused.append(f"a supervisor ended with 2: its settings are wrong, says {self._log.name}")
                    return

    def members(self, role: Role) -> list[int]:
        """Process ids of a role, in the order of their start."""
        return sorted(pid for pid, found in self._tree() if found == role)

    def _tree(self) -> Iterator[tuple[int, Role]]:
        for one in self._supervised:
            for pid in descendants(one.child.pid):
                if (role := _role(pid)) is not None:
                    yield pid, role

    def too_large(self) -> list[str]:
        """Processes that have ever held more memory than any input may cost them."""
        peaks = {pid: _peak_bytes(pid) for role in ("worker", "aligner") for pid in self.members(role)}
        found = {pid: peak // 2**20 for pid, peak in peaks.items() if peak > _MOST_MIB * 2**20}
        return [f"process {pid} held {peak} MiB, more than {_MOST_MIB}" for pid, peak in found.items()]

    def tell_stacks(self) -> None:
        """Have every worker and aligner write to the log what it is at."""
        for pid in [*self.members("worker"), *self.members("aligner")]:
            send(pid, signal.SIGUSR1)
        time.sleep(_LOOK_S)

    def stop(self) -> None:
        """End everything: in order, then by force what is left of it."""
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
        left = [pid for one in self._supervised for pid in descendants(one.child.pid)]
        for pid in left:
            send(pid, signal.SIGCONT)
        for one in self._supervised:
            one.child.ask_to_stop()
        for one in self._supervised:
            one.child.stop()
        self._supervised.clear()
        for pid in left:
            if _role(pid) is not None:
                send(pid, signal.SIGKILL)


def send(pid: int, number: int) -> bool:
    """Send a signal; whether there was a process to get it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def child_of(pid: int) -> int:
    """A guardian's only child; 0 where there is none."""
    return next(iter(children(pid)), 0)


def descendants(pid: int) -> list[int]:
    """The process itself and all below it."""
    return [pid, *(below for child in children(pid) for below in descendants(child))]


def _peak_bytes(pid: int) -> int:
    """The most memory that a process ever held; 0 of one that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _role(pid: int) -> Role | None:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if any(word.endswith(b"child.py") for word in words):
            return "guardian"
        if b"candlebus" in words:
            return "supervisor"
        if b"workers" in words:
            return "worker" if b"worker" in words else "aligner"
    return None
