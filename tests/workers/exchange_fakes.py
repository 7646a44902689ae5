"""An exchange's answers without an exchange: canned ones, and a venue that serves what it is told to have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bus.messages import Candle, Contract
from bus.timeframes import TIMEFRAMES, Timeframe
from workers.exchanges.base import Facts, Limit, Page, Ticker, Weights
from workers.http import Response

MINUTE = TIMEFRAMES["1m"]
#: An open time of every timeframe, in 2025.
START = 1_735_689_600_000
BTC = Contract(symbol="BTC/USDT:USDT", native_id="BTC-USDT")
XBT = Contract(symbol="BTC/USDT:USDT", native_id="XBTUSDTM", multiplier=0.001, multiplier_decimals=3)


def response(body: Any, status: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def recorded_body(recorded: Path, name: str) -> Any:
    return json.loads((recorded / "recorded" / name).read_text())["body"]


class FakeHttp:
    """Answers every request with the same response, and remembers what it was asked."""

    def __init__(self, body: Any = b"", status: int = 200, **headers: str) -> None:
        self.response = body if isinstance(body, Response) else response(body, status, **headers)
        self.asked: list[tuple[str, dict[str, Any], int]] = []

    def get(self, path: str, params: dict[str, Any], *, weight: int) -> Response:
        self.asked.append((path, dict(params), weight))
        return self.response


def candle(open_time: int, price: float = 10.0) -> Candle:
    return Candle(open_time, price, price, price, price, 1.0)


class Venue:
    """Serves the candles it has, through an ``answer`` that may spoil them."""

    def __init__(self, open_times: Any = (), hole_reason: Any = "no_trades", page_rows: int = 100) -> None:
        self.facts = Facts(
            name="venue",
            base_url="http://venue",
            timeframes={name: name for name in TIMEFRAMES},
            page_rows=page_rows,
            limits=(Limit(1, 1),),
            weights=Weights(),
            volume_unit="base",
            hole_reason=hole_reason,
        )
        self.has = {open_time: candle(open_time) for open_time in open_times}
        self.asked: list[tuple[int, int]] = []
        self.answer: Callable[[list[Candle], int], list[Candle]] = lambda candles, number: candles

    def candles(self, http: Any, contract: Contract, timeframe: Timeframe, since_ms: int, until_ms: int) -> Page:
        self.asked.append((since_ms, until_ms))
        within = [self.has[slot] for slot in timeframe.open_times(since_ms, until_ms) if slot in self.has]
        return Page(candles=self.answer(within, len(self.asked)), long_decimals=1)

    def server_time(self, http: Any) -> int:
        raise AssertionError("not asked here")

    def contracts(self, http: Any) -> dict[str, Contract]:
        raise AssertionError("not asked here")

    def ticker(self, http: Any, contract: Contract) -> Ticker:
        raise AssertionError("not asked here")


class FakeTime:
    """Seconds that pass only while somebody sleeps; also the clock of a stand-in exchange."""

    def __init__(self, began_ms: int = START + 1_234_567) -> None:
        self.began_ms = began_ms
        self.passed_s = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        self.slept.append(seconds)

    def now_ms(self) -> int:
        return self.began_ms + round(self.passed_s * 1000)
