"""``candlebus schedule``: keep series up to date until Ctrl-C."""

import sys
from typing import Annotated

import typer

from candlebus.commands.options import SeriesList, TimeframeName


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(no_args_is_help=True)(schedule)


def schedule(
    series: SeriesList,
    timeframe: TimeframeName,
    since: Annotated[
        str | None, typer.Option(help="Where a series begins that was never scheduled; ISO 8601 (UTC) or ms.")
    ] = None,
) -> int:
    """Ask for each candle once it has closed, until Ctrl-C; catches up after downtime and never asks twice."""
    from bus.connection import readable_errors
    from bus.instants import iso
    from bus.logs import set_up_logging
    from bus.settings import load
    from candlebus.candle_bus import check_series
    from candlebus.commands.ending import UntilInterrupted
    from candlebus.commands.options import instant_ms
    from candlebus.commands.shared import bus_url, shared_bus
    from producers.schedule import run_scheduler

    asked = check_series(series, timeframe)
    since_ms = instant_ms("since", since)
    settings = load()
    exchanges = [one.exchange for one in asked]
    with UntilInterrupted(), shared_bus(settings, exchanges) as redis:
        set_up_logging(settings.log)
        begins = f", new ones from {iso(since_ms)} on" if since_ms is not None else ""
        sys.stderr.write(f"candlebus: keeping {len(asked)} series of {timeframe} up to date{begins}; Ctrl-C ends it\n")
        sys.stderr.flush()
        with readable_errors(bus_url(settings, exchanges) or ""):
            run_scheduler(redis, asked, timeframe, since_ms=since_ms)
    return 0
