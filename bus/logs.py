"""The one logging set-up: a fixed phrase and its fields, as text or as one JSON object a line, on standard error."""

import json
import logging
import sys
from typing import Any, Final

from bus.settings import LogForm

_STANDARD: Final = frozenset([*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"])
_MAX_FIELD: Final = 1_024


def set_up_logging(form: LogForm, level: int = logging.INFO) -> None:
    """Send the log of this process to standard error; other libraries' from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("bus", "producers", "workers", "candlebus"):
        logging.getLogger(name).setLevel(level)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: _bounded(value) for key, value in vars(record).items() if key not in _STANDARD}


def _bounded(value: object) -> object:
    # Control characters could forge a line or drive a terminal.
    return value if isinstance(value, int | float | bool | None) else _one_line(str(value))


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_MAX_FIELD])


class _TextLines(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = _one_line(record.message)
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        return f"{super().formatMessage(record)} {fields}".rstrip()


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _one_line(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
