"""``candlebus fetch``: from its options to candles on standard output or in a file."""

import sys
import time
import warnings
from pathlib import Path
from typing import Final, TextIO

import msgspec

from bus.clock import SystemClock
from bus.errors import CandleBusError, PartialResult, RequestError, SettingsError
from bus.fetch_request import check_span
from bus.instants import duration, instant_ms
from bus.series import Series
from bus.settings import PACES, Pace, load
from bus.text import address
from bus.timeframes import TIMEFRAMES
from candlebus.candle_bus import CandleBus, check_series
from candlebus.commands.options import clamped, one_of
from candlebus.commands.shared import bus_url
from candlebus.output import lines, parquet, report
from candlebus.output.files import destination, whole_file
from candlebus.output.forms import Form, form_of
from candlebus.progress import Progress
from producers.look import paused_ms
from producers.result import AlignedRows, FetchResult

_LIMIT: Final = 500
_TOLERANCE_MS: Final = 60_000
_PARTIAL: Final = 3


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options as they stand on the command line."""

    series: list[str]
    timeframe: str
    limit: int | None
    since: str | None
    until: str | None
    align: bool
    tolerance_ms: int | None
    pace: str | None
    form: str | None
    output: Path | None
    report: Path | None
    timeout_s: float | None


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The same, checked."""

    series: list[Series]
    since_ms: int | None
    until_ms: int | None
    limit: int | None
    form: Form
    pace: Pace | None
    tolerance_ms: int | None


def fetched(asked: Asked) -> int:
    """Fetch and write; the exit code.

    Raises:
        CandleBusError: There is nothing to write; a file that was there stays.
    """
    plan = _planned(asked)
    begun_at = time.monotonic()
    with destination(asked.output) as out:
        result = _brought(asked, plan, begun_at)
        seconds = time.monotonic() - begun_at
        rows = None if plan.tolerance_ms is None else _aligned(result, plan.tolerance_ms)
        failure = _failure(result, rows)
        code = failure.exit_code if failure else 0 if result.complete else _PARTIAL
        _report(asked, report.of_result(result), code, seconds, None if rows is None else len(rows))
        if failure is not None:
            _tell(result, seconds)
            raise failure
        _write(out, plan, result, rows)
    _tell(result, seconds)
    return code


def estimated(asked: Asked) -> int:
    """Show what the fetch would take; the exit code."""
    from candlebus.estimate import estimates, slots_of, total_seconds
    from candlebus.output.tables import show, table_of

    plan, settings = _planned(asked), load()
    frame = TIMEFRAMES[asked.timeframe]
    slots = slots_of(frame, plan.since_ms, plan.until_ms, plan.limit, SystemClock().now_ms())
    parts = estimates(plan.series, slots, lambda exchange: plan.pace or settings.pace_of(exchange))
    cells = [
        [e.exchange, e.pace, str(e.series), f"{e.slots:,}", f"{e.pages:,}", f"{e.requests:,}", duration(e.seconds)]
        for e in parts
    ]
    columns = ["exchange", "pace", "series", "candles at most", "pages", "requests", "at least"]
    show(sys.stdout, table_of("", columns, cells))
    sys.stdout.write(f"about {duration(total_seconds(parts))} in all; nothing was asked\n")
    return 0


def _planned(asked: Asked) -> _Plan:
    series = check_series(asked.series, asked.timeframe)
    since_ms, until_ms = instant_ms("since", asked.since), instant_ms("until", asked.until)
    limit = _LIMIT if asked.limit is None and since_ms is None else asked.limit
    check_span(since_ms, until_ms, limit)
    form = form_of(asked.form, asked.output, is_terminal=sys.stdout.isatty())
    if form == "parquet":
        parquet.check_installed()
    return _Plan(
        series=series,
        since_ms=since_ms,
        until_ms=until_ms,
        limit=limit,
        form=form,
        pace=_pace(asked.pace, [one.exchange for one in series]),
        tolerance_ms=_tolerance_ms(asked),
    )


def _pace(name: str | None, exchanges: list[str]) -> Pace | None:
    if name is None:
        return None
    url = bus_url(load(), exchanges)
    if url is not None:
        raise SettingsError(f"pace belongs to the workers there, of the bus at {address(url)}; leave --pace out")
    return one_of("--pace", name, PACES)


def _tolerance_ms(asked: Asked) -> int | None:
    if not asked.align:
        if asked.tolerance_ms is not None:
            raise RequestError("--tolerance-ms is for aligned rows; add --align")
        return None
    tolerance_ms = _TOLERANCE_MS if asked.tolerance_ms is None else asked.tolerance_ms
    if tolerance_ms < 0:
        raise RequestError(f"--tolerance-ms {tolerance_ms} is negative")
    return tolerance_ms


def _brought(asked: Asked, plan: _Plan, begun_at: float) -> FetchResult:
    """What arrived; the bus, where it is our own, has ended by then."""
    with (
        Progress(TIMEFRAMES[asked.timeframe]) as progress,
        CandleBus(pace=plan.pace, say=progress.say) as bus,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", PartialResult)  # said in lines of our own
        progress.pause_of = lambda exchange: paused_ms(bus.redis, exchange, bus.settings.egress)
        try:
            return bus.fetch(
                [str(one) for one in plan.series],
                asked.timeframe,
                since=asked.since,
                until=asked.until,
                limit=plan.limit,
                timeout_s=asked.timeout_s,
                on_progress=progress,
            )
        except CandleBusError as error:
            series = report.of_failure(error, progress.statuses, [str(one) for one in plan.series])
            _report(asked, series, error.exit_code, time.monotonic() - begun_at, 0 if asked.align else None)
            raise


def _aligned(result: FetchResult, tolerance_ms: int) -> AlignedRows:
    if note := clamped(tolerance_ms, result.timeframe):
        sys.stderr.write(f"candlebus: {note}\n")
    return result.aligned(tolerance_ms)


def _failure(result: FetchResult, rows: AlignedRows | None) -> CandleBusError | None:
    """Why there is nothing to write; None where there is."""
    if rows is not None and not rows.rows:
        empty = [name for name, candles in result.candles.items() if not candles]
        verb = "is" if len(empty) == 1 else "are"
        why = f"{' '.join(empty)} {verb} empty" if empty else "no candles of all series are that close to one another"
        return CandleBusError(f"align: 0 rows, {why}")
    if not result.complete and not any(result.candles.values()):
        return CandleBusError("nothing arrived; the gaps are named above")
    return None


def _write(out: TextIO, plan: _Plan, result: FetchResult, rows: AlignedRows | None) -> None:
    form = plan.form
    if form == "table":
        _write_tables(out, result, rows)
    elif form == "parquet":
        parquet.write(out.buffer, result, rows, plan.tolerance_ms)
    elif rows is not None:
        if form == "csv":
            lines.write_rows_csv(out, rows.rows, rows.series)
        else:
            out.writelines(lines.row_lines(rows.rows))
    elif form == "csv":
        lines.write_candles_csv(out, result.candles.items(), result.timeframe)
    else:
        out.writelines(lines.candle_lines(result.candles.items(), result.timeframe))


def _write_tables(out: TextIO, result: FetchResult, rows: AlignedRows | None) -> None:
    from candlebus.output.tables import candle_table, row_table, show

    if rows is not None:
        show(out, row_table(f"aligned {result.timeframe}", rows.rows, rows.series))
        return
    for name, candles in result.candles.items():
        show(out, candle_table(name, result.timeframe, candles))


def _tell(result: FetchResult, seconds: float) -> None:
    for trouble in result.troubles():
        _say(f"partial: {trouble}")
    statuses = result.statuses.values()
    candles = ", ".join(f"{len(found)} of {name}" for name, found in result.candles.items())
    gaps = sum(len(gaps) for gaps in result.gaps.values())
    _say(
        f"candles: {candles}; pages: {sum(s.pages for s in statuses)}; requests: {sum(s.requests for s in statuses)}; "
        f"refusals: {sum(s.refusals for s in statuses)}; gaps: {gaps}; {duration(seconds)}"
    )


def _report(asked: Asked, series: dict[str, object], code: int, seconds: float, rows: int | None) -> None:
    if asked.report is None:
        return
    with whole_file(asked.report) as file:
        file.write(report.encoded(series, timeframe=asked.timeframe, seconds=seconds, exit_code=code, rows=rows))


def _say(line: str) -> None:
    sys.stderr.write(f"candlebus: {line}\n")
