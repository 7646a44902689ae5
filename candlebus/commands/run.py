"""``candlebus up``, ``worker`` and ``aligner``: their options."""

from typing import Annotated

import typer

from candlebus.commands.options import ExchangeList, PaceName, Processes


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(no_args_is_help=True)(up)
    app.command(no_args_is_help=True)(worker)
    app.command()(aligner)


def up(
    exchanges: ExchangeList,
    processes: Processes = 2,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Listen on this loopback port instead of a unix socket.")
    ] = None,
) -> int:
    """Run a durable bus on this machine: server, workers and aligner, until Ctrl-C. Prints the line to export."""
    from candlebus.commands.running import run_up

    return run_up(exchanges, processes, port)


def worker(exchanges: ExchangeList, processes: Processes = 1, pace: PaceName = None) -> int:
    """Run workers of the bus at CANDLEBUS_REDIS_URL, until Ctrl-C; whatever dies is started again."""
    from candlebus.commands.running import run_workers

    return run_workers(exchanges, processes, pace)


def aligner(
    groups: Annotated[list[str] | None, typer.Option("--groups", metavar="NAME...", help="Only these groups.")] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", show_default=False, hidden=True)] = None,
) -> int:
    """Run an aligner of the bus at CANDLEBUS_REDIS_URL, until Ctrl-C."""
    from candlebus.commands.running import run_aligner

    return run_aligner([*(groups or []), *(more or [])])
