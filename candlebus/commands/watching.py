"""``candlebus watch``: follow a candle stream or an aligned stream, and say when it stays silent."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from bus.alignment import AlignedRow
from bus.codec import candles_of, rows_of
from bus.errors import BusError, RequestError, SettingsError
from bus.given import check_start
from bus.groups import GroupBook
from bus.instants import iso
from bus.messages import AlignedBatch, Candle, CandleBatch
from bus.settings import load
from candlebus.candle_bus import CandleBus, check_series
from candlebus.commands.live import show_live
from candlebus.commands.shared import bus_url, shared_bus
from candlebus.output.lines import candle_lines, row_lines
from candlebus.output.tables import number

_SILENT_S: Final = 10.0
_ALIGNED: Final = "aligned:"
_B = TypeVar("_B", CandleBatch, AlignedBatch)


def watched(series: str | None, group: str | None, timeframe: str, start: str) -> int:
    """Follow until interrupted; the exit code."""
    if (series is None) == (group is None):
        raise RequestError("name what to watch: either a series, aligned:NAME or --group NAME")
    if series is not None and series.startswith(_ALIGNED):
        group, series = series.removeprefix(_ALIGNED), None
    check_start("--from", start)
    try:
        if group is not None and sys.stdout.isatty():
            show_live(_group_batches(group, start), group)
        else:
            _write_all(
                _group_lines(group, start) if group is not None else _series_lines(series or "", timeframe, start)
            )
    except KeyboardInterrupt:
        return 0
    raise BusError("the stream has ended")


def _write_all(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line)
        sys.stdout.flush()


def _series_lines(text: str, timeframe: str, start: str) -> Iterator[str]:
    series = check_series([text], timeframe)[0]
    with CandleBus(_url([series.exchange])) as bus:
        batches = bus.subscribe(text, timeframe, start=start, idle=True)
        for batch in _told_when_silent(batches, timeframe, text):
            yield from _candle_lines(text, batch)


def _group_lines(name: str, start: str) -> Iterator[str]:
    with shared_bus(load()) as redis:
        group = GroupBook(redis).get(name)
    for batch in _told_when_silent(_group_batches(name, start), group.timeframe, " ".join(group.series)):
        yield from row_lines(AlignedRow.of(candles) for candles in rows_of(batch))


def _group_batches(name: str, start: str) -> Iterator[AlignedBatch | None]:
    """The batches of a group's rows as they come; None now and then while none do."""
    with CandleBus(_url([])) as bus:
        yield from bus.subscribe_aligned(name, start=start, idle=True)


def _url(exchanges: list[str]) -> str:
    url = bus_url(load(), exchanges)
    if url is None:
        raise SettingsError("there is no bus to watch: set CANDLEBUS_REDIS_URL, or run 'candlebus up EXCHANGE…' here")
    return url


def _told_when_silent(batches: Iterable[_B | None], timeframe: str, asked: str) -> Iterator[_B]:
    """The batches; where none come for a while, a line says once when some will, and what would publish them."""
    since, told = time.monotonic(), False
    for batch in batches:
        if batch is not None:
            since = time.monotonic()
            yield batch
        elif not told and time.monotonic() - since >= _SILENT_S:
            told = True
            sys.stderr.write(
                f"candlebus: nothing published for {_SILENT_S:.0f} s: a {timeframe} candle comes once it has closed, "
                f"if somebody asks for it; where nobody does: candlebus schedule {asked} -t {timeframe}\n"
            )
            sys.stderr.flush()


def _candle_lines(name: str, batch: CandleBatch) -> Iterator[str]:
    candles = candles_of(batch)
    if sys.stdout.isatty():
        return (_candle_text(name, batch.timeframe, candle) for candle in candles)
    return candle_lines([(name, candles)], batch.timeframe)


def _candle_text(name: str, timeframe: str, candle: Candle) -> str:
    values = " ".join(f"{letter} {number(value)}" for letter, value in zip("OHLCV", candle[1:], strict=True))
    return f"{iso(candle.open_time)}  {name} {timeframe}  {values}\n"
