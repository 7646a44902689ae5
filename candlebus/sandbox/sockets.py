"""Exchanges on loopback sockets, served by one thread of their own."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from bus.errors import SettingsError
from candlebus.sandbox import delivery
from candlebus.sandbox.answers import json_answer
from candlebus.sandbox.exchange import Exchange

STATS_PATH: Final = "/sandbox/stats"
_HOST: Final = "127.0.0.1"
_STOP_TIMEOUT_S: Final = 5
_LAST_WORDS_S: Final = 0.2


class Sockets:
    """Serves each exchange on a port of its own, from :meth:`start` to :meth:`stop`.

    Args:
        ports: Venue → port; others get a free one.
        slow_ms: How long a body takes that the fault ``slow`` strews.
    """

    def __init__(self, exchanges: Mapping[str, Exchange], ports: Mapping[str, int], slow_ms: float) -> None:
        self._exchanges = exchanges
        self._ports = ports
        self._slow_ms = slow_ms
        self._bound: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve; returns when every venue answers.

        Raises:
            SettingsError: A port is taken.
        """
        failures: list[Exception] = []
        settled = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(settled, failures)), name="sandbox", daemon=True
        )
        self._thread.start()
        settled.wait()
        if failures:
            self._thread.join(_STOP_TIMEOUT_S)
            raise SettingsError(f"the stand-in cannot serve: {failures[0]}") from failures[0]

    def stop(self) -> None:
        """Close all connections and ports; does nothing where nothing serves."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_TIMEOUT_S)
        self._thread = self._loop = self._stop = None

    def url(self, venue: str) -> str:
        """Base URL of a venue, such as ``http://127.0.0.1:40123``.

        Raises:
            SettingsError: Nothing was served yet.
        """
        if venue not in self._bound:
            raise SettingsError("the stand-in does not serve yet: enter it, or call start")
        return f"http://{_HOST}:{self._bound[venue]}"

    async def _serve(self, settled: threading.Event, failures: list[Exception]) -> None:
        runners: list[web.ServerRunner] = []
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            for venue, exchange in self._exchanges.items():
                runners.append(self._runner(exchange))
                await self._open(venue, runners[-1])
            settled.set()
            await self._stop.wait()
        except (OSError, OverflowError) as error:
            failures.append(error)
        finally:
            await asyncio.gather(*(runner.cleanup() for runner in runners))
            settled.set()

    def _runner(self, exchange: Exchange) -> web.ServerRunner:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.path == STATS_PATH:
                return delivery.whole(json_answer(exchange.stats().summary()))
            reply = exchange.reply(request.method, request.path, request.query)
            return await delivery.deliver(request, reply, self._slow_ms)

        return web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=_LAST_WORDS_S)

    async def _open(self, venue: str, runner: web.ServerRunner) -> None:
        await runner.setup()
        await web.TCPSite(runner, _HOST, self._ports.get(venue, 0)).start()
        self._bound[venue] = runner.addresses[0][1]
