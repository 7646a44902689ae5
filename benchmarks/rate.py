"""How much of the allowed rate workers use, and whether they ever exceed it: ``python benchmarks/rate.py [PART…]``.

Real worker processes against a stand-in that counts arrivals; round trips of 20 to 150 ms. Parts, all by default:

- ``limits``, 5 minutes: 1 to 16 processes at 10/s and 50/s, which the workers are told (``worker_at.py``).
- ``pool``, 7 minutes: the same at KuCoin's documented pool, 2000 in 30 s at 3 a page, by ``python -m workers``.
- ``bingx``, 4 minutes: BingX's documented limits, 500 in 10 s and 1000 in 60 s, likewise.
- ``chaos``, 4 minutes: four processes of each, stopped (SIGSTOP) for up to a second and killed at random, with a seed.

The share counts from when all workers serve; "most" and "over" count from the first request on, whatever it asks for.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from shared import WAN, Bus, bus, heading, machine, row, wait_until

from candlebus.sandbox.limits import most_in_window

SEED = 4
#: Venue, limit told or None for the documented ones, seconds observed; limits as (weight, window in ms).
Limits = list[tuple[int, int]]
CASES: dict[str, tuple[str, str | None, float, Limits]] = {
    "10/s": ("bingx", "10/1", 20, [(10, 1_000)]),
    "50/s": ("bingx", "50/1", 12, [(50, 1_000)]),
    "KuCoin, 2000 in 30 s, 3 a page": ("kucoinfutures", None, 66, [(2_000, 30_000)]),
    "BingX, 500 in 10 s and 1000 in 60 s": ("bingx", None, 66, [(500, 10_000), (1_000, 60_000)]),
}
PARTS = {
    "limits": (["10/s", "50/s"], [1, 2, 4, 8, 16]),
    "pool": (["KuCoin, 2000 in 30 s, 3 a page"], [1, 2, 4, 8, 16]),
    "bingx": (["BingX, 500 in 10 s and 1000 in 60 s"], [1, 4, 16]),
}
Chaos = Callable[[Bus, float], str]


def calm(_: Bus, seconds: float) -> str:
    time.sleep(seconds)
    return ""


def chaos(ground: Bus, seconds: float) -> str:
    """Stop and kill workers by chance; how often."""
    chance, ends = random.Random(SEED), time.monotonic() + seconds
    stopped = killed = 0
    while time.monotonic() < ends:
        time.sleep(chance.uniform(0.2, 0.8))
        worker = chance.choice(ground.workers)
        if chance.random() < 0.8:
            stop_for(worker, chance.uniform(0.05, 1.0))
            stopped += 1
        else:
            replace(ground, worker)
            killed += 1
    return f", {stopped} times stopped, {killed} times killed"


def stop_for(worker: "subprocess.Popen[bytes]", seconds: float) -> None:
    worker.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    worker.send_signal(signal.SIGCONT)


def replace(ground: Bus, worker: "subprocess.Popen[bytes]") -> None:
    ground.workers.remove(worker)
    worker.kill()
    worker.wait()
    ground.start_worker()


def observe(name: str, processes: int, happening: Chaos) -> None:
    """One line of the table."""
    venue, told, seconds, limits = CASES[name]
    with bus(venue, told, page_rows=100 if told else None, **WAN) as ground:
        ground.start_workers(processes)
        ask_for_plenty(ground, venue, processes if happening is calm else 3 * processes)
        wait_until(lambda: ground.sandbox.stats(venue).candle_requests > processes)
        since_ms = time.monotonic() * 1000
        what = happening(ground, seconds)
        until_ms = time.monotonic() * 1000
        stats = ground.sandbox.stats(venue)
    per_ms = min(weight / window_ms for weight, window_ms in limits)
    seen = [(at, weight) for at, weight in stats.arrivals if since_ms <= at < until_ms]
    share = sum(weight for _, weight in seen[1:]) / (seen[-1][0] - seen[0][0]) / per_ms
    most = [most_in_window(stats.arrivals, window_ms)[1] for _, window_ms in limits]
    over = sum(max(0, found - weight) for found, (weight, _) in zip(most, limits, strict=True))
    told_most = " and ".join(map(str, most))
    row(f"{name}{what}", processes, len(seen), f"{share:.1%}", told_most, over, stats.refusals)


def ask_for_plenty(ground: Bus, venue: str, requests: int) -> None:
    symbols = ground.sandbox.symbols(venue)[:6]
    for number in range(requests):
        ground.ask(f"{venue}:{symbols[number % len(symbols)]}", 1_600_000 + number)


def main(*parts: str) -> None:
    print(machine())
    heading("limit", "processes", "requests", "share used", "most in a window", "over", "refusals")
    for part in parts or (*PARTS, "chaos"):
        if part == "chaos":
            for name in CASES:
                observe(name, 4, chaos)
            continue
        names, counts = PARTS[part]
        for name in names:
            for processes in counts:
                observe(name, processes, calm)


if __name__ == "__main__":
    main(*sys.argv[1:])
