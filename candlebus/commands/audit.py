"""``candlebus audit``: its options."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    go_on: Annotated[bool, typer.Option("--all", help="Go on after the first violation.")] = False,
) -> int:
    """Recompute what is promised from the server alone; 1 when something is lost, doubled, out of order or wrong.

    Reads only, and may run while others publish. docs/reliability.md explains the numbers of the promises.
    """
    from candlebus.commands.auditing import audited

    return audited(as_json=as_json, go_on=go_on)
