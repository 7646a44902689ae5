"""``candlebus status``, ``doctor``, ``contracts`` and ``exchanges``: their options."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(doctor)
    app.command(no_args_is_help=True)(contracts)
    app.command()(exchanges)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when something waits that no worker does.")
    ] = False,
) -> int:
    """What goes on on the bus: queues, workers, pauses, groups."""
    from candlebus.commands.status import shown

    return shown(as_json=as_json, check=check)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    exchanges: Annotated[
        bool, typer.Option("--exchanges", help="Ask each exchange its time once, within the shared budget.")
    ] = False,
) -> int:
    """What is wrong or weak here, each with its cure: server, settings, disk, workers. Exit code 1: it is wrong."""
    from candlebus.commands.doctor import examined

    return examined(as_json=as_json, exchanges=exchanges)


def contracts(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="See: candlebus exchanges.")],
    symbol: Annotated[str | None, typer.Argument(metavar="[SYMBOL]", help="Such as BTC/USDT:USDT.")] = None,
) -> int:
    """The perpetuals that an exchange lists: a table on a terminal, jsonl in a pipe."""
    from candlebus.commands.contracts import shown

    return shown(exchange, symbol)


def exchanges() -> int:
    """The exchanges with their timeframes, page sizes and limits: a table on a terminal, jsonl in a pipe."""
    from candlebus.commands.exchanges import shown

    return shown()
