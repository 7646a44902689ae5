"""One bus under test: server, links, stand-in exchanges, fleet, traffic and groups, for the cases of an epoch."""

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
from redis import RedisError

from bus import keys
from bus.groups import GroupBook
from bus.messages import Group
from bus.settings import Settings, child_environment
from candlebus.sandbox import VENUES, Sandbox
from tests.faults.inject import Injector
from tests.faults.preload import Preload
from tests.faults.processes import Fleet
from tests.faults.proxy import Proxy
from tests.faults.server import ServerUnderTest
from tests.faults.traffic import FRAME, Traffic
from tests.faults.truth import Truth, expected_rows

_PATCHES: Final = Path(__file__).with_name("patches")
_COINS: Final = ("BTC", "ETH")
_LIVE_COIN: Final = "SOL"
_MOST_OPEN: Final = 14
#: Tighter than documented: half as much again as the pace sends, room for what a rollback makes the server forget.
#: KuCoin's stays: its answers say how much is left, and workers would take a tighter one for another program's traffic.
_LIMITS: Final = {"bingx": "130/10"}
_LOOK_S: Final = 0.1
_START_S: Final = 30.0
#: A recovery that takes longer is worth a look.
_SLOW_S: Final = 15.0
#: Spans of all runs begin somewhere after this, 2025-01-01.
_BEGIN_MS: Final = 1_735_689_600_000


class Set(msgspec.Struct, frozen=True, kw_only=True):
    """How a bus is set up.

    Attributes:
        patches: Files that change the code of the fleet, for sabotages.
        options: More options of the server.
        wrapped: Whether the server is started by the wrapper that repairs a torn file.
        brisk: Whether waits are shorter than in production.
        program: The server program; None for the embedded one.
    """

    patches: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    wrapped: bool = True
    brisk: bool = True
    program: str | None = None
    workers: int = 2


class Bench:
    """A running bus; a context manager.

    Attributes:
        folder: Its logs and data.
        groups: What is aligned.
        truth: What the exchanges have.
    """

    def __init__(self, folder: Path, seed: int, epoch: int, fsync: str, how: Set) -> None:
        """Start everything in ``folder``."""
        folder.mkdir(parents=True)
        self.folder = folder
        self._how = how
        self._preload = Preload(folder)
        self.server = ServerUnderTest(folder, self._preload, program=how.program, wrapped=how.wrapped)
        self.server.fsync, self.server.options = fsync, list(how.options)
        self.sandbox = Sandbox(venues=VENUES, slow_ms=1_000, limit=_LIMITS)
        self._log = (folder / "fleet.log").open("ab")
        self.fleet = Fleet(self._log, VENUES, workers=how.workers)
        self.server.start()
        self.sandbox.start()
        self.links = {"workers-bus": Proxy(str(self.server.socket)), "aligners-bus": Proxy(str(self.server.socket))}
        self.links |= {venue: Proxy(("127.0.0.1", int(self.sandbox.url(venue).rpartition(":")[2]))) for venue in VENUES}
        for link in self.links.values():
            link.start()
        self._start_ms = _BEGIN_MS + (seed * 7 + epoch) % 1_000 * 3_600_000
        self.truth = Truth(self.sandbox, self._start_ms)
        self.groups = [self._group(coin) for coin in _COINS]
        self.fleet.start(self._environments(folder))
        self.traffic = Traffic(
            self._url("workers-bus"),
            self.server.connection(),
            [name for group in self.groups for name in group.series],
            self._start_ms,
            live=[f"{venue}:{_LIVE_COIN}/USDT:USDT" for venue in VENUES],
            most_open=_MOST_OPEN,
            name=f"e{epoch}",
        )
        self.injector = Injector(self.server, self.fleet, self.links, self.sandbox, self._preload)
        self.traffic.start()
        self._wait_for_fleet()

    def _wait_for_fleet(self) -> None:
        """Return once every process is there, so that faults find something to strike."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            here = len(self.fleet.members("worker")), len(self.fleet.members("aligner"))
            if here >= (self._how.workers * len(VENUES), 2):
                return
            time.sleep(_LOOK_S)

    def _group(self, coin: str) -> Group:
        series = [f"{venue}:{coin}/USDT:USDT" for venue in VENUES]
        return GroupBook(self.server.control).add(coin.lower(), series, FRAME.name, start_ms=self._start_ms)

    def _url(self, link: str) -> str:
        return f"redis://127.0.0.1:{self.links[link].port}/0"

    def _environments(self, folder: Path) -> dict[str, dict[str, str]]:
        exchanges = {venue: f"http://127.0.0.1:{self.links[venue].port}" for venue in VENUES}
        brisk = (_PATCHES / "brisk.py",) if self._how.brisk else ()
        python = {
            "PYTHONPATH": str(_PATCHES),
            "CHAOS_PATCHES": ":".join(map(str, (*brisk, *self._how.patches))),
        }
        out = {}
        for role in ("worker", "aligner"):
            settings = Settings(redis_url=self._url(f"{role}s-bus"), urls=exchanges, home=folder, log="json")
            out[role] = child_environment(settings) | python | self._preload.environment(role)
        return out

    def quiesce(self, timeout_s: float) -> str:
        """Ask for nothing new, and wait until all that was asked is there and aligned; what is missing at the end."""
        self.traffic.more(yes=False)
        self.traffic.forget_done()
        asked = list(self.traffic.asked.values())
        rows = {group.name: expected_rows(self.truth, group, asked) for group in self.groups}
        last_ms = {name: expected[-1].open_time if expected else 0 for name, expected in rows.items()}
        begun_at, is_told = time.monotonic(), False
        while (missing := self._missing(last_ms)) and time.monotonic() < begun_at + timeout_s:
            time.sleep(_LOOK_S)
            if not is_told and time.monotonic() > begun_at + _SLOW_S:
                self.fleet.tell_stacks()
                is_told = True
        if is_told:  # the log of an epoch goes with it
            shutil.copy(self.folder / "fleet.log", f"{self.folder}-slow-{len(self.traffic.asked)}.log")
        return missing

    def _missing(self, last_ms: dict[str, int]) -> str:
        """What is not there yet, given the last row of every group."""
        try:
            if waiting := self.traffic.open():
                status = self.traffic.status(waiting[0])
                return f"{len(waiting)} requests have not ended, such as {waiting[0].request_id}: {status}"
            for name, expected_ms in last_ms.items():
                newest: Any = self.server.control.xrevrange(keys.aligned(name), count=1)
                written_ms = int(newest[0][0].partition(b"-")[0]) if newest else 0
                if written_ms < expected_ms:
                    return f"group {name} has rows up to {written_ms}, not to {expected_ms}"
        except RedisError as error:
            return f"the server does not answer: {error}"
        return ""

    def close(self) -> None:
        """End everything that was started."""
        self.traffic.stop()
        self.fleet.stop()
        self.sandbox.stop()
        for link in self.links.values():
            link.stop()
        self.server.stop()
        self._log.close()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
