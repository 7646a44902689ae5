"""The exporter: answers each scrape with what the server of the bus says at that moment."""

import logging
import threading
from collections.abc import Iterator

import redis as redis_library
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector
from redis import Redis

from bus.errors import SettingsError
from candlebus.metrics.families import families, up
from candlebus.metrics.view import view_of

_log = logging.getLogger(__name__)


class BusCollector(Collector):
    """Collects the metrics of one bus."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def describe(self) -> list[Metric]:
        """Nothing: it would take a look at the server, which may not be there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            view = view_of(self._redis)
        except redis_library.RedisError as error:
            _log.warning("server not read", extra={"cause": str(error)})
            yield up(answers=False)
            return
        yield up(answers=True)
        yield from families(view)


class Exporter:
    """Serves the metrics over HTTP, under every path; a context manager.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, redis: Redis, host: str, port: int) -> None:
        """Listen.

        Args:
            port: 0 takes a free one.

        Raises:
            SettingsError: The address is taken, or is none of this machine.
        """
        registry = CollectorRegistry()
        registry.register(BusCollector(redis))
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}; see --host and --port") from error
        self.port = int(self._server.server_port)

    def wait(self) -> None:
        """Return never; interrupted by signals."""
        threading.Event().wait()

    def __enter__(self) -> "Exporter":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
