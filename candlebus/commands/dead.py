"""``candlebus dead``: entries that were set aside."""

from typing import Annotated

import typer

LetterId = Annotated[str | None, typer.Argument(metavar="[ID]", help="As 'candlebus dead list' tells it.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dead = typer.Typer(no_args_is_help=True, help="Dead letters: entries that no aligner could take, set aside.")
    dead.command("list")(list_all)
    dead.command("show", no_args_is_help=True)(show)
    dead.command("retry", no_args_is_help=True)(retry)
    dead.command("drop", no_args_is_help=True)(drop)
    app.add_typer(dead, name="dead")


def list_all(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> int:
    """The dead letters with their reasons, the oldest of each stream first."""
    from candlebus.commands.dead_letters import listed

    return listed(as_json=as_json)


def show(letter: Annotated[str, typer.Argument(metavar="ID", help="As 'candlebus dead list' tells it.")]) -> int:
    """One dead letter, as far as it can be read; control characters escaped."""
    from candlebus.commands.dead_letters import shown

    return shown(letter)


def retry(letter: LetterId = None, every: All = False) -> int:
    """Put what a letter holds through again, if this version can read it; the letter is gone then."""
    from candlebus.commands.dead_letters import retried

    return retried(letter, every=every)


def drop(letter: LetterId = None, every: All = False) -> int:
    """Delete letters. Entries that nobody can read are then told by 'candlebus audit' until they are trimmed."""
    from candlebus.commands.dead_letters import dropped

    return dropped(letter, every=every)
