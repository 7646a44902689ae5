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
) -> int:
    """Define a group; an aligner takes it up at once."""
    from candlebus.commands.grouping import added

    return added(name, series, timeframe, tolerance_ms, since)


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
