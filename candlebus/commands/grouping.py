"""``candlebus group``: what its commands do."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bus.clock import SystemClock
from bus.errors import SettingsError
from bus.group_state import tolerance_ms_of
from bus.group_status import GroupStatus
from bus.groups import GroupBook
from bus.instants import duration, instant_ms, iso
from bus.messages import Group
from bus.series import Series
from bus.settings import load
from bus.timeframes import TIMEFRAMES
from candlebus.candle_bus import check_series
from candlebus.commands.options import clamped
from candlebus.commands.shared import shared_bus
from candlebus.output.tables import show, table_of
from producers.contracts import unlisted_of

_COLUMNS: Final = ("series", "settled until", "lag", "pending", "far ahead", "unread", "late", "corrections", "")
_PIECES_SHOWN: Final = 5


@contextmanager
def book() -> Iterator[GroupBook]:
    """The groups of the bus that is there."""
    with shared_bus(load()) as redis:
        yield GroupBook(redis)


def detach_after_s(stall: str) -> int | None:
    """After how many seconds a silent series is left out; None for never.

    Raises:
        SettingsError: The text is neither ``hold`` nor ``detach:SECONDS``.
    """
    if stall == "hold":
        return None
    found = re.fullmatch(r"detach:(\d{1,9})", stall)
    if found is None:
        raise SettingsError(f"--stall {stall[:80]!r} is neither hold nor detach:SECONDS, such as detach:300")
    return int(found.group(1))


def added(name: str, series: list[str], timeframe: str, since: str | None, options: dict[str, int | None]) -> int:
    """Define a group with more options of :meth:`GroupBook.add`; the exit code."""
    asked = [str(one) for one in check_series(series, timeframe)]
    start_ms = instant_ms("since", since)
    if start_ms is None:
        start_ms = TIMEFRAMES[timeframe].floor(SystemClock().now_ms())
    with shared_bus(load()) as redis:
        group = GroupBook(redis).add(name, asked, timeframe, start_ms=start_ms, **options)  # type: ignore[arg-type]
        strangers = unlisted_of(redis, [Series.parse(one) for one in asked])
    sys.stderr.write(
        f"candlebus: group {name}: {len(group.series)} series, rows from {iso(group.start_ms)} on; "
        f"follow them with: candlebus watch aligned:{name}\n"
    )
    for stranger in strangers:
        sys.stderr.write(f"candlebus: group {name}: {stranger}\n")
    if note := clamped(group.tolerance_ms, timeframe):
        sys.stderr.write(f"candlebus: group {name}: {note}\n")
    return 0


def shown(name: str) -> int:
    """Show how far a group is; the exit code."""
    with book() as groups:
        status = groups.status(name)
    show(sys.stdout, table_of(_title(status.group), _COLUMNS, [_cells(status, one) for one in status.group.series]))
    owner = f"aligned by {status.owner}" if status.owner else "no aligner holds it; start one with: candlebus aligner"
    sys.stdout.write(f"{status.rows} rows, final before {iso(status.decided_ms)}; {owner}\n")
    if status.is_held:
        sys.stdout.write(f"{held_line(status)}\n")
    sys.stdout.writelines(f"{line}\n" for line in _membership_lines(status))
    return 0


def held_line(status: GroupStatus) -> str:
    """Which series the others wait for, since when and for how long."""
    one = status.held_by
    since = f"waits for {one}, which is settled until {iso(status.watermarks[one])}"
    how_long = f" and has not moved for {duration(status.held_ms / 1000)}" if status.held_ms else ""
    return f"{status.group.name} {since}, {duration(status.lags_ms[one] / 1000)} behind the furthest{how_long}"


def _title(group: Group) -> str:
    least = f", rows of at least {group.min_sources}" if group.min_sources else ""
    after_s = group.detach_after_s
    stall = "a silent series holds the rows" if after_s is None else f"a silent series is left out after {after_s} s"
    started = f"{group.timeframe}, from {iso(group.start_ms)}, tolerance {tolerance_ms_of(group)} ms"
    return f"{group.name}: {started}{least}; {stall}"


def _cells(status: GroupStatus, one: str) -> list[str]:
    unread = status.unread[one]
    counts = [status.pending[one], status.deferred[one], "?" if unread is None else unread]
    counts += [status.late[one], status.corrections[one]]
    out = "" if one in status.members[-1].members else "left out"
    lag = duration(status.lags_ms[one] / 1000) if status.lags_ms[one] else "-"
    return [one, iso(status.watermarks[one]), lag, *map(str, counts), out]


def _membership_lines(status: GroupStatus) -> list[str]:
    """The latest changes of who makes the rows, where there were any."""
    if len(status.members) < 2:
        return []
    pieces = status.members[-_PIECES_SHOWN:]
    return ["", "members:", *(f"  from {iso(piece.from_ms)}: {' '.join(piece.members)}" for piece in pieces)]
