"""Files that appear whole: written beside their place, then renamed into it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bus.errors import CandleBusError, SettingsError
from candlebus.streams import UNWRITABLE


@contextmanager
def destination(path: Path | None) -> Iterator[TextIO]:
    """Where output goes: the file, which appears once all is written, or standard output.

    Raises:
        CandleBusError: As :func:`whole_file`.
    """
    if path is None:
        yield sys.stdout
        return
    with whole_file(path) as file:
        yield file


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """The file under another name; it takes the place of the old one at the end, unless something goes wrong.

    Raises:
        SettingsError: The file cannot be opened.
        CandleBusError: It takes no more, such as on a full disk; no part of it stays.
    """
    target = path.resolve()  # a link keeps its name, and its target is replaced
    if target.is_dir():
        raise SettingsError(f"{path} is a folder; name a file")
    if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
        with _room_for(path), _opened(path, target, "w") as file:
            yield file
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _room_for(path), _opened(path, beside, "x") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise CandleBusError(f"cannot write {path}: {error.strerror}") from error


def _opened(path: Path, where: Path, mode: str) -> TextIO:
    try:
        return where.open(mode, encoding="utf-8", newline="")  # type: ignore[return-value]
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from error
