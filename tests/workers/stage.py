"""What tests of the client without a bus share."""

from collections.abc import Callable
from typing import Any

from candlebus import CcxtClient
from candlebus.sandbox import Sandbox
from tests.workers.exchange_fakes import FakeTime

BTC = "BTC/USDT:USDT"
EXCHANGES = ["bingx", "kucoinfutures"]
NATIVE = {"bingx": "BTC-USDT", "kucoinfutures": "XBTUSDTM"}
BEGAN_MS = 1_764_601_234_567  # 2025-12-01, seconds into a minute
MINUTE_MS = 60_000
Opened = Callable[..., CcxtClient]


class Stage:
    """Stand-ins whose clock is moved by the sleep of their only client."""

    def __init__(self, sandbox: Sandbox, time: FakeTime) -> None:
        self.sandbox = sandbox
        self.time = time

    def plan(self, **given: Any) -> None:
        self.sandbox.plan(**given)

    def requests(self, name: str) -> dict[str, int]:
        return {path.rpartition("/")[2]: count for path, count in self.sandbox.stats(name).by_path.items()}

    def truth(self, name: str, timeframe: str, since_ms: int, until_ms: int | None = None) -> list[list[float]]:
        return [list(candle) for candle in self.sandbox.truth(name, BTC, timeframe, since_ms, until_ms)]
