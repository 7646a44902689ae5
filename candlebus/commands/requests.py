"""``candlebus request``: what was asked for, and how far it is."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
RequestId = Annotated[str, typer.Argument(metavar="ID", help="As 'candlebus request list' or a log line tells it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    requests = typer.Typer(no_args_is_help=True, help="Requests on the bus: list the open ones, show one, cancel some.")
    requests.command("list")(list_open)
    requests.command("show", no_args_is_help=True)(show)
    requests.command("cancel", no_args_is_help=True)(cancel)
    app.add_typer(requests, name="request")


def list_open(
    exchanges: Annotated[
        list[str] | None, typer.Argument(metavar="[EXCHANGE]…", help="By default all that were asked.")
    ] = None,
    as_json: Json = False,
) -> int:
    """The requests that have not ended, those of each exchange that were accepted first in front."""
    from candlebus.commands.requesting import listed

    return listed(exchanges or [], as_json=as_json)


def show(request_id: RequestId, as_json: Json = False) -> int:
    """Where one request stands; one that has ended is known for an hour."""
    from candlebus.commands.requesting import shown

    return shown(request_id, as_json=as_json)


def cancel(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="As 'candlebus request list' tells them.")
    ] = None,
    exchange: Annotated[str | None, typer.Option("--all", metavar="EXCHANGE", help="All open ones of it.")] = None,
) -> int:
    """End requests; what they have published stays, and whoever waits for them is told."""
    from candlebus.commands.requesting import cancelled

    return cancelled(request_ids or [], exchange)
