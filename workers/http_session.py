"""HTTP sessions whose every wait for bytes is bounded, and that follow nothing and keep nothing."""

import http.client
import io
import socket
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

CHUNK_BYTES: Final = 65_536


def bounded_session(patience_s: Callable[[], float], check_budget: Callable[[], None]) -> requests.Session:
    """A session of an exchange.

    Args:
        patience_s: How long the next read may wait, in seconds; raises when there is no patience left.
        check_budget: Called when a connection stands, right before bytes of a request leave.
    """
    session = _Session()
    session.trust_env = False  # no proxy, no .netrc, no certificates from the environment
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update(
        {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"candlebus/{_version()}"}
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, _BoundedAdapter(patience_s, check_budget))
    return session


def _version() -> str:
    try:
        return version("candlebus")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, always: to prepare the next request, requests would read a redirect's body without any bound."""


class _BoundedAdapter(HTTPAdapter):
    """Connections whose every wait for bytes is bounded, those for the header lines too."""

    def __init__(self, patience_s: Callable[[], float], check_budget: Callable[[], None]) -> None:
        self._patience_s = patience_s
        self._check_budget = check_budget
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        patience_s = self._patience_s

        def response(sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
            bounded: Any = _BoundedSocket(sock, patience_s)
            return http.client.HTTPResponse(bounded, *args, **kwargs)

        plain, secure = self._connection(HTTPConnection, response), self._connection(HTTPSConnection, response)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }

    def _connection(self, base: type[HTTPConnection], response: Callable[..., Any]) -> type[HTTPConnection]:
        check_budget = self._check_budget

        def send(connection: HTTPConnection, data: Any) -> None:
            if connection.sock is None:
                connection.connect()
            check_budget()
            base.send(connection, data)

        return type(base.__name__, (base,), {"response_class": staticmethod(response), "send": send})


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
