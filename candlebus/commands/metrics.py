"""``candlebus metrics``: its options."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(metrics)


def metrics(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 9464,
) -> int:
    """Serve metrics of the bus for Prometheus, until Ctrl-C. One process is enough for a bus."""
    from bus.logs import set_up_logging
    from bus.settings import load
    from candlebus.commands.ending import UntilInterrupted
    from candlebus.commands.shared import say, shared_bus
    from candlebus.metrics.exporter import Exporter

    settings = load()
    set_up_logging(settings.log)
    with UntilInterrupted(), shared_bus(settings, wait=say) as redis, Exporter(redis, host, port) as exporter:
        say(f"metrics of the bus at http://{host}:{exporter.port}/metrics; Ctrl-C ends it")
        exporter.wait()
    return 0
