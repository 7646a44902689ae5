"""``candlebus watch``: its options."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(no_args_is_help=True)(watch)


def watch(
    series: Annotated[
        str | None, typer.Argument(metavar="SERIES", help="Such as bingx:BTC/USDT:USDT, or aligned:NAME for a group.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Aligned rows of this group, as aligned:NAME.")
    ] = None,
    timeframe: Annotated[str, typer.Option("-t", "--timeframe", help="Length of a candle.")] = "30m",
    start: Annotated[str, typer.Option("--from", metavar="start|now|ID", help="Where in the stream to begin.")] = "now",
) -> int:
    """Follow what is published, until Ctrl-C: candles line by line, a group as a live table; jsonl in a pipe."""
    from candlebus.commands.watching import watched

    return watched(series, group, timeframe, start)
