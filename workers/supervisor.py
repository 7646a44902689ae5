"""Keeps worker and aligner processes alive: whatever ends is started again, until asked to stop."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, Final

from bus.child import Child

_log = logging.getLogger(__name__)

#: A process that ends sooner than this after its start is restarted later and later.
_SHORT_LIFE_S: Final = 5.0
_LONGEST_WAIT_S: Final = 5.0
_LOOK_S: Final = 0.2
#: What a process exits with when it finds its settings wrong. They never change while we run, so that this holds for
#: its first start only: what a later one finds is the server's, which may heal.
_USAGE: Final = 2


def command(role: str, *arguments: str) -> list[str]:
    """The command line of a process of ours; ``-P`` keeps modules of the working directory out of it."""
    return [sys.executable, "-P", "-m", "workers", role, *arguments]


class Supervised:
    """One process, started again whenever it ends."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int | None, grace_s: float
    ) -> None:
        self._argv = argv
        self._env = env
        self._output = output
        self._grace_s = grace_s
        self._wait_s = 0.0
        self._start_at = 0.0
        self.restarts = 0
        self._start()

    def _start(self) -> None:
        self.child = Child(self._argv, env=self._env, output=self._output, grace_s=self._grace_s)
        self._started_at = time.monotonic()

    def look(self) -> int | None:
        """Start the process again where it has ended and its wait is over; 2 when it never began, for its settings."""
        code = self.child.exit_code()
        if code is None:
            return None
        if code == _USAGE and not self.restarts:
            return code
        now = time.monotonic()
        if self._start_at <= self._started_at:
            short = now - self._started_at < _SHORT_LIFE_S
            self._wait_s = min(_LONGEST_WAIT_S, max(0.1, self._wait_s * 2)) if short else 0.1
            self._start_at = now + self._wait_s
            _log.warning("process ended", extra={"argv": " ".join(self._argv[-2:]), "exit_code": code})
        if now >= self._start_at:
            self.restarts += 1
            self.child.stop()  # closes what is still open of the one that ended
            self._start()
        return None


class Supervisor:
    """Several processes, started again whenever they end."""

    def __init__(self, env: Mapping[str, str], output: IO[bytes] | int | None = None, grace_s: float = 22.0) -> None:
        """Processes get the environment ``env`` and write to ``output``; they have ``grace_s`` to end."""
        self._env = env
        self._output = output
        self._grace_s = grace_s
        self.processes: list[Supervised] = []

    def add(self, role: str, *arguments: str, processes: int = 1) -> None:
        """Start processes of a role: ``worker EXCHANGE`` or ``aligner``."""
        argv = command(role, *arguments)
        self.processes += [Supervised(argv, self._env, self._output, self._grace_s) for _ in range(processes)]

    def look(self) -> int | None:
        """Restart what has ended; 2 when a process finds its settings wrong."""
        codes = [process.look() for process in self.processes]
        return next((code for code in codes if code is not None), None)

    def run(self) -> int:
        """Keep the processes alive until one finds its settings wrong; its exit code."""
        while True:
            code = self.look()
            if code is not None:
                return code
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """End all processes, side by side."""
        for process in self.processes:
            process.child.ask_to_stop()
        for process in self.processes:
            process.child.stop()
        self.processes.clear()
