"""Files that appear whole: written beside their place, then renamed into it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bus.errors import SettingsError


@contextmanager
def destination(path: Path | None) -> Iterator[TextIO]:
    """Where output goes: the file, which appears once all is written, or standard output.

    Raises:
        SettingsError: The file cannot be written.
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
        SettingsError: The file cannot be written.
    """
    target = path.resolve()  # a link keeps its name, and its target is replaced
    if target.is_dir():
        raise SettingsError(f"{path} is a folder; name a file")
    if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
        with _opened(path, target, "w") as file:
            yield file
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _opened(path, beside, "x") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _opened(path: Path, where: Path, mode: str) -> TextIO:
    try:
        return where.open(mode, encoding="utf-8", newline="")  # type: ignore[return-value]
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from error
