"""A TCP proxy that damages what passes through it: one toxic at a time, changed while connections live."""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Final, Literal, get_args

import msgspec

from tests.faults.bomb import bomb

ToxicKind = Literal[
    "latency",  # every piece waits `ms`
    "down",  # connections are cut and new ones refused
    "bandwidth",  # `bytes` a second, each way
    "slow_close",  # a closed side is told `ms` later
    "timeout",  # everything is swallowed; the connection ends after `ms`
    "reset",  # the next piece brings a RST
    "slicer",  # pieces of `bytes`, `ms` apart
    "limit_data",  # a connection ends after `bytes` of replies
    "cut_before_reply",  # once: the `count`-th piece asked is passed on, its reply is not
    "cut_in_reply",  # once: the connection ends inside the reply, after `bytes` more of replies
    "bomb",  # HTTP only: what is asked is answered with a compressed body that has no end
]
TOXICS: Final[tuple[ToxicKind, ...]] = get_args(ToxicKind)
_CHUNK: Final = 65_536
_JOIN_S: Final = 5


class Toxic(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the traffic; only the numbers that its kind names count.

    Attributes:
        within: Of ``cut_before_reply``: only what is asked with this in it is counted.
    """

    kind: ToxicKind
    ms: int = 0
    bytes: int = 0
    count: int = 0
    within: str = ""


class Dose:
    """A toxic at work.

    Attributes:
        strikes: How often it has struck.
    """

    def __init__(self, toxic: Toxic) -> None:
        self.toxic = toxic
        self.strikes = 0
        self.asked = 0
        self.replied = 0


class _Link:
    """One connection through the proxy: two pumps that end together."""

    def __init__(self, proxy: "Proxy", client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._replied = 0
        self._is_doomed: Dose | None = None  # its next reply is lost

    async def run(self, asks: asyncio.StreamReader, replies: asyncio.StreamReader) -> None:
        pumps = [
            asyncio.create_task(self._pump(asks, self._server, self._ask)),
            asyncio.create_task(self._pump(replies, self._client, self._reply)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        dose = self._proxy.dose
        if dose and dose.toxic.kind == "slow_close":
            dose.strikes += 1
            await asyncio.sleep(dose.toxic.ms / 1000)
        self.cut()
        await asyncio.wait(pumps)

    def cut(self, *, reset: bool = False) -> None:
        """End both sides; with ``reset`` by a RST."""
        for side in (self._client, self._server):
            if reset and (sock := side.get_extra_info("socket")) is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        pass_on: Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]],
    ) -> None:
        try:
            while (data := await source.read(_CHUNK)) and await pass_on(data, sink):
                pass
        except OSError:
            return

    async def _ask(self, data: bytes, sink: asyncio.StreamWriter) -> bool:
        dose = self._proxy.dose
        if dose and dose.toxic.kind == "cut_before_reply" and not dose.strikes:
            dose.asked += dose.toxic.within.encode() in data
            if dose.asked == dose.toxic.count:
                dose.strikes += 1
                self._is_doomed = dose
        if dose and dose.toxic.kind == "bomb":
            dose.strikes += 1
            await self._written(bomb(), self._client)
            return False
        return await self._pass_on(data, sink, dose)

    async def _reply(self, data: bytes, sink: asyncio.StreamWriter) -> bool:
        if self._is_doomed:
            return False  # the server has done what was asked; nobody learns of it
        dose = self._proxy.dose
        if dose and dose.toxic.kind in ("limit_data", "cut_in_reply") and not (data := self._cut_short(data, dose)):
            return False
        return await self._pass_on(data, sink, dose)

    def _cut_short(self, data: bytes, dose: Dose) -> bytes:
        """What of a reply is still let through; less than ``data`` ends the connection with the next piece."""
        once = dose.toxic.kind == "cut_in_reply"
        if once and dose.strikes:
            return data
        passed = dose.replied if once else self._replied
        left = dose.toxic.bytes - passed
        dose.replied += len(data)
        self._replied += len(data)
        if len(data) < left:
            return data
        dose.strikes += 1
        self._client.write(data[: max(0, left)])
        return b""

    async def _pass_on(self, data: bytes, sink: asyncio.StreamWriter, dose: Dose | None) -> bool:
        toxic = dose.toxic if dose else None
        if dose and toxic and toxic.kind in ("latency", "bandwidth", "timeout", "reset", "slicer"):
            dose.strikes += 1
        if toxic and toxic.kind == "timeout":
            await asyncio.sleep(toxic.ms / 1000)
            return False
        if toxic and toxic.kind == "reset":
            self.cut(reset=True)
            return False
        if toxic and toxic.kind == "latency":
            await asyncio.sleep(toxic.ms / 1000)
        if toxic and toxic.kind == "bandwidth":
            await asyncio.sleep(len(data) / toxic.bytes)
        if toxic and toxic.kind == "slicer":
            for at in range(0, len(data), toxic.bytes):
                if self._proxy.dose is not dose:  # healed: the rest goes in one piece
                    return await self._written(data[at:], sink)
                await self._written(data[at : at + toxic.bytes], sink)
                await asyncio.sleep(toxic.ms / 1000)
            return True
        return await self._written(data, sink)

    async def _written(self, data: bytes, sink: asyncio.StreamWriter) -> bool:
        sink.write(data)
        await sink.drain()
        return True


class Proxy:
    """Listens on a loopback port and passes everything on, from :meth:`start` to :meth:`stop`.

    Attributes:
        port: Where it listens, once started.
        dose: The toxic at work.
    """

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        """Pass on to ``(host, port)``, or to the unix socket of that path."""
        self._upstream = upstream
        self.port = 0
        self.dose: Dose | None = None
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen; returns when it does."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Cut everything and listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_S)

    def poison(self, toxic: Toxic) -> Dose:
        """Put a toxic to work instead of the one before."""
        self.dose = Dose(toxic)
        if toxic.kind == "down":
            self.dose.strikes += len(self._links)
            self._loop.call_soon_threadsafe(self._cut_all)
        return self.dose

    def heal(self, dose: Dose | None = None) -> None:
        """End the toxic at work, unless another than ``dose`` is."""
        if dose is None or self.dose is dose:
            self.dose = None

    def _cut_all(self) -> None:
        for link in tuple(self._links):
            link.cut()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._cut_all()
        self._loop.run_until_complete(self._drained())
        self._loop.close()

    async def _drained(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        for task in self._tasks:
            task.cancel()

    async def _accepted(self, asks: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.dose and self.dose.toxic.kind == "down":
            self.dose.strikes += 1
            client.transport.abort()
            return
        try:
            replies, server = await self._connected()
        except OSError:
            client.transport.abort()
            return
        link = _Link(self, client, server)
        self._links.add(link)
        try:
            await link.run(asks, replies)
        finally:
            self._links.discard(link)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._upstream, str):
            return await asyncio.open_unix_connection(self._upstream)
        return await asyncio.open_connection(*self._upstream)
