"""``candlebus sandbox``: stand-in exchanges until Ctrl-C."""

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from bus.errors import SettingsError
from candlebus.commands.ending import UntilInterrupted


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sandbox)


def sandbox(
    ports: Annotated[
        list[str] | None, typer.Option("--port", metavar="EXCHANGE=PORT", help="Serve an exchange on this port.")
    ] = None,
    replay: Annotated[
        list[Path] | None, typer.Option(help="Candle file or folder to serve instead of made-up ones.")
    ] = None,
    limit: Annotated[str | None, typer.Option(metavar="N/S", help="N requests in S seconds, or off.")] = None,
    faults: Annotated[str | None, typer.Option(help="Such as http_500=0.02,drop=0.01,seed=7.")] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="Before every answer.")] = 0,
    skew_ms: Annotated[int, typer.Option(help="How far the exchanges' clocks are ahead.")] = 0,
) -> int:
    """Stand-in exchanges on this machine, until Ctrl-C. Prints the lines to export."""
    from candlebus.sandbox import VENUES, Sandbox

    asked = dict(_port(text) for text in ports or [])
    venues = tuple(asked) or VENUES
    served = Sandbox(
        venues=venues,
        ports=asked,
        replay=replay or [],
        limit=limit,
        faults=faults,
        latency_ms=latency_ms,
        clock_skew_ms=dict.fromkeys(venues, skew_ms),
    )
    with UntilInterrupted(), served:
        sys.stderr.write("candlebus: stand-in exchanges, no real ones; Ctrl-C ends them\n")
        sys.stdout.writelines(f"export CANDLEBUS_URL_{name.upper()}={served.url(name)}\n" for name in venues)
        sys.stdout.flush()
        threading.Event().wait()
    return 0


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isascii() or not number.isdigit() or not 0 <= int(number[:6]) <= 65_535:
        raise SettingsError(f"--port {text[:80]!r} is not EXCHANGE=PORT, such as bingx=8101")
    return name, int(number)
