"""HTTP connections whose every wait for bytes is bounded."""

import http.client
import io
import socket
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from workers.connecting import connected

CHUNK_BYTES: Final = 65_536


class BoundedAdapter(HTTPAdapter):
    """The connections to an exchange. Used without a session of requests', so that there is nothing which follows a
    redirect, keeps a cookie, or takes a proxy, a password or certificates from the environment.
    """

    def __init__(self, patience_s: Callable[[], float], check_budget: Callable[[], None]) -> None:
        """Connect to nothing yet.

        Args:
            patience_s: How long the next read may wait, in seconds; raises when there is no patience left.
            check_budget: Called when a connection stands, right before bytes of a request leave.
        """
        self._pool_classes = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, patience_s, check_budget),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, patience_s, check_budget),
        }
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes


def _pool(
    pool: type[HTTPConnectionPool],
    base: type[HTTPConnection],
    patience_s: Callable[[], float],
    check_budget: Callable[[], None],
) -> type[HTTPConnectionPool]:
    """A kind of pool whose connections are bounded."""

    def response(sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        bounded: Any = _BoundedSocket(sock, patience_s)
        return http.client.HTTPResponse(bounded, *args, **kwargs)

    def send(connection: HTTPConnection, data: Any) -> None:
        if connection.sock is None:
            connection.connect()
        check_budget()
        base.send(connection, data)

    changed = {"response_class": staticmethod(response), "send": send, "_new_conn": connected}
    connection = type(base.__name__, (base,), changed)
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _version() -> str:
    try:
        return version("candlebus")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


OWN_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"candlebus/{_version()}",
}


class _BoundedSocket:
    """What http.client wants of a socket: a file to read the answer from."""

    def __init__(self, sock: socket.socket, patience_s: Callable[[], float]) -> None:
        self._sock = sock
        self._patience_s = patience_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock, self._patience_s), CHUNK_BYTES)


class _BoundedReader(io.RawIOBase):
    """Reads a socket, waiting each time no longer than the patience left.

    A timeout per read would let an exchange that sends one byte now and then, or one ``100 Continue`` after
    another, hold a worker for ever.
    """

    def __init__(self, sock: socket.socket, patience_s: Callable[[], float]) -> None:
        self._sock = sock
        self._patience_s = patience_s
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._patience_s())
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
