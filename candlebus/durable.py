"""The durable bus of this machine and user: one server, whose data outlives it, and the exchanges it may ask."""

import fcntl
import os
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec

from bus.embedded import EmbeddedServer
from bus.errors import SettingsError
from bus.settings import Settings
from candlebus.exchange_locks import ExchangeLocks, Holder, Say, usable
from candlebus.kept_server import KeptServer


class DurableBus:
    """A server with its data in the user's state folder; a context manager.

    Attributes:
        folder: Where the data lies.
        settings: Those given, with the server's address: what workers of this bus need.
    """

    def __init__(self, settings: Settings, exchanges: list[str], *, port: int | None, say: Say) -> None:
        """Start the server, and hold the exchanges, if need be after a wait for a fetch that asks one of them.

        Args:
            exchanges: In order, so that two who wait never wait for each other.
            port: Loopback port; None for a unix socket.
            say: Called with a line when something must be waited for, the server is started again, or something was
                cut off a torn file.

        Raises:
            SettingsError: The bus of this user runs already, its data cannot be written, or its port is taken.
            BusUnavailable: The server does not start.
        """
        self.folder = settings.home / "bus"
        self._open = ExitStack()
        with ExitStack() as begun:
            self._me = _claimed(self.folder, begun)
            server = begun.enter_context(EmbeddedServer(data=self.folder, port=port))
            self._kept = KeptServer(server, self.folder, say)
            _note(self._me, server.url)
            self.settings = msgspec.structs.replace(settings, redis_url=server.url)
            locks = ExchangeLocks(settings, say, redis_url=server.url)
            begun.callback(locks.release)
            locks.take(exchanges)
            self._open = begun.pop_all()

    @property
    def export_line(self) -> str:
        """The line with which a shell joins this bus."""
        return f"export CANDLEBUS_REDIS_URL={shlex.quote(self.settings.redis_url or '')}"

    def look(self) -> None:
        """Start the server again where it has ended; to be called again and again.

        Raises:
            BusUnavailable: It ends again and again at once.
        """
        self._kept.look()

    def __enter__(self) -> "DurableBus":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _claimed(folder: Path, opened: ExitStack) -> int:
    """A descriptor that holds the folder for this process: two servers on one file would destroy it."""
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "holder", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(_taken(os.pread(descriptor, 4096, 0))) from error
    return descriptor


def _note(descriptor: int, url: str) -> None:
    me = Holder(os.getpid(), " ".join(["candlebus", *sys.argv[1:]])[:200], url)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(me), 0)


def _taken(noted: bytes) -> str:
    try:
        holder = msgspec.json.decode(noted, type=Holder)
    except msgspec.DecodeError:
        return "another 'candlebus up' of this user is starting"
    return (
        f"{holder.command!r} (process {holder.pid}) runs already; more workers join it with: "
        f"CANDLEBUS_REDIS_URL={shlex.quote(holder.redis_url)} candlebus worker EXCHANGE…"
    )
