"""``candlebus schedule``: keep series up to date until Ctrl-C."""

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
    forget: Annotated[
        bool, typer.Option("--forget", help="Schedule these no more, so that nobody misses them; ends at once.")
    ] = False,
) -> int:
    """Ask for each candle once it has closed, until Ctrl-C; catches up after downtime and never asks twice."""
    from candlebus.commands.scheduling import forget_series, keep_up_to_date

    if forget:
        return forget_series(series, timeframe)
    return keep_up_to_date(series, timeframe, since)
