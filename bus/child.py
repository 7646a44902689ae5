"""Child processes that cannot outlive their parent, however it ends.

A small guardian stands between: its standard input is a pipe from the parent, which the kernel closes when the parent
is gone. It then ends the child with SIGTERM, after a grace with SIGKILL. On Linux the child also dies with the
guardian. The guardian has one thread, so that the death signal is tied to the process and not to a thread of the
parent. Run as a script, this file is the guardian; it imports the standard library only.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

GRACE_S = 25.0
_PR_SET_PDEATHSIG = 1


class Child:
    """A guarded child process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        output: IO[bytes] | int | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        """Start ``command``; its standard output and error go to ``output``, by default where ours go."""
        guardian = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(grace_s), *command]
        # A session of its own keeps a Ctrl-C for us to handle: children end in order, not all at once.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            guardian, stdin=subprocess.PIPE, stdout=output, stderr=output, env=env, start_new_session=True
        )
        self._grace_s = grace_s

    @property
    def pid(self) -> int:
        """Process id of the guardian."""
        return self._process.pid

    def exit_code(self, wait_s: float = 0) -> int | None:
        """The child's exit code; None where it still runs after a wait of ``wait_s``."""
        try:
            return self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """Begin to end the child; returns at once."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def stop(self) -> int:
        """End the child and return its exit code; takes at most the grace and a few seconds."""
        self.ask_to_stop()
        return self._process.wait(timeout=self._grace_s + 5)


def guard(grace_s: float, command: Sequence[str]) -> int:
    """Run ``command`` until it ends or standard input does; the child's exit code."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    pid = _start(command)
    deadline = float("inf")
    watched = [0, wake_read]
    while True:
        left = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], left)
        # Before the look at the child: one that ends after it wakes us anew.
        signals = os.read(wake_read, 64) if wake_read in ready else b""
        if (status := _reaped(pid)) is not None:
            return status
        if not ready:
            os.kill(pid, signal.SIGKILL)
        elif deadline == float("inf") and _end_was_asked(signals, has_input=0 in ready):
            deadline = time.monotonic() + grace_s
            os.kill(pid, signal.SIGTERM)
            watched = [wake_read]


def _end_was_asked(signals: bytes, *, has_input: bool) -> bool:
    is_closed = has_input and not os.read(0, 4096)
    return is_closed or any(number in (signal.SIGTERM, signal.SIGINT) for number in signals)


def _start(command: Sequence[str]) -> int:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], list(command))  # noqa: S606 - the point of the guardian
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
        os._exit(127)


def _reaped(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


if __name__ == "__main__":
    code = guard(float(sys.argv[1]), sys.argv[2:])
    os._exit(code if code >= 0 else 128 - code)
