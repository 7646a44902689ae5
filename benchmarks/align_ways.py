"""The ways to align that are compared, and their data: series of minutes, of which one in a hundred is missing."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from bus import alignment
from bus.alignment import align_timestamps
from bus.column_alignment import align_columns

MINUTE_MS = 60_000
TOLERANCE_MS = 20_000
JITTER_MS = 2_000
FIELDS = ("open", "high", "low", "close", "volume")
#: ARRAYS_FROM that no series reaches, or every one does.
NEVER, ALWAYS = 10**18, 0

Columns = dict[str, dict[str, Any]]
Lists = dict[str, dict[str, list[list[float]]]]


class Contender(NamedTuple):
    """A way to align, and how many rows came of a result."""

    name: str
    run: Callable[[], Any]
    rows: Callable[[Any], int]


def columns(width: int, length: int, *, jitter_ms: int) -> Columns:
    chance = np.random.default_rng(width * length)
    out: Columns = {}
    for i in range(width):
        times = 1_700_000_040_000 + np.flatnonzero(chance.random(length) >= 0.01) * MINUTE_MS
        times += chance.integers(-jitter_ms, jitter_ms + 1, len(times))
        out[f"x{i}"] = {"open_time": times} | {field: chance.random(len(times)) for field in FIELDS}
    return out


def lists(data: Columns) -> Lists:
    values = {
        name: list(zip(*(each.tolist() for each in columns.values()), strict=True)) for name, columns in data.items()
    }
    return {name: {"BTC/USDT:USDT": [list(row) for row in rows]} for name, rows in values.items()}


def candles(data: Columns) -> int:
    return sum(len(each["open_time"]) for each in data.values())


# The floors.


def copied(data: Columns) -> Columns:
    return {name: {field: values.copy() for field, values in each.items()} for name, each in data.items()}


def referenced(data: Lists) -> Any:
    return [([row[0] for row in rows], list(rows)) for symbols in data.values() for rows in symbols.values()]


# The other ways. Each is what its users write: a chain of nearest joins, then a filter on the spread of the row.


def pandas_frames(data: Columns) -> list[pd.DataFrame]:
    return [pd.DataFrame({f"{name}.{field}": each[field] for field in each}) for name, each in data.items()]


def pandas_chain(frames: list[pd.DataFrame]) -> pd.DataFrame:
    times = [frame.columns[0] for frame in frames]
    joined = frames[0]
    for frame, time_column in zip(frames[1:], times[1:], strict=True):
        joined = pd.merge_asof(
            joined, frame, left_on=times[0], right_on=time_column, direction="nearest", tolerance=TOLERANCE_MS
        )
    joined = joined.dropna()
    instants = joined[times]
    return joined[instants.max(axis=1) - instants.min(axis=1) <= TOLERANCE_MS]


def polars_frames(data: Columns) -> list[pl.DataFrame]:
    frames = [pl.DataFrame({f"{name}.{field}": each[field] for field in each}) for name, each in data.items()]
    return [frame.set_sorted(frame.columns[0]) for frame in frames]


def polars_chain(frames: list[pl.DataFrame]) -> pl.DataFrame:
    times = [frame.columns[0] for frame in frames]
    joined = frames[0]
    for frame, time_column in zip(frames[1:], times[1:], strict=True):
        joined = joined.join_asof(
            frame, left_on=times[0], right_on=time_column, strategy="nearest", tolerance=TOLERANCE_MS, coalesce=False
        )
    joined = joined.drop_nulls(times)
    return joined.filter(pl.max_horizontal(times) - pl.min_horizontal(times) <= TOLERANCE_MS)


def by_column(data: Lists) -> Columns:
    rows = {name: symbols["BTC/USDT:USDT"] for name, symbols in data.items()}
    return {
        name: dict(zip(("open_time", *FIELDS), zip(*each, strict=True), strict=True)) for name, each in rows.items()
    }


def pandas_lists(data: Lists) -> Any:
    joined = pandas_chain(pandas_frames({n: {f: list(v) for f, v in c.items()} for n, c in by_column(data).items()}))
    return [joined.iloc[:, at : at + 6].values.tolist() for at in range(0, joined.shape[1], 6)]


def polars_lists(data: Lists) -> Any:
    joined = polars_chain(polars_frames(by_column(data)))
    return [joined[:, at : at + 6].rows() for at in range(0, joined.width, 6)]


def intersected(data: Lists) -> Any:
    by_time = [{row[0]: row for row in rows} for symbols in data.values() for rows in symbols.values()]
    common = sorted(set(by_time[0]).intersection(*by_time[1:]))
    return [[each[instant] for instant in common] for each in by_time]


@contextmanager
def arrays_from(candles: int) -> Iterator[None]:
    """Lists of so many candles a series are aligned on arrays inside."""
    kept, alignment.ARRAYS_FROM = alignment.ARRAYS_FROM, candles
    try:
        yield
    finally:
        alignment.ARRAYS_FROM = kept


def on_lists(data: Lists) -> Any:
    with arrays_from(NEVER):
        return align_timestamps(data, TOLERANCE_MS, timeframe_ms=MINUTE_MS)


def on_arrays(data: Lists) -> Any:
    with arrays_from(ALWAYS):
        return align_timestamps(data, TOLERANCE_MS, timeframe_ms=MINUTE_MS)


def rows_of_data(found: dict[str, dict[str, list[Any]]]) -> int:
    return len(next(iter(next(iter(found.values())).values())))


def column_contenders(on_grid: Columns, off_grid: Columns) -> list[Contender]:
    def ours(name: str, data: Columns, timeframe_ms: int | None) -> Contender:
        run = functools.partial(align_columns, data, TOLERANCE_MS, timeframe_ms)
        return Contender(name, run, lambda found: len(found.open_time))

    panda, bear = pandas_frames(off_grid), polars_frames(off_grid)
    return [
        ours("ours, on the grid", on_grid, MINUTE_MS),
        ours("ours, off the grid", off_grid, MINUTE_MS),
        ours("ours, off the grid, timeframe not told", off_grid, None),
        Contender("polars join_asof, off the grid", lambda: polars_chain(bear), len),
        Contender("pandas merge_asof, off the grid", lambda: pandas_chain(panda), len),
    ]


def list_contenders(on_grid: Lists, off_grid: Lists, *, few: bool) -> list[Contender]:
    def ours(name: str, data: Lists) -> Contender:
        run = functools.partial(align_timestamps, data, TOLERANCE_MS, timeframe_ms=MINUTE_MS)
        return Contender(name, run, rows_of_data)

    first = [
        ours("ours, on the grid", on_grid),
        ours("ours, off the grid", off_grid),
        Contender("ours without numpy, on the grid", lambda: on_lists(on_grid), rows_of_data),
        Contender("ours without numpy, off the grid", lambda: on_lists(off_grid), rows_of_data),
        Contender("set intersection, on the grid", lambda: intersected(on_grid), lambda found: len(found[0])),
    ]
    libraries = [
        Contender("polars from and to lists, off the grid", lambda: polars_lists(off_grid), lambda f: len(f[0])),
        Contender("pandas from and to lists, off the grid", lambda: pandas_lists(off_grid), lambda f: len(f[0])),
    ]
    return first + (libraries if few else [])


def check(contenders: list[Contender]) -> None:
    """All ways give as many rows as each other on the same data."""
    for grid in ("on the grid", "off the grid"):
        counts = {each.name: each.rows(each.run()) for each in contenders if grid in each.name}
        if len(set(counts.values())) > 1:
            raise SystemExit(f"rows differ: {counts}")
