"""How near to the allowed rate candles are fetched: wall time over the ideal: ``python benchmarks/fetch.py [PART…]``.

The wall time lies between the first and the last request for candles to arrive; the ideal is what those pages take that
are needed at the least, at the allowed rate: (pages - 1) / rate. Parts, all by default:

- ``alone``, half a minute: one BingX series at the documented limit and the pace ``full``, over round trips.
- ``against``, 7 minutes at most: candlebus and ccxt at 10/s, which is what ccxt assumes of BingX by itself and what our
  workers are told (``worker_at.py``), round trips of 20 to 150 ms, on 1, 2 and 4 processes that share the address.
"""

import subprocess
import sys

from shared import HERE, WAN, bus, done, heading, machine, row

from candlebus.sandbox import Sandbox

CANDLES = 100_000
PAGE_ROWS = 1440
ALLOWED_S = 1000 / 60
LIMIT, LIMIT_S = "10/1", 10
#: Four times the ideal; who is not done by then is ended, and the row tells the candles of those that were.
LONGEST_S = 40
SERIES = 8
MODES = {
    "ccxt, `paginate`": "sync",
    "ccxt async, `paginate`": "async",
    "ccxt, a loop by hand": "loop",
}


def pages(candles: int) -> int:
    return -(-candles // PAGE_ROWS)


def over_ideal(sandbox: Sandbox, needed: int, rate_s: float) -> tuple[int, float, float]:
    """Requests for candles, wall seconds, and wall over the ideal."""
    stats = sandbox.stats("bingx")
    arrivals = [at for at, _ in stats.arrivals][-stats.candle_requests :]
    wall_s = (arrivals[-1] - arrivals[0]) / 1000
    return len(arrivals), wall_s, wall_s / ((needed - 1) / rate_s)


def alone() -> None:
    print("\nOne series, one worker, pace `full`, documented limit:")
    heading("round trip ms", "requests", "wall s", "wall / ideal", "refusals")
    for latency_ms in (20, 80, 150):
        with bus("bingx", None, latency_ms=latency_ms) as ground:
            ground.start_workers(1)
            assert done(ground.ask("bingx:BTC/USDT:USDT", CANDLES)) == CANDLES
            requests, wall_s, ratio = over_ideal(ground.sandbox, pages(CANDLES), ALLOWED_S)
            row(latency_ms, requests, f"{wall_s:.2f}", f"{ratio:.2f}", ground.sandbox.stats("bingx").refusals)


def against() -> None:
    for series in (1, SERIES):
        print(f"\n{CANDLES:,} candles as {series} series, limit 10/s:")
        heading("", "processes", "requests", "wall s", "wall / ideal", "refusals", "candles")
        counts = (1, 2, 4) if series > 1 else (1,)
        for processes in counts:
            ours(series, processes)
        for name, mode in MODES.items():
            for processes in counts:
                theirs(name, mode, series, processes)


def ours(series: int, processes: int) -> None:
    each = CANDLES // series
    with bus("bingx", LIMIT, **WAN) as ground:
        ground.start_workers(processes)
        asked = [ground.ask(f"bingx:{symbol}", each) for symbol in ground.sandbox.symbols("bingx")[:series]]
        found = sum(map(done, asked))
        tell("candlebus", ground.sandbox, series, processes, found)


def theirs(name: str, mode: str, series: int, processes: int) -> None:
    each = CANDLES // series
    with Sandbox(venues=["bingx"], limit=LIMIT, **WAN) as sandbox:
        symbols = sandbox.symbols("bingx")[:series]
        common = [sys.executable, str(HERE / "with_ccxt.py"), mode, "bingx", sandbox.url("bingx"), "default", str(each)]
        runs = [
            subprocess.Popen([*common, *symbols[number::processes]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for number in range(processes)
        ]
        found = sum(candles_of(run) for run in runs)
        tell(name, sandbox, series, processes, found)


def candles_of(run: "subprocess.Popen[bytes]") -> int:
    try:
        told, complaint = run.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        run.kill()
        told, complaint = run.communicate()[0], b"not done in time"
    if run.returncode:
        print(complaint.decode().splitlines()[-1][:200], file=sys.stderr)
        return 0
    return int(told.split(b'"candles": ')[1].split(b",")[0])


def tell(name: str, sandbox: Sandbox, series: int, processes: int, found: int) -> None:
    requests, wall_s, ratio = over_ideal(sandbox, series * pages(CANDLES // series), LIMIT_S)
    row(name, processes, requests, f"{wall_s:.1f}", f"{ratio:.2f}", sandbox.stats("bingx").refusals, f"{found:,}")


PARTS = {"alone": alone, "against": against}


def main(*parts: str) -> None:
    print(machine())
    for part in parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main(*sys.argv[1:])
