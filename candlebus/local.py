"""Everything on one machine: an embedded server and the workers that a fetch needs, as child processes."""

import tempfile
from pathlib import Path
from types import TracebackType

import msgspec

from bus.embedded import EmbeddedServer
from bus.errors import BusUnavailable
from bus.settings import Settings, child_environment
from candlebus.exchange_locks import ExchangeLocks, Say
from workers.supervisor import Supervisor

#: More workers than series of one exchange would idle; more than this would only share its budget.
_MOST_WORKERS = 2
_GRACE_S = 5.0


class LocalBus:
    """An embedded server and its workers; all end with :meth:`close`, or with this process however it ends.

    Attributes:
        url: Where the server listens.
    """

    def __init__(self, settings: Settings, say: Say) -> None:
        """Start the server; workers start when their exchange is first needed.

        Args:
            say: Called with a line when something must be waited for.

        Raises:
            SettingsError: No server program is found, or the temporary folder is of no use.
            BusUnavailable: The server does not start.
        """
        self._locks = ExchangeLocks(settings, say)
        self._server = EmbeddedServer()
        self.url = self._server.url
        self._log = tempfile.NamedTemporaryFile(prefix="candlebus-", suffix=".log")  # noqa: SIM115 - closed below
        env = child_environment(msgspec.structs.replace(settings, redis_url=self.url))
        self._supervisor = Supervisor(env, output=self._log.fileno(), grace_s=_GRACE_S)
        self._serving: dict[str, int] = {}

    def serve(self, exchanges: dict[str, int]) -> None:
        """Have workers for these exchanges, given how many series each must fetch.

        Waits while another process of this user asks one of them from this machine, so that there is one budget.

        Raises:
            BusUnavailable: The other process keeps the exchange.
        """
        self._locks.take(sorted(set(exchanges) - set(self._serving)))
        for exchange, series in exchanges.items():
            have = self._serving.get(exchange, 0)
            need = max(have, min(series, _MOST_WORKERS))
            if need > have:
                self._supervisor.add("worker", exchange, processes=need - have)
                self._serving[exchange] = need

    def check(self) -> None:
        """Start again what has died.

        Raises:
            BusUnavailable: The server has ended, or a worker finds its settings wrong; the text is its last line.
        """
        self.check_server()
        if self._supervisor.look() is not None:
            lines = Path(self._log.name).read_text(errors="replace").strip().splitlines()
            raise BusUnavailable(f"a worker does not start: {lines[-1] if lines else 'it says nothing'}")

    def check_server(self, wait_s: float = 0) -> None:
        """Find that the server runs; one that has ended has lost what it held, and is not started again.

        Args:
            wait_s: For an end that may be under way.

        Raises:
            BusUnavailable: It has ended; the text says how.
        """
        if (how := self._server.ended(wait_s)) is not None:
            raise BusUnavailable(f"the embedded server ended ({how}); run the same command again")

    def close(self) -> None:
        """End workers and server, give up the exchanges."""
        try:
            self._supervisor.stop()
            self._server.stop()
        finally:
            self._locks.release()
            self._log.close()

    def __enter__(self) -> "LocalBus":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
