"""One budget per exchange on this machine: whoever asks it without a shared bus holds its lock file."""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from bus.errors import BusUnavailable, SettingsError
from bus.settings import Settings

Say = Callable[[str], None]

_LOOK_S: Final = 0.2
#: Who already holds an exchange waits no longer than this for another one: two such could wait for each other.
_LONGEST_WAIT_S: Final = 30.0


class Holder(msgspec.Struct, frozen=True):
    """Who asks an exchange from this machine.

    Attributes:
        redis_url: Server of its bus, where others may join it; empty for a bus that ends with its process.
    """

    pid: int
    command: str
    redis_url: str = ""


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn the system's errors about files of this folder into one that says what to do.

    Raises:
        SettingsError: The folder or a file of it cannot be written, or read.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(f"cannot write {folder}: {error.strerror}; set CANDLEBUS_HOME to another folder") from error


class ExchangeLocks:
    """The exchanges that this process may ask without a shared bus; given up when it ends, however it ends."""

    def __init__(self, settings: Settings, say: Say, *, redis_url: str = "") -> None:
        """Hold no lock yet.

        Args:
            say: Called once with a line for every lock that must be waited for.
            redis_url: Server that others may join instead of waiting.
        """
        self._settings = settings
        self._say = say
        self._me = Holder(os.getpid(), " ".join(["candlebus", *sys.argv[1:]])[:200], redis_url)
        self._held: dict[str, IO[str]] = {}

    def take(self, exchanges: Sequence[str]) -> None:
        """Hold the locks of these exchanges, in that order; waits for those that others hold.

        Raises:
            BusUnavailable: Another process keeps one while this one holds others.
            SettingsError: The folder of the locks cannot be written.
        """
        deadline = time.monotonic() + _LONGEST_WAIT_S if self._held else None
        for exchange in exchanges:
            told = False
            while (file := self._try(exchange)) is None:
                holder = holder_of(exchange, self._settings)
                if not told and holder is not None:
                    self._say(f"waiting for {holder.command!r} (process {holder.pid}), which asks {exchange} now")
                    told = True
                if deadline is not None and time.monotonic() > deadline:
                    raise BusUnavailable(f"{holder and holder.command!r} keeps {exchange}; end it, or share a bus")
                time.sleep(_LOOK_S)
            self._held[exchange] = file

    def _try(self, exchange: str) -> IO[str] | None:
        path = _path(exchange, self._settings)
        with usable(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return None
            file.truncate(0)
            file.write(msgspec.json.encode(self._me).decode())
            file.flush()
        return file

    def release(self) -> None:
        """Give up all locks."""
        for file in self._held.values():
            file.truncate(0)
            file.close()
        self._held.clear()


def holder_of(exchange: str, settings: Settings) -> Holder | None:
    """Who holds the exchange's lock now; None where nobody does.

    Raises:
        SettingsError: The folder of the locks cannot be read.
    """
    path = _path(exchange, settings)
    with usable(path.parent), suppress(FileNotFoundError, NotADirectoryError, msgspec.DecodeError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return msgspec.json.decode(file.read(), type=Holder)
    return None


def _path(exchange: str, settings: Settings) -> Path:
    # A stand-in at another address is another exchange: it has a budget of its own.
    where = hashlib.sha256(settings.urls.get(exchange, "").encode()).hexdigest()[:8]
    return settings.home / "locks" / f"{exchange}-{settings.egress}-{where}.lock"
