"""The one logging set-up: a fixed phrase and its fields, as text or as one JSON object a line, on standard error."""

import json
import logging
import sys
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

from bus.settings import LogForm
from bus.text import printable

_OURS: Final = ("bus", "producers", "workers", "candlebus")
_MOST: Final = 1_024
#: Of the way to an exception the end says most.
_MOST_OF_TRACE: Final = 8_192


def set_up_logging(form: LogForm, level: int = logging.INFO) -> None:
    """Send the log of this process to standard error: ours from ``level`` on, other libraries' from warnings on.

    An exception that nobody caught, and a warning of Python's, are lines of it too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def formatter(form: LogForm) -> logging.Formatter:
    """Makes one line of every record, whoever wrote it; exceptions come as one field, without values of variables."""
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, sort_keys=False)
    if form == "json":
        renderer = structlog.processors.JSONRenderer(serializer=json.dumps)
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _bounded,
    ]
    return ProcessorFormatter(
        foreign_pre_chain=before, processors=[ProcessorFormatter.remove_processors_meta, renderer]
    )


def _bounded(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Every field on one line and no longer than allowed: control characters could forge a line or drive a terminal."""
    trace = event.pop("exception", None)
    for key, value in list(event.items()):
        if not key.startswith("_"):  # structlog's own
            event[key] = _field(value)
    if trace is not None:
        event["trace"] = printable(trace[-_MOST_OF_TRACE:], _MOST_OF_TRACE)
    return event


def _field(value: object) -> object:
    if value is None or isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 2**63):
        return value
    try:
        return printable(str(value), _MOST)
    except Exception as error:  # noqa: BLE001 - whatever is logged, the line is written
        return f"{type(value).__name__} that cannot be shown ({type(error).__name__})"


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("candlebus").critical("uncaught error", exc_info=(kind, error, trace))
