"""How fast the streaming aligner is: ``python benchmarks/aligner.py``; a minute or two, prints Markdown tables.

Speeds are per second of CPU time, so that whatever else the machine does changes them little; latencies and the
restore are by the clock: on a busy machine ``chrt -r 10 python benchmarks/aligner.py`` puts them before all else. The
server is an embedded one, without persistence.
"""

import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from bus import keys
from bus.child import Child
from bus.codec import columns, encode
from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.group_leases import GroupLeases
from bus.group_state import restored
from bus.groups import GroupBook
from bus.messages import Candle, CandleBatch, Group
from bus.settings import Settings, child_environment
from bus.stream_alignment import StreamAligner
from workers.aligner.consumer import AlignerProcess
from workers.aligner.group import GroupAligner
from workers.aligner.rounds import Rounds
from workers.collector import spare_the_collector
from workers.supervisor import command

MINUTE_MS = 60_000
VENUES = ("bingx", "kucoinfutures")
GROUPS = 1_000


def main() -> None:
    spare_the_collector()
    print(machine())
    print("\n### In memory: push and poll after every page\n")
    in_memory()
    print("\n### Through a server: read, decode, align, commit\n")
    for measure in (whole_path, many_groups, latency):
        with EmbeddedServer() as server:
            redis = connect(server.url)
            measure(redis, server.url)
            redis.close()


def machine() -> str:
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    load = os.getloadavg()[0]
    return f"{models[0]}, {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}"


def candles(since: int, until: int) -> list[Candle]:
    return [Candle(minute * MINUTE_MS, 1.0, 2.0, 0.5, 1.5, float(minute)) for minute in range(since, until)]


def in_memory() -> None:
    print("| series | candles a page | µs a page | million candles/s of CPU |")
    print("| ---: | ---: | ---: | ---: |")
    for width in (2, 4, 16):
        for size in (1, 10, 100, 1_000):
            micros = best(lambda width=width, size=size: pushed(width, size), of=3)
            print(f"| {width} | {size:,} | {micros:.1f} | {size / micros:.2f} |")


def pushed(width: int, size: int) -> float:
    """Microseconds of CPU for a page."""
    names = [f"series {number}" for number in range(width)]
    aligner = StreamAligner(names, MINUTE_MS, 29_999, 0, remember=16)
    total = 2_000 if size == 1 else 20_000
    pages = [(since, candles(since, since + size)) for since in range(0, total, size)]
    begun, rows = time.process_time(), 0
    for since, page in pages:
        for name in names:
            aligner.push(name, 1, since * MINUTE_MS, (since + size) * MINUTE_MS, page)
            rows += len(aligner.poll())
    assert rows == total
    return (time.process_time() - begun) / (len(pages) * width) * 1e6


def best(measure: Callable[[], float], of: int) -> float:
    found = []
    for _ in range(of):
        gc.collect()
        found.append(measure())
    return min(found)


def batch(exchange: str, symbol: str, since: int, until: int, version: int = 1) -> bytes:
    part = candles(since, until)
    span: dict[str, Any] = {"since": since * MINUTE_MS, "until": until * MINUTE_MS, "version": version, "n": len(part)}
    about: dict[str, Any] = {"exchange": exchange, "symbol": symbol, "timeframe": "1m", "request_id": "r", "page": 0}
    return encode(CandleBatch(**about, **span, volume_unit="base", **columns(part)))


def publish(redis: Redis, symbols: Sequence[str], since: int, until: int) -> None:
    """A page of every venue for each symbol."""
    with redis.pipeline(transaction=False) as pipeline:
        for symbol in symbols:
            for exchange in VENUES:
                stream = keys.candles(exchange, "1m", symbol)
                pipeline.xadd(stream, {"s": 1, "b": batch(exchange, symbol, since, until)})
        pipeline.execute()


def group_of(redis: Redis, name: str, symbol: str) -> Group:
    return GroupBook(redis).add(name, [f"{exchange}:{symbol}" for exchange in VENUES], "1m", start_ms=0)


def whole_path(redis: Redis, _url: str) -> None:
    print("| pages | candles a page | µs of CPU a page | candles/s of CPU |")
    print("| --- | ---: | ---: | ---: |")
    shapes = [("live", 1, 2_000, False), ("backfill", 500, 200, False), ("one venue a year ahead", 500, 200, True)]
    for number, (what, size, pages, ahead) in enumerate(shapes):
        symbol = f"C{number}/USDT:USDT"
        group = group_of(redis, f"c{number}", symbol)
        for page in range(pages):
            for exchange in VENUES[: 1 if ahead else 2]:
                body = batch(exchange, symbol, page * size, (page + 1) * size)
                redis.xadd(keys.candles(exchange, "1m", symbol), {"s": 1, "b": body})
        if ahead:
            for page in range(pages):
                body = batch(VENUES[1], symbol, page * size, (page + 1) * size)
                redis.xadd(keys.candles(VENUES[1], "1m", symbol), {"s": 1, "b": body})
        seconds = aligned_in(redis, group)
        print(f"| {what} | {size} | {seconds / pages / 2 * 1e6:.0f} | {pages * 2 * size / seconds:,.0f} |")
    body = redis.get(keys.group_state("c0"))
    assert isinstance(body, bytes)
    print(f"\nState of a group of two series, written at every commit: {len(body):,} bytes.")


def aligned_in(redis: Redis, group: Group) -> float:
    """Seconds of CPU until everything in the streams is committed."""
    fence = GroupLeases(redis, "me").take([group.name], 1)[group.name]
    rounds, aligner = Rounds(redis), taken_up(redis, [group], {group.name: fence})[0]
    begun = time.process_time()
    while aligner.wants_more or rounds.run([aligner]).outcomes != ["idle"]:
        rounds.run([aligner])
    return time.process_time() - begun


def taken_up(redis: Redis, groups: Sequence[Group], fences: dict[str, int]) -> list[GroupAligner]:
    found = zip(groups, restored(redis, groups), strict=True)
    return [GroupAligner(group, fences[group.name], last) for group, last in found]  # type: ignore[arg-type]


def many_groups(redis: Redis, url: str) -> None:
    symbols = [f"M{number}/USDT:USDT" for number in range(GROUPS)]
    for number, symbol in enumerate(symbols):
        group_of(redis, f"m{number}", symbol)
    process = AlignerProcess(connect(url))
    publish(redis, symbols, 0, 30)
    run_until(process, redis, 30)
    busy = []
    for minute in range(30, 37):
        publish(redis, symbols, minute, minute + 1)
        busy.append(run_until(process, redis, minute + 1))
    clock, cpu = (statistics.median(each) for each in zip(*busy, strict=True))
    print(f"\n{GROUPS:,} groups of two series, one process, a live minute of all of them: {cpu:.2f} s of CPU")
    print(f"({clock:.2f} s by the clock): {60 / cpu:.0f} times as fast as live 1m candles come.")
    print(f"While nothing comes, the process takes {idle_share(process):.1%} of a core.")
    begun, cpu = time.monotonic(), time.process_time()
    taken_up(redis, GroupBook(redis).several(process.held), dict.fromkeys(process.held, 1))
    print(f"State of {GROUPS:,} groups read and restored in {time.monotonic() - begun:.2f} s", end=" ")
    print(f"({time.process_time() - cpu:.2f} s of CPU).")


def run_until(process: AlignerProcess, redis: Redis, minutes: int) -> tuple[float, float]:
    """Step until every group has its rows of so many minutes; seconds by the clock and of CPU in the busy steps."""
    last, clock, cpu = f"{(minutes - 1) * MINUTE_MS}-1", 0.0, 0.0
    waiting = [f"m{number}" for number in range(GROUPS)]
    while waiting:
        begun, used = time.monotonic(), time.process_time()
        process.step()
        clock, cpu = clock + time.monotonic() - begun, cpu + time.process_time() - used
        if not process.is_busy:
            with redis.pipeline(transaction=False) as pipeline:
                for name in waiting:
                    pipeline.xrange(keys.aligned(name), last, last)
                waiting = [name for name, found in zip(waiting, pipeline.execute(), strict=True) if not found]
    return clock, cpu


def idle_share(process: AlignerProcess) -> float:
    begun, used = time.monotonic(), time.process_time()
    while time.monotonic() - begun < 10:
        process.step()
    return (time.process_time() - used) / 10


def latency(redis: Redis, url: str) -> None:
    group_of(redis, "l", "L/USDT:USDT")
    with running_aligner(url):
        taken = [one_trip(redis, minute) for minute in range(1_200)][200:]
    cuts = statistics.quantiles(taken, n=100)
    print(f"\nFrom publishing to the aligned entry in a reader's hands, {len(taken):,} live rows, aligner in a process")
    print(f"of its own: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, most {max(taken):.2f} ms.")


def one_trip(redis: Redis, minute: int) -> float:
    """Milliseconds from the second venue's page to the row."""
    bodies = {venue: batch(venue, "L/USDT:USDT", minute, minute + 1) for venue in VENUES}
    redis.xadd(keys.candles(VENUES[0], "1m", "L/USDT:USDT"), {"s": 1, "b": bodies[VENUES[0]]})
    time.sleep(0.005)
    begun = time.perf_counter()
    redis.xadd(keys.candles(VENUES[1], "1m", "L/USDT:USDT"), {"s": 1, "b": bodies[VENUES[1]]})
    last = f"{(minute - 1) * MINUTE_MS}-1" if minute else "0-0"
    while not redis.xread({keys.aligned("l"): last}, block=5_000):
        pass
    return (time.perf_counter() - begun) * 1e3


@contextmanager
def running_aligner(url: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("wb") as log:
        env = child_environment(Settings(redis_url=url, home=Path(home)))
        child = Child(command("aligner"), env=env, output=log, grace_s=5)
        try:
            yield
        finally:
            child.stop()


if __name__ == "__main__":
    sys.exit(main())
