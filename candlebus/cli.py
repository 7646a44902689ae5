"""The command line put together: every command, one line for every error, one code for every end."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

from bus.errors import CandleBusError
from bus.given import shown
from candlebus.commands import (
    alive,
    audit,
    dead,
    demo,
    fetch,
    groups,
    look,
    metrics,
    requests,
    run,
    sandbox,
    schedule,
    watch,
)
from candlebus.streams import UNWRITABLE, discard_output, stand_in

_INTERRUPTED: Final = 130
_NO_READER: Final = 141
#: What typer raises for a wrong command line; its own copy of click's class has no public name.
_WrongUsage: Final[Any] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="candlebus",
    help="Complete, aligned candles of perpetual futures on Redis Streams, within the exchanges' limits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for register in (fetch, run, schedule, groups, watch, look, requests, metrics, alive, audit, dead, sandbox, demo):
    register.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"candlebus {version('candlebus')}\n")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Complete, aligned candles of perpetual futures on Redis Streams, within the exchanges' limits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 complete, 1 failed, 2 usage, 3 partial."""
    stand_in()
    try:
        with _orderly_end():
            return _run(list(sys.argv[1:] if arguments is None else arguments))
    except CandleBusError as error:
        return _tell(str(error), error.exit_code)
    except _WrongUsage as error:
        return _tell_usage(error)
    except KeyboardInterrupt:
        return _tell("interrupted", _INTERRUPTED)
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _output_failed(ended.__context__)  # tables and help end so, by their library
    except OSError as error:
        return _output_failed(error)


def _run(arguments: list[str]) -> int:
    command = get_command(app)
    try:
        with command.make_context("candlebus", arguments) as context:
            code = command.invoke(context)
    except typer.Exit as ended:
        code = ended.exit_code
    sys.stdout.flush()
    return int(code or 0)


def _output_failed(error: OSError) -> int:
    """The exit code where nobody reads standard output any more, or it takes no more; any other error goes on."""
    if isinstance(error, BrokenPipeError):
        discard_output()
        return _NO_READER
    if error.errno not in UNWRITABLE:
        raise error
    discard_output()
    return _tell(f"cannot write {error.filename or 'standard output'}: {error.strerror}", 1)


def _tell(text: str, code: int) -> int:
    line = "".join(
        c if c.isprintable() else "?" for c in " ".join(text.split())
    )  # an exchange may have sent some of it
    sys.stderr.write(f"candlebus: {line}\n")
    return code


def _tell_usage(error: Any) -> int:
    text = error.format_message().rstrip(".") + _given(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "candlebus"
    code = int(error.exit_code)
    return _tell(f"{text}; see: {path} --help", code) if text else code  # no text: the help was shown


def _given(error: Any) -> str:
    """The value that was no number, which the text does not show; empty for all else."""
    found = getattr(error.__cause__, "errors", None)
    return f": {shown(found()[0]['input'])}" if found else ""


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Turn the signals that ask a process to end into an exception, so that everything open is closed."""

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough; what is open has bounds of its own
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    asked = [number for number in ends if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
