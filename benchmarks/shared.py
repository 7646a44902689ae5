"""What the benchmarks of fetching share: the machine in words, tables, real workers against a stand-in, their CPU."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from redis import Redis

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from producers.client import Pending, Producer
from workers.collector import spare_the_collector
from workers.supervisor import command

HERE = Path(__file__).parent
#: A limit that never matters.
NO_LIMIT = "60000000/60"
#: Round trips of 20 to 150 ms, by chance with a fixed seed.
WAN: dict[str, Any] = {"latency_ms": 20, "jitter_ms": 130}


def machine() -> str:
    """The machine, what else it does, and the versions that matter."""
    model = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if "model name" in line), model)
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}; {platform.system()}, Python {platform.python_version()}"


def heading(*names: str) -> None:
    """Begin a Markdown table; all columns but the first hold numbers."""
    print(f"\n| {' | '.join(names)} |\n| --- |{' ---: |' * (len(names) - 1)}")


def row(*cells: object) -> None:
    """One more line of the table, at once: some take a minute."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


class Bus:
    """A server, a stand-in exchange in this process, and real worker processes of that exchange.

    Attributes:
        url: Where the server listens.
        worker_command: What starts a worker.
    """

    def __init__(self, server: EmbeddedServer, sandbox: Sandbox, home: Path, worker_command: Sequence[str]) -> None:
        self.url = server.url
        self.redis: Redis = connect(self.url)
        self.sandbox = sandbox
        self.worker_command = worker_command
        self.workers: list[subprocess.Popen[bytes]] = []
        settings = Settings(redis_url=self.url, pace="full", urls=sandbox.urls, home=home)
        self._env = child_environment(settings)
        self._log: IO[bytes] = (home / "log").open("wb")

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """One more worker process."""
        worker = subprocess.Popen(self.worker_command, env=self._env, stdout=self._log, stderr=self._log)
        self.workers.append(worker)
        return worker

    def start_workers(self, processes: int) -> None:
        """So many more, once all of them serve."""
        for _ in range(processes):
            self.start_worker()
        wait_until(lambda: self.redis.scard("rq:workers") >= processes)

    def ask(self, series: str, limit: int, timeframe: str = "1m", until: int | None = None) -> Pending:
        """Ask for candles, even if the same was asked before."""
        return Producer(self.redis).enqueue(series, timeframe, limit=limit, until=until, afresh=True)

    def close(self) -> None:
        """Kill the workers."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._log.close()
        self.redis.close()


@contextmanager
def bus(venue: str, limit: str | None, *, page_rows: int | None = None, **sandbox_options: Any) -> Iterator[Bus]:
    """A bus whose workers know the stand-in's limit.

    Args:
        limit: ``N/S``, told to the workers too; None for the documented limits, with workers as they are.
        page_rows: Candles of a page, where it is not the documented number.
    """
    spare_the_collector()  # a collection of 40 ms in this process makes arrivals count as one burst
    worker = command("worker", venue)
    if limit is not None or page_rows is not None:
        worker = [sys.executable, str(HERE / "worker_at.py"), venue, limit or "", str(page_rows or "")]
    with (
        tempfile.TemporaryDirectory() as home,
        EmbeddedServer() as server,
        Sandbox(venues=[venue], limit=limit, **sandbox_options) as sandbox,
    ):
        made = Bus(server, sandbox, Path(home), worker)
        try:
            yield made
        finally:
            made.close()


def wait_until(condition: Any, timeout_s: float = 120, every_s: float = 0.02) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: It does not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the benchmark waited in vain")
        time.sleep(every_s)


def done(pending: Pending, timeout_s: float = 120) -> int:
    """Candles of a request, once it is done."""
    status = pending.wait(timeout_s)
    assert status.state == "done", status
    return status.candles


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used so far, on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
