"""What the suites of the original integration share: stand-ins and clients on one clock, which jumps."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from bus.settings import Settings
from candlebus import CcxtClient
from candlebus.sandbox import Listing, Sandbox
from workers.client_pace import SteadyClock

BTC, ETH, VST = "BTC/USDT:USDT", "ETH/USDT:USDT", "VST/USDT:USDT"
#: 2026-01-17 12:34:20.789 UTC, far enough from the next candle for all that a test waits.
NOW_MS = 1_768_653_260_789
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

VST_LISTING = Listing(
    venue="bingx",
    native_id="VST-USDT",
    symbol=VST,
    asset="VST",
    anchor=1.0,
    price_decimals=4,
    volume_decimals=2,
    status=1,
)


class JumpingClock:
    """Time that passes when somebody waits, and at once."""

    def __init__(self) -> None:
        self._ms = float(NOW_MS)
        self._lock = threading.Lock()
        self.slept_s: list[float] = []
        self.asked_ms: list[int] = []

    def now_ms(self) -> int:
        return int(self._ms)

    def jump(self, ms: float) -> None:
        with self._lock:
            self._ms += ms

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.jump(seconds * 1000)

    def stand_ins_now_ms(self) -> int:
        """The same for the stand-ins, which look at it once for every request."""
        self.asked_ms.append(self.now_ms())
        return self.now_ms()

    def steady(self) -> SteadyClock:
        return SteadyClock(self.now_ms, lambda: self._ms / 1000, self.sleep)


class StandIns:
    """Both exchanges and clients of them, all at one time."""

    def __init__(self, sandbox: Sandbox, clock: JumpingClock, open_clients: ExitStack) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self._open = open_clients

    def client(self, venue: str) -> CcxtClient:
        """A new client that has asked nothing yet, at the conservative pace."""
        settings = Settings(pace="conservative", urls=self.sandbox.urls)
        return self._open.enter_context(CcxtClient(venue, settings=settings, clock=self.clock.steady()))

    def clients(self) -> dict[str, CcxtClient]:
        return {venue: self.client(venue) for venue in self.sandbox.urls}

    def requests(self, venue: str, path: str | None = None) -> int:
        """How many requests have arrived, of all paths or of one."""
        stats = self.sandbox.stats(venue)
        return stats.requests if path is None else stats.by_path.get(path, 0)

    def truth(self, venue: str, symbol: str, timeframe: str, since_ms: float, until_ms: float) -> list[list[float]]:
        """The closed candles that open in ``[since_ms, until_ms)``, as rows."""
        found = self.sandbox.truth(venue, symbol, timeframe, int(since_ms), int(until_ms))
        return [list(candle) for candle in found]


@contextmanager
def stand_ins(**options: Any) -> Iterator[StandIns]:
    """Stand-ins with these options of the sandbox, and the clients made of them, closed at the end."""
    clock = JumpingClock()
    with Sandbox(clock=clock.stand_ins_now_ms, **options) as sandbox, ExitStack() as open_clients:
        yield StandIns(sandbox, clock, open_clients)
