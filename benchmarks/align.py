"""Batch alignment against the copy floor, pandas, polars and set intersection: ``python benchmarks/align.py``.

CPU time of all threads, the best of several runs, in ns for each candle that goes in; beside it the ratio to the floor:
copies of all six columns, or for lists the open times taken out and the rows copied by reference. Rows keep one in a
hundred candles from each series at random. "Off the grid" moves each candle by up to 2 s either way; every contender
gets 20 s of tolerance and, since that is below half a minute, gives the same rows, which is checked.
"""

import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from align_batch import COLUMN_SIZES, LIST_SIZES, SHORT, Table, measure_columns, measure_lists, measure_short_lists


def show(title: str, table: Table) -> None:
    sizes = list(table["floor"])
    print(f"\n{title}\n\n| | {' | '.join(sizes)} |\n|---|{'---|' * len(sizes)}")
    for name, cells in table.items():
        print(f"| {name} | {' | '.join(cells.get(size, '-') for size in sizes)} |")


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = (
        f"Python {platform.python_version()}, numpy {np.__version__}, pandas {pd.__version__}, polars {pl.__version__}"
    )
    return f"{model}, {platform.system()}; {versions}"


def main() -> None:
    warnings.simplefilter("ignore")  # A literal tolerance says so where the timeframe is not told; not here.
    begun_at = time.monotonic()
    of_columns, of_lists, short = Table(), Table(), Table()
    for width, length in COLUMN_SIZES:
        measure_columns(of_columns, width, length)
    for width, length in LIST_SIZES:
        measure_lists(of_lists, width, length)
    for length in SHORT:
        measure_short_lists(short, length)
    print(f"{machine()}\n\nns of CPU time for each candle, and the ratio to the floor")
    show("Columns", of_columns)
    show("Lists", of_lists)
    show("Short lists, off the grid", short)
    print(f"\n{time.monotonic() - begun_at:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
