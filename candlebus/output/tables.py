"""Candles and aligned rows as tables for people: the first and last five rows, whatever their number."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TextIO, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

from bus.alignment import AlignedRow
from bus.instants import iso
from bus.messages import Candle
from producers.result import spread_bp

_ENDS: Final = 5
#: A table that no terminal shows is as wide as it needs.
_WIDE: Final = 1_000
_R = TypeVar("_R")


def show(out: TextIO, table: Table) -> None:
    """Write a table, as wide as the terminal allows."""
    is_terminal = out.isatty()
    console = Console(file=out, markup=False, highlight=False, width=None if is_terminal else _WIDE)
    console.print(table)


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column stands left and all others right."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for place, name in enumerate(columns):
        least = max((len(row[place]) for row in rows), default=1)  # on a narrow terminal headers fold, values do not
        table.add_column(name, justify="right" if place else "left", overflow="fold", min_width=least)
    for row in rows:
        table.add_row(*row)
    return table


def candle_table(name: str, timeframe: str, candles: Sequence[Candle]) -> Table:
    """The ends of a series."""
    shown = _ends(candles)
    values = [_decimals([float(candle[place]) for candle in shown]) for place in range(1, 6)]
    cells = zip((iso(candle.open_time) for candle in shown), *values, strict=True)
    title = f"{name} {timeframe}: {len(candles):,} candles"
    return table_of(title, ["open time (UTC)", *Candle._fields[1:]], _cut(list(cells), len(candles)))


def row_table(title: str, rows: Sequence[AlignedRow], names: Sequence[str]) -> Table:
    """The ends of aligned rows: the closes, and how far apart they are in basis points."""
    shown = _ends(rows)
    closes = [_decimals([row.candles[name].close for row in shown]) for name in names]
    times = [[iso(row.open_time) for row in shown], [str(row.spread_ms) for row in shown]]
    cells = zip(*times, *closes, [f"{spread_bp(row):.2f}" for row in shown], strict=True)
    headers = ["open time (UTC)", "spread ms", *(f"{name} close" for name in names), "spread bp"]
    return table_of(f"{title}: {len(rows):,} rows", headers, _cut(list(cells), len(rows)))


def number(value: float) -> str:
    """A price or volume as people write it: whole numbers without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _decimals(values: Sequence[float]) -> list[str]:
    """The values with as many decimals as the longest has, so that their points stand in one line."""
    exponents = (Decimal(repr(value)).normalize().as_tuple().exponent for value in values)
    decimals = max((-exponent for exponent in exponents if isinstance(exponent, int)), default=0)
    return [f"{value:.{max(0, decimals)}f}" for value in values]


def _ends(rows: Sequence[_R]) -> Sequence[_R]:
    return rows if len(rows) <= 2 * _ENDS + 1 else [*rows[:_ENDS], *rows[-_ENDS:]]


def _cut(cells: list[tuple[str, ...]], of: int) -> list[tuple[str, ...]]:
    """The cells, with a line of dots where rows are left out."""
    return cells if len(cells) == of else [*cells[:_ENDS], ("…",) * len(cells[0]), *cells[_ENDS:]]
