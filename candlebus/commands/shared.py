"""The bus that a command looks at: the one the environment names, or that of ``candlebus up`` on this machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from redis import Redis

from bus.connection import check_server, connect, readable_errors
from bus.errors import SettingsError
from bus.settings import Settings
from candlebus.exchange_locks import holder_of
from workers.exchanges import registry


@contextmanager
def checked(client: Redis, url: str) -> Iterator[Redis]:
    """The client, once its server is found fit for a bus; closed afterwards. Its errors say what to do."""
    try:
        with readable_errors(url):
            check_server(client)
            yield client
    finally:
        client.close()


@contextmanager
def shared_bus(settings: Settings, exchanges: Sequence[str] = ()) -> Iterator[Redis]:
    """A connection to the bus that is there.

    Raises:
        SettingsError: There is none; the message says how to start one.
    """
    url = bus_url(settings, exchanges)
    if url is None:
        raise SettingsError("there is no bus: set CANDLEBUS_REDIS_URL, or start one with 'candlebus up EXCHANGE…'")
    with checked(connect(url), url) as redis:
        yield redis


def bus_url(settings: Settings, exchanges: Sequence[str] = ()) -> str | None:
    """Where the bus is; None where there is none.

    Args:
        exchanges: Look for a bus of 'candlebus up' that serves one of these; of any exchange where empty.
    """
    if settings.redis_url is not None:
        return settings.redis_url
    holders = (holder_of(exchange, settings) for exchange in exchanges or registry.names())
    return next((holder.redis_url for holder in holders if holder is not None and holder.redis_url), None)
