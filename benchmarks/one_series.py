"""How near to the allowed rate one series is fetched: wall time over the ideal, for several round-trip times.

The ideal is the time between the first and the last request slot at the allowed rate: (requests - 1) / rate. Run:

    python benchmarks/one_series.py
"""

import platform
import sys
import tempfile
import time
from pathlib import Path

from bus.embedded import EmbeddedServer
from bus.settings import Settings, child_environment
from candlebus.candle_bus import CandleBus
from candlebus.sandbox import Sandbox
from workers.exchanges import registry
from workers.limiter import budget
from workers.supervisor import Supervisor

CANDLES = 100_000
LATENCIES_MS = (20, 80, 150)
SERIES = "bingx:BTC/USDT:USDT"


def measured(latency_ms: int) -> tuple[int, float, float, int]:
    """Requests, wall seconds between the first and the last arrival, ideal seconds, refusals."""
    facts = registry.get("bingx").facts
    interval_s = budget(facts, "full").interval_us / 1e6
    with Sandbox(venues=["bingx"], latency_ms=latency_ms) as sandbox, EmbeddedServer() as server:
        with tempfile.TemporaryDirectory() as home:
            settings = Settings(redis_url=server.url, pace="full", urls=sandbox.urls, home=Path(home))
            supervisor = Supervisor(child_environment(settings))
            supervisor.add("worker", "bingx")
            with CandleBus(server.url) as bus:
                result = bus.fetch(SERIES, "1m", limit=CANDLES)
            supervisor.stop()
        assert len(result.candles[SERIES]) == CANDLES
        stats = sandbox.stats("bingx")
        arrivals = [at for at, _ in stats.arrivals][-stats.candle_requests :]
    wall_s = (max(arrivals) - min(arrivals)) / 1000
    return len(arrivals), wall_s, (len(arrivals) - 1) * interval_s, stats.refusals


def main() -> None:
    """Print one row a latency."""
    print(f"{platform.platform()}, Python {platform.python_version()}; {CANDLES:,} candles, one worker, pace full")
    print("latency ms | requests | wall s | ideal s | wall / ideal | refusals")
    for latency_ms in LATENCIES_MS:
        started = time.monotonic()
        requests, wall_s, ideal_s, refusals = measured(latency_ms)
        print(
            f"{latency_ms:10} | {requests:8} | {wall_s:6.2f} | {ideal_s:7.2f} | {wall_s / ideal_s:12.3f} | {refusals}"
        )
        sys.stdout.flush()
        assert time.monotonic() - started < 120


if __name__ == "__main__":
    main()
