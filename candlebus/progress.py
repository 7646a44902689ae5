"""Progress on standard error: bars on a terminal, else a plain line every few seconds."""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from bus.instants import duration, iso
from bus.requests import RequestStatus
from bus.timeframes import Timeframe

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Statuses = Mapping[str, RequestStatus]
#: Exchange → how long nobody asks it, ms.
PauseOf = Callable[[str], int]

_LINE_EVERY_S: Final = 5.0
_PAUSE_LOOK_S: Final = 1.0
#: A pause shorter than this is over before anybody has read of it.
_WORTH_SAYING_MS: Final = 1_000


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How far one request is.

    Attributes:
        done: Open times settled.
        total: Open times of the whole span; 0 while nobody knows it.
        rate: Candles a second since the first look.
        left_s: Seconds until the end at this speed; None where it cannot be told.
    """

    candles: int
    pages: int
    requests: int
    done: int
    total: int
    rate: float
    left_s: float | None


def tally(status: RequestStatus, frame: Timeframe, before: RequestStatus, seconds: float) -> Tally:
    """How far a request is.

    Args:
        before: Its status at the first look.
        seconds: From the first look to now.
    """
    done, total = _settled(status, frame), _span(status, frame)
    speed = (done - _settled(before, frame)) / seconds if seconds > 0 else 0.0
    return Tally(
        candles=status.candles,
        pages=status.pages,
        requests=status.requests,
        done=done,
        total=total,
        rate=(status.candles - before.candles) / seconds if seconds > 0 else 0.0,
        left_s=(total - done) / speed if speed > 0 and total else None,
    )


def state_words(status: RequestStatus, paused_ms: int, now_ms: int) -> str:
    """What the request does, as people say it."""
    if status.has_ended:
        return status.state
    if paused_ms > _WORTH_SAYING_MS:
        return f"refused until {iso((now_ms + paused_ms) // 1000 * 1000)}"
    return "waiting" if status.state == "queued" else "running"


class Progress:
    """Told again and again where requests stand, it shows that; a context manager.

    Attributes:
        statuses: Series → last status seen.
        pause_of: Asked about once a second for each exchange that still has something to do.
    """

    def __init__(self, frame: Timeframe, *, out: TextIO | None = None) -> None:
        """Show nothing yet; by default on standard error."""
        self.statuses: dict[str, RequestStatus] = {}
        self._frame = frame
        self._out = sys.stderr if out is None else out
        self.pause_of: PauseOf = lambda _: 0
        self._pauses: dict[str, int] = {}
        self._looked_at = 0.0
        self._first: dict[str, RequestStatus] = {}
        self._ended: dict[str, Tally] = {}
        self._begun_at = time.monotonic()
        self._view: _Bars | _Lines = _Bars(self._out) if self._out.isatty() else _Lines(self._out)

    def __call__(self, statuses: Statuses) -> None:
        self.statuses = dict(statuses)
        if not self._first:
            self._begun_at = time.monotonic()
        self._first |= {name: status for name, status in statuses.items() if name not in self._first}
        self._look_at_pauses()
        self._view.show({name: self._row(name, status) for name, status in statuses.items()})

    def _row(self, name: str, status: RequestStatus) -> tuple[Tally, str]:
        seconds = time.monotonic() - self._begun_at
        paused_ms = self._pauses.get(status.request.exchange, 0)
        words = state_words(status, paused_ms, time.time_ns() // 1_000_000)
        at = tally(status, self._frame, self._first[name], seconds)
        # What has ended keeps the speed that it ended with.
        return (self._ended.setdefault(name, at) if status.has_ended else at), words

    def _look_at_pauses(self) -> None:
        if time.monotonic() - self._looked_at < _PAUSE_LOOK_S:
            return
        self._looked_at = time.monotonic()
        busy = {status.request.exchange for status in self.statuses.values() if not status.has_ended}
        self._pauses = {exchange: self.pause_of(exchange) for exchange in busy}

    def say(self, line: str) -> None:
        """Write a line that does not tear the bars apart."""
        self._view.say(f"candlebus: {line}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.close()


class _Lines:
    """Plain lines, few."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said_at = time.monotonic()

    def show(self, rows: dict[str, tuple[Tally, str]]) -> None:
        if time.monotonic() - self._said_at < _LINE_EVERY_S:
            return
        self._said_at = time.monotonic()
        for name, (at, words) in rows.items():
            left = "" if at.left_s is None else f", {duration(at.left_s)} left"
            of = f" of {at.total}" if at.total else ""
            self.say(
                f"{name}: {at.done}{of} slots, {at.candles} candles, {at.pages} pages, {at.requests} requests, "
                f"{at.rate:.0f} candles/s{left}, {words}"
            )

    def say(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class _Bars:
    """One bar a series."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=out, markup=False, highlight=False)
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, rows: dict[str, tuple[Tally, str]]) -> None:
        bars = self._bars or self._begun()
        for name, (at, words) in rows.items():
            if name not in self._tasks:
                self._tasks[name] = bars.add_task(name, total=None, counts="", left="")
            left = words if at.left_s is None or words != "running" else f"{duration(at.left_s)} left"
            counts = f"{at.candles:,} candles {at.pages} pages {at.requests} requests {at.rate:,.0f}/s"
            bars.update(self._tasks[name], completed=at.done, total=at.total or None, counts=counts, left=left)

    def _begun(self) -> "RichProgress":
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[counts]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
        )
        self._bars = Progress(*columns, console=self._console, refresh_per_second=8)
        self._bars.start()
        return self._bars

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()


def _span(status: RequestStatus, frame: Timeframe) -> int:
    if status.since is None or status.until is None:
        return 0
    return frame.slots(status.since, status.until)


def _settled(status: RequestStatus, frame: Timeframe) -> int:
    if status.since is None or status.next_ms is None:
        return 0
    return frame.slots(status.since, status.next_ms)
