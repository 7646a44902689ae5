"""What workers send to an exchange that fails altogether, against what they send to one that answers.

The same requests are asked of the same number of worker processes, for the same time. Run:

    python benchmarks/outage.py
"""

import platform
import sys
import tempfile
import time
from pathlib import Path

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from bus.traffic import traffic
from candlebus.sandbox import Sandbox
from producers.client import Producer
from workers.supervisor import Supervisor

REQUESTS = 300
PROCESSES = 4
WATCHED_S = 30.0
DAY_MS = 86_400_000
FAULTS = (
    "",
    "http_503=1",
    "http_500=1",
    "drop=1",
    "html=1",
    "truncated=1",
    "empty_body=1",
    "http_503=0.5",
    "http_503=0.1",
)


def offered(faults: str) -> tuple[int, int, int, int]:
    """Requests that arrived, further tries among them, probes in vain, requests of ours that are done."""
    with (
        Sandbox(venues=["bingx"], faults=faults, latency_ms=50) as sandbox,
        EmbeddedServer() as server,
        tempfile.TemporaryDirectory() as home,
    ):
        settings = Settings(redis_url=server.url, pace="full", urls=sandbox.urls, home=Path(home))
        supervisor, redis = Supervisor(child_environment(settings)), connect(server.url)
        producer, until = Producer(redis), 1_790_000_000_000 // DAY_MS * DAY_MS
        spans = [(until - (n + 1) * DAY_MS, until - n * DAY_MS) for n in range(REQUESTS)]
        pending = [producer.enqueue("bingx:BTC/USDT:USDT", "1d", since=since, until=end) for since, end in spans]
        supervisor.add("worker", "bingx", processes=PROCESSES)
        time.sleep(WATCHED_S)
        seen = traffic(redis, "bingx", "default")
        done = sum(one.status().state == "done" for one in pending)
        arrived = sandbox.stats("bingx").requests
        supervisor.stop()
        redis.close()
    return arrived, seen.retried, seen.breaker.probes if seen.breaker else 0, done


def main() -> None:
    """Print one row a fault."""
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"{REQUESTS} requests of a page each, {PROCESSES} workers, pace full, the first {WATCHED_S:g} s")
    print("fault of every request | arrived | of normal | further tries | probes in vain | done")
    normal = 0
    for faults in FAULTS:
        arrived, retried, probes, done = offered(faults)
        normal = normal or arrived
        print(f"{faults or 'none':22} | {arrived:7} | {arrived / normal:9.2f} | {retried:13} | {probes:14} | {done:4}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
