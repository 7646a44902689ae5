"""A group as a table that changes in place: its newest row, the spread in basis points, how far each series lags."""

import sys
import time
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bus.alignment import AlignedRow
from bus.codec import rows_of
from bus.errors import GroupError
from bus.group_status import GroupStatus
from bus.groups import GroupBook
from bus.instants import duration, iso
from bus.messages import AlignedBatch
from bus.settings import load
from candlebus.commands.grouping import held_line
from candlebus.commands.shared import shared_bus
from candlebus.output.tables import number, table_of
from producers.result import spread_bp

#: How often the lags are looked up at most.
_LOOK_EVERY_S: Final = 1.0
#: How often the table changes at most while rows come in a hurry.
_SHOW_EVERY_S: Final = 0.1
_COLUMNS: Final = ("series", "open time (UTC)", "close", "over the lowest", "lag", "pending", "late")


def show_live(batches: Iterable[AlignedBatch | None], name: str) -> None:
    """Show the newest row of a group until the batches end; None among them means that none came for a while.

    Raises:
        GroupError: There is no such group.
    """
    console = Console(file=sys.stdout, markup=False, highlight=False)
    with shared_bus(load()) as redis, Live(console=console, auto_refresh=False) as live:
        book, row = GroupBook(redis), None
        status = book.status(name)
        shown_at = looked_at = time.monotonic()
        live.update(group_table(status, row), refresh=True)
        for batch in batches:
            now = time.monotonic()
            row = AlignedRow.of(rows_of(batch)[-1]) if batch is not None else row
            if now - looked_at >= _LOOK_EVERY_S:
                status, looked_at = _looked(book, status), now
            if batch is None or now - shown_at >= _SHOW_EVERY_S:
                live.update(group_table(status, row), refresh=True)
                shown_at = now


def _looked(book: GroupBook, before: GroupStatus) -> GroupStatus:
    try:
        return book.status(before.group.name)
    except GroupError:  # removed under our eyes: what it wrote stays to be seen
        return before


def group_table(status: GroupStatus, row: AlignedRow | None) -> Table:
    """A group at one look: a line for each series, its newest candle beside how far it is behind the furthest."""
    cells = [_cells(status, one, row) for one in status.group.series]
    table = table_of(_title(status, row), _COLUMNS, cells)
    table.caption = held_line(status) if status.is_held else None
    table.caption_justify = "left"
    return table


def _title(status: GroupStatus, row: AlignedRow | None) -> str:
    newest = f"row {iso(row.open_time)}, spread {spread_bp(row):.2f} bp" if row is not None else "no row yet"
    return f"{status.group.name} {status.group.timeframe}: {newest}"


def _cells(status: GroupStatus, one: str, row: AlignedRow | None) -> list[str]:
    candle = row.candles.get(one) if row is not None else None
    lag = duration(status.lags_ms[one] / 1000) if status.lags_ms[one] else "-"
    counts = [str(status.pending[one]), str(status.late[one])]
    if row is None or candle is None:
        return [one, "-", "-", "-", lag, *counts]
    lowest = min(each.close for each in row.candles.values())
    over = f"{(candle.close - lowest) / lowest * 10_000:.2f} bp" if lowest > 0 else "-"
    return [one, iso(candle.open_time), number(candle.close), over, lag, *counts]
