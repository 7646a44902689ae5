"""``candlebus demo``: its declaration."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo() -> int:
    """Show the whole way on this machine: stand-in exchanges, workers, aligner, rows. No network."""
    from candlebus.demo import run_demo

    return run_demo()
