"""``candlebus group``: what its commands do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bus.clock import SystemClock
from bus.groups import GroupBook
from bus.instants import iso
from bus.settings import load
from bus.timeframes import TIMEFRAMES
from candlebus.candle_bus import check_series
from candlebus.commands.options import instant_ms
from candlebus.commands.shared import shared_bus
from candlebus.output.tables import show, table_of


@contextmanager
def book() -> Iterator[GroupBook]:
    """The groups of the bus that is there."""
    with shared_bus(load()) as redis:
        yield GroupBook(redis)


def added(name: str, series: list[str], timeframe: str, tolerance_ms: int, since: str | None) -> int:
    """Define a group; the exit code."""
    asked = [str(one) for one in check_series(series, timeframe)]
    start_ms = instant_ms("since", since)
    if start_ms is None:
        start_ms = TIMEFRAMES[timeframe].floor(SystemClock().now_ms())
    with book() as groups:
        group = groups.add(name, asked, timeframe, start_ms=start_ms, tolerance_ms=tolerance_ms)
    sys.stderr.write(
        f"candlebus: group {name}: {len(group.series)} series, rows from {iso(group.start_ms)} on; "
        f"follow them with: candlebus watch --group {name}\n"
    )
    return 0


def shown(name: str) -> int:
    """Show how far a group is; the exit code."""
    with book() as groups:
        status = groups.status(name)
    group = status.group
    settled, pending, late = status.watermarks, status.pending, status.late
    cells = [[one, iso(settled[one]), str(pending[one]), str(late[one])] for one in group.series]
    title = f"{name}: {group.timeframe}, from {iso(group.start_ms)}, tolerance {group.tolerance_ms} ms"
    show(sys.stdout, table_of(title, ["series", "settled until", "pending", "late"], cells))
    owner = f"aligned by {status.owner}" if status.owner else "no aligner holds it; start one with: candlebus aligner"
    sys.stdout.write(f"{status.rows} rows, final before {iso(status.decided_ms)}; {owner}\n")
    return 0
