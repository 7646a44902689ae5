"""The batch alignment measured: CPU time of all threads, the best of several runs, for each candle that goes in."""

import functools
import gc
import sys
import time
from collections.abc import Callable
from typing import Any

from align_ways import (
    JITTER_MS,
    candles,
    check,
    column_contenders,
    columns,
    copied,
    list_contenders,
    lists,
    on_arrays,
    on_lists,
    referenced,
)

COLUMN_SIZES = [(n, length) for length in (1_000, 100_000, 1_000_000) for n in (2, 4, 16)]
LIST_SIZES = [(n, length) for length in (1_000, 100_000) for n in (2, 4, 16)] + [(2, 1_000_000), (4, 1_000_000)]
SHORT = (30, 100, 200, 300, 500, 1_000)
#: Lists through the libraries and the sets take long at more candles than this, and show nothing new.
FEW = 1_000_000

#: Name of a way → label of a size → what it took.
Table = dict[str, dict[str, str]]


def best_s(run: Callable[[], Any], seconds: float) -> float:
    """CPU time of the quickest run among those that fit into so many seconds, and at least three."""
    found: list[float] = []
    ends_at = time.monotonic() + seconds
    gc.collect()
    gc.disable()
    while len(found) < 3 or (time.monotonic() < ends_at and len(found) < 500):
        begun = time.process_time()
        run()
        found.append(time.process_time() - begun)
    gc.enable()
    return min(found)


def fill(table: Table, size: str, floor_ns: float, spent_ns: dict[str, float]) -> None:
    table.setdefault("floor", {})[size] = f"{floor_ns:.1f}"
    for name, ns in spent_ns.items():
        table.setdefault(name, {})[size] = f"{ns:.0f} ({ns / floor_ns:.1f}x)"
    print(f"  {size}: done", file=sys.stderr)


def measure_columns(table: Table, width: int, length: int) -> None:
    on_grid, off_grid = (columns(width, length, jitter_ms=ms) for ms in (0, JITTER_MS))
    contenders = column_contenders(on_grid, off_grid)
    check(contenders)
    each_s = 0.25 if length <= 1_000 else 0.6
    total = candles(off_grid) / 1e9
    spent = {each.name: best_s(each.run, each_s) / total for each in contenders}
    fill(table, label(width, length), best_s(lambda: copied(off_grid), each_s) / total, spent)


def measure_lists(table: Table, width: int, length: int) -> None:
    on_grid, off_grid = (lists(columns(width, length, jitter_ms=ms)) for ms in (0, JITTER_MS))
    contenders = list_contenders(on_grid, off_grid, few=width * length <= FEW)
    check(contenders)
    each_s = 0.25 if length <= 1_000 else 0.5
    total = sum(len(rows) for symbols in off_grid.values() for rows in symbols.values()) / 1e9
    spent = {each.name: best_s(each.run, each_s) / total for each in contenders}
    fill(table, label(width, length), best_s(lambda: referenced(off_grid), each_s) / total, spent)


def label(width: int, length: int) -> str:
    return f"{width} x {length // 1_000:,}k" if length < 1_000_000 else f"{width} x {length // 1_000_000}M"


def measure_short_lists(table: Table, length: int) -> None:
    """Where arrays inside begin to be quicker."""
    data = lists(columns(4, length, jitter_ms=JITTER_MS))
    total = sum(len(rows) for symbols in data.values() for rows in symbols.values()) / 1e9
    ways = {"on lists": on_lists, "on arrays": on_arrays}
    spent = {name: best_s(functools.partial(way, data), 0.2) / total for name, way in ways.items()}
    fill(table, f"4 x {length}", best_s(lambda: referenced(data), 0.1) / total, spent)
