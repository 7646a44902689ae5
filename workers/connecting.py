"""A connection within its time, that of the name's lookup included, which no library bounds."""

import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family, create_connection

_Lookup = Future[list[str]]
_lock = threading.Lock()
_under_way: dict[tuple[str, int], _Lookup] = {}


def connected(connection: HTTPConnection) -> socket.socket:
    """A socket to the connection's host within ``connection.timeout`` seconds, whatever the resolver does.

    Of several addresses each has its share of the time left: one where nobody answers leaves some to the others.

    Raises:
        ConnectTimeoutError: Neither the name's addresses nor a connection were there in time.
        NewConnectionError: The name has no address (``NameResolutionError``), or each refused.
    """
    host, port, limit_s = connection.host, connection.port, float(connection.timeout or 0)
    until_s = time.monotonic() + limit_s
    try:
        found = addresses(host, port, limit_s)
        return _first_of(found, connection, until_s)
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection to {host} within {limit_s:g} s") from error
    except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
        raise NewConnectionError(connection, f"no connection to {host}: {error}") from error


def _first_of(found: list[str], connection: HTTPConnection, until_s: float) -> socket.socket:
    """A socket to the first of the addresses that takes one; the failure of the last where none does."""
    failure = OSError("no address")
    for number, address in enumerate(found):
        try:
            return _socket_to(address, connection, (until_s - time.monotonic()) / (len(found) - number))
        except OSError as error:
            failure = error
    raise failure


def _socket_to(address: str, connection: HTTPConnection, limit_s: float) -> socket.socket:
    if limit_s <= 0:
        raise TimeoutError
    options = connection.socket_options
    return create_connection((address, connection.port), limit_s, connection.source_address, options)


def addresses(host: str, port: int, limit_s: float) -> list[str]:
    """The numeric addresses of a name, at least one.

    Looked up in a thread that may be left behind: ``getaddrinfo`` cannot be ended, and a resolver that does not answer
    holds it for half a minute and more. Whoever asks for the same name meanwhile waits for the same answer.

    Raises:
        TimeoutError: There is no answer within so many seconds.
        socket.gaierror: There are none.
    """
    with _lock:
        lookup = _under_way.get((host, port))
        if lookup is None:
            lookup = Future()
            threading.Thread(target=_look_up, args=(lookup, host, port), daemon=True, name="lookup").start()
            _under_way[host, port] = lookup
    return lookup.result(limit_s)


def _look_up(lookup: _Lookup, host: str, port: int) -> None:
    try:
        found: Any = socket.getaddrinfo(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
        lookup.set_result([address[0] for *_, address in found])
    except (OSError, UnicodeError) as error:
        lookup.set_exception(error)
    finally:
        with _lock:
            del _under_way[host, port]
