"""The bus that a command looks at: the one the environment names, or that of ``candlebus up`` on this machine."""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from redis import Redis

from bus.connection import check_server, connect, readable_errors
from bus.errors import BusUnavailable, SettingsError
from bus.settings import Settings
from bus.text import address
from candlebus.exchange_locks import Say, holder_of
from workers.exchanges import registry

_LOOK_S: Final = 0.5
_SAY_EVERY_S: Final = 30.0


@contextmanager
def checked(client: Redis, url: str, wait: Say | None = None) -> Iterator[Redis]:
    """The client, once its server is found fit for a bus; closed afterwards. Its errors say what to do.

    Args:
        wait: Wait for a server that does not answer, however long, and tell so in lines; by default that is an error.
    """
    try:
        if wait is not None:
            _wait_for_server(client, url, wait)
        with readable_errors(url):
            check_server(client)
            yield client
    finally:
        client.close()


def _wait_for_server(client: Redis, url: str, say: Say) -> None:
    """Return once the server answers: who serves a bus is often started before it."""
    said_at = -math.inf
    while True:
        try:
            with readable_errors(url):
                client.ping()
        except BusUnavailable as error:
            if time.monotonic() - said_at >= _SAY_EVERY_S:
                said_at = time.monotonic()
                say(f"waiting for the server at {address(url)} ({error.__cause__})")
            time.sleep(_LOOK_S)
        else:
            return


@contextmanager
def shared_bus(settings: Settings, exchanges: Sequence[str] = (), wait: Say | None = None) -> Iterator[Redis]:
    """A connection to the bus that is there, as :func:`checked`.

    Raises:
        SettingsError: There is none; the message says how to start one.
    """
    url = bus_url(settings, exchanges)
    if url is None:
        raise SettingsError("there is no bus: set CANDLEBUS_REDIS_URL, or start one with 'candlebus up EXCHANGE…'")
    with checked(connect(url), url, wait) as redis:
        yield redis


def say(line: str) -> None:
    """Tell the person at the terminal, on standard error."""
    sys.stderr.write(f"candlebus: {line}\n")
    sys.stderr.flush()


def bus_url(settings: Settings, exchanges: Sequence[str] = ()) -> str | None:
    """Where the bus is; None where there is none.

    Args:
        exchanges: Look for a bus of 'candlebus up' that serves one of these; of any exchange where empty.
    """
    if settings.redis_url is not None:
        return settings.redis_url
    holders = (holder_of(exchange, settings) for exchange in exchanges or registry.names())
    return next((holder.redis_url for holder in holders if holder is not None and holder.redis_url), None)
