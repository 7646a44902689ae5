"""``candlebus alive``: the exit code of a health check."""

import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(alive)


def alive(
    role: Annotated[
        str | None, typer.Argument(metavar="[ROLE]", show_default=False, help="worker, aligner or schedule.")
    ] = None,
    exchanges: Annotated[
        list[str] | None, typer.Argument(metavar="[EXCHANGE...]", show_default=False, help="Whose workers.")
    ] = None,
) -> int:
    """Exit with 0 when this host serves the bus in that role; without a role, when the server answers and is fit."""
    from bus.errors import SettingsError
    from bus.settings import load
    from candlebus.commands.options import one_of
    from candlebus.commands.shared import shared_bus
    from producers.alive import ROLES, served_here
    from workers.exchanges import registry

    asked = None if role is None else one_of("ROLE", role, ROLES)
    served = [registry.get(name).facts.name for name in exchanges or []]
    if (asked == "worker") != bool(served):
        raise SettingsError("name the exchanges of the workers, and of nothing else: candlebus alive worker EXCHANGE…")
    with shared_bus(load()) as redis:
        missing = [name for name in served or [""] if asked and not served_here(redis, asked, name)]
    for name in missing:
        sys.stderr.write(f"candlebus: no {' '.join(filter(None, (asked, name)))} of this host serves the bus\n")
    return 1 if missing else 0
