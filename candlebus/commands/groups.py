"""``candlebus group``: define alignment groups, look at them, remove them."""

import sys
from typing import Annotated

import typer

from candlebus.commands.options import SeriesList, TimeframeName

GroupName = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, '-' and '_'.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Alignment groups: series whose candles become rows as they come.")
    group.command("add", no_args_is_help=True)(add)
    group.command("list")(list_all)
    group.command("show", no_args_is_help=True)(show)
    group.command("remove", no_args_is_help=True)(remove)
    app.add_typer(group, name="group")


def add(
    name: GroupName,
    series: SeriesList,
    timeframe: TimeframeName,
    tolerance_ms: Annotated[int, typer.Option(help="Greatest distance of the open times of a row.")] = 60_000,
    since: Annotated[
        str | None,
        typer.Option(help="First open time of a row, ISO 8601 (UTC) or ms. (default: the candle that is open now)"),
    ] = None,
    min_sources: Annotated[
        int | None, typer.Option(help="Least number of candles that make a row. (default: one of every series)")
    ] = None,
    stall: Annotated[
        str,
        typer.Option(
            metavar="hold|detach:SECONDS",
            help="When a series falls silent: wait for it, or go on without it after so long, until it is back.",
        ),
    ] = "hold",
) -> int:
    """Define a group; an aligner takes it up at once."""
    from candlebus.commands.grouping import added, detach_after_s

    options = {"tolerance_ms": tolerance_ms, "min_sources": min_sources, "detach_after_s": detach_after_s(stall)}
    return added(name, series, timeframe, since, options)


def list_all() -> int:
    """The names of all groups."""
    from candlebus.commands.grouping import book

    with book() as groups:
        sys.stdout.writelines(f"{name}\n" for name in groups.names())
    return 0


def show(name: GroupName) -> int:
    """How far a group is."""
    from candlebus.commands.grouping import shown

    return shown(name)


def remove(name: GroupName) -> int:
    """Forget a group, its rows and its state."""
    from candlebus.commands.grouping import book

    with book() as groups:
        groups.remove(name)
    sys.stderr.write(f"candlebus: group {name} removed\n")
    return 0
