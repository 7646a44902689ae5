"""The durable server under test: killed, cut off from power, slowed, filled up, and started again by the wrapper."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from redis import Redis

from bus.child import Child
from bus.connection import connect, wait_until_ready
from bus.embedded import find_server
from tests.faults.preload import Preload
from tests.faults.processes import child_of, send

_WRAPPER: Final = Path(__file__).parents[2] / "bus" / "scripts" / "serve.sh"
_START_S: Final = 30.0
_GRACE_S: Final = 10.0
_PATIENCE_S: Final = 5.0


class ServerUnderTest:
    """A server with an append-only file, on a unix socket.

    Attributes:
        data: Folder of its data.
        socket: Path of its socket.
        control: A connection of the harness's own, past all proxies.
    """

    def __init__(self, folder: Path, preload: Preload, *, program: str | None = None, wrapped: bool = True) -> None:
        """Start nothing yet.

        Args:
            wrapped: Whether it is started by the wrapper that repairs a torn file.
        """
        self.data = folder / "data"
        self.socket = folder / "s"
        self._log = folder / "server.log"
        self._preload = preload
        self._program = program or find_server()
        self._wrapped = wrapped
        self._child: Child | None = None
        self.fsync = "always"
        self.cuts = 0
        self.cut_bytes = 0
        self.options: list[str] = []
        self.control: Redis = self.connection()

    def connection(self) -> Redis:
        """A client past all proxies; ``control`` is for one thread only, since a start of the server cuts it off."""
        return connect(f"unix://{self.socket}", socket_timeout_s=_PATIENCE_S)

    @property
    def pid(self) -> int:
        """Process id of the server itself; 0 while it is down."""
        return child_of(self._child.pid) if self._child and self._child.exit_code() is None else 0

    def start(self) -> None:
        """Start it unless it runs, or have it go on; wait until it answers."""
        if pid := self.pid:
            send(pid, signal.SIGCONT)
            return
        if self._child is not None:
            self._child.stop()
        self.data.mkdir(exist_ok=True)
        environment = dict(os.environ) | self._preload.environment("server", syncs=True)  # noqa: TID251
        command = [*(["sh", str(_WRAPPER)] if self._wrapped else []), self._program, *self._arguments()]
        with self._log.open("ab") as log:
            self._child = Child(command, env=environment, output=log, grace_s=_GRACE_S)
        child = self._child
        self.control.connection_pool.disconnect()
        wait_until_ready(self.control, _START_S, lambda: child.exit_code() is None)

    def _arguments(self) -> list[str]:
        listen = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.data)]
        kept = ["--appendonly", "yes", "--appendfsync", self.fsync, "--save", "", "--maxmemory-policy", "noeviction"]
        # A server that is busy for so long says so, instead of saying nothing.
        return [*listen, *kept, "--busy-reply-threshold", "300", *self.options]

    def set_fsync(self, mode: str) -> None:
        """``always`` or ``everysec``, from now on and over restarts."""
        self.fsync = mode
        self.control.config_set("appendfsync", mode)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; what it wrote to the kernel stays."""
        if pid := self.pid:
            send(pid, signal.SIGKILL)
        if self._child is not None:
            self._child.stop()

    def lose_power(self, share: float) -> int:
        """SIGKILL, and cut off what was written last and is not durable; how many bytes that were.

        Args:
            share: How much of what is not durable is lost, in [0, 1].
        """
        self.kill()
        newest = self.newest_file()
        if newest is None or not self._preload.is_there:
            return 0
        size, durable = newest.stat().st_size, min(self._preload.durable_bytes(newest), newest.stat().st_size)
        lost = round((size - durable) * share)
        if lost:
            os.truncate(newest, size - lost)
            self.cuts += 1
            self.cut_bytes += lost
        self._preload.forget_syncs([file for file in self.data.rglob("*") if file.is_file()])
        return lost

    def tear_page(self, timeout_s: float) -> bool:
        """Lose power while a page is written: its entry is there, the next step in half; whether it came so."""
        deadline = time.monotonic() + timeout_s
        while self._preload.is_there and time.monotonic() < deadline:
            newest = self.newest_file()
            torn = newest and _inside_page(newest, self._preload.durable_bytes(newest))
            if newest and torn:
                self.kill()
                os.truncate(newest, torn)
                self.cuts += 1
                self._preload.forget_syncs([file for file in self.data.rglob("*") if file.is_file()])
                return True
            time.sleep(0.01)
        return False

    def newest_file(self) -> Path | None:
        """The increment of the append-only file that is written now."""
        files = sorted(self.data.glob("appendonlydir/*.incr.aof"), key=lambda file: int(file.name.split(".")[-3]))
        return files[-1] if files else None

    def wait_until_durable(self, timeout_s: float = 10.0) -> None:
        """Return when all that was written is durable."""
        deadline = time.monotonic() + timeout_s
        while self._preload.is_there and (newest := self.newest_file()) is not None:
            if self._preload.durable_bytes(newest) >= newest.stat().st_size or time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def limit_file(self, room_bytes: int | None) -> None:
        """Let its files grow by so much and no further, as on a full disk; None lifts that."""
        newest, pid = self.newest_file(), self.pid
        if not pid or newest is None:
            return
        most = resource.RLIM_INFINITY if room_bytes is None else newest.stat().st_size + room_bytes
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def said(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End it in order."""
        if pid := self.pid:
            send(pid, signal.SIGCONT)
        if self._child is not None:
            self._child.stop()
        self._child = None
        self.control.connection_pool.disconnect()

    def forget(self) -> None:
        """Begin anew with nothing; only while it is down."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._preload.forget_syncs([])


def _inside_page(file: Path, durable: int) -> int:
    """Where the command after the last page of a file begins, and a few bytes on; 0 where all pages are durable."""
    with file.open("rb") as opened:
        opened.seek(durable)
        tail = opened.read()
    page = tail.rfind(b"XADD\r\n$", 0, tail.rfind(b"\r\nEXEC\r\n"))
    is_page = page >= 0 and b"candlebus:candles:" in tail[page : page + 60]
    after = tail.find(b"\r\n*", page)
    return durable + after + 8 if is_page and after > 0 else 0


def version_of(program: str) -> str:
    """Name and version of a server program."""
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return f"{words[0]} {words[2].removeprefix('v=')}"
