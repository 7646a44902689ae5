"""The demo: the whole way on one machine, over stand-in exchanges, checked against what they served."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bus.alignment import AlignedRow, align_candles
from bus.clock import SystemClock
from bus.codec import rows_of
from bus.embedded import EmbeddedServer
from bus.errors import BusError
from bus.groups import GroupBook
from bus.instants import duration
from bus.settings import Settings, child_environment
from bus.timeframes import SETTLE_MS, TIMEFRAMES
from candlebus.candle_bus import CandleBus
from candlebus.output.tables import row_table, show, table_of
from candlebus.progress import Progress
from candlebus.sandbox import Sandbox
from producers.result import FetchResult
from workers.supervisor import Supervisor

_FIRST_LINE: Final = "The exchanges of this demo are stand-ins on this machine: made-up candles, no network."
_VENUES: Final = ("bingx", "kucoinfutures")
_COINS: Final = ("BTC", "ETH")
_TIMEFRAME: Final = TIMEFRAMES["30m"]
_CANDLES: Final = 1_000
_WORKERS: Final = 2
_TOLERANCE_MS: Final = 60_000
_ROWS_WITHIN_S: Final = 20.0
_GRACE_S: Final = 5.0


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo brought."""

    result: FetchResult
    rows: dict[str, list[AlignedRow]]
    since_ms: int
    until_ms: int
    seconds: float


def run_demo() -> int:
    """Run it and show it; 1 when a candle or a row is not what it should be."""
    sys.stdout.write(f"{_FIRST_LINE}\n")
    sys.stdout.flush()
    with Sandbox(venues=_VENUES) as sandbox, _bus(sandbox) as bus:
        shown = _brought(bus)
        troubles = [*_wrong_candles(sandbox, shown), *_wrong_rows(shown), *_refused(sandbox)]
        _show(sandbox, shown)
    for trouble in troubles:
        sys.stderr.write(f"candlebus: demo: {trouble}\n")
    return 1 if troubles else 0


@contextmanager
def _bus(sandbox: Sandbox) -> Iterator[CandleBus]:
    """A server, two workers an exchange and an aligner, whose only exchanges are the stand-ins."""
    with tempfile.TemporaryDirectory(prefix="candlebus-demo-") as home, EmbeddedServer() as server:
        settings = Settings(redis_url=server.url, urls=sandbox.urls, home=Path(home))
        with (Path(home) / "log").open("wb") as log:
            supervisor = Supervisor(child_environment(settings), output=log.fileno(), grace_s=_GRACE_S)
            try:
                for venue in _VENUES:
                    supervisor.add("worker", venue, processes=_WORKERS)
                supervisor.add("aligner")
                with CandleBus(server.url) as bus:
                    yield bus
            finally:
                supervisor.stop()


def _brought(bus: CandleBus) -> _Shown:
    until_ms = _TIMEFRAME.floor(SystemClock().now_ms() - SETTLE_MS)
    since_ms = until_ms - _CANDLES * _TIMEFRAME.duration_ms
    book = GroupBook(bus.redis)
    for coin in _COINS:
        book.add(_group(coin), _series(coin), _TIMEFRAME.name, start_ms=since_ms, tolerance_ms=_TOLERANCE_MS)
    begun_at = time.monotonic()
    with Progress(_TIMEFRAME) as progress:
        asked = [name for coin in _COINS for name in _series(coin)]
        result = bus.fetch(asked, _TIMEFRAME.name, since=since_ms, until=until_ms, on_progress=progress)
    rows = {coin: _aligned(bus, coin, len(_expected(result, coin))) for coin in _COINS}
    seconds = time.monotonic() - begun_at
    return _Shown(result=result, rows=rows, since_ms=since_ms, until_ms=until_ms, seconds=seconds)


def _aligned(bus: CandleBus, coin: str, expected: int) -> list[AlignedRow]:
    """The rows that the aligner has written, once they are as many as expected."""
    rows: list[AlignedRow] = []
    deadline = time.monotonic() + _ROWS_WITHIN_S
    for batch in bus.subscribe_aligned(_group(coin), start="start", idle=True):
        rows += [] if batch is None else map(AlignedRow.of, rows_of(batch))
        if len(rows) >= expected:
            return rows
        if time.monotonic() > deadline:
            raise BusError(
                f"the aligner wrote {len(rows)} rows of {coin} within {_ROWS_WITHIN_S:.0f} s, not {expected}"
            )
    return rows


def _expected(result: FetchResult, coin: str) -> list[AlignedRow]:
    """The rows of the batch alignment."""
    candles = {name: result.candles[name] for name in _series(coin)}
    return align_candles(candles, _TOLERANCE_MS, _TIMEFRAME.duration_ms)


def _wrong_candles(sandbox: Sandbox, shown: _Shown) -> Iterator[str]:
    for name, candles in shown.result.candles.items():
        venue, _, symbol = name.partition(":")
        truth = sandbox.truth(venue, symbol, _TIMEFRAME.name, shown.since_ms, shown.until_ms)
        if candles != truth:
            yield f"{name}: {len(candles)} candles arrived, which are not the {len(truth)} that the exchange has"
        if len(candles) + _missing(shown.result, name) != _CANDLES:
            yield f"{name}: candles and gaps do not fill {_CANDLES} open times"


def _wrong_rows(shown: _Shown) -> Iterator[str]:
    for coin, rows in shown.rows.items():
        if rows != _expected(shown.result, coin):
            yield f"{coin}: the aligner's {len(rows)} rows are not those of the batch alignment"


def _refused(sandbox: Sandbox) -> Iterator[str]:
    for venue in _VENUES:
        if refusals := sandbox.stats(venue).refusals:
            yield f"{venue} refused {refusals} requests"


def _show(sandbox: Sandbox, shown: _Shown) -> None:
    for coin, rows in shown.rows.items():
        show(sys.stdout, row_table(f"{coin} {_TIMEFRAME.name}, aligned", rows, _series(coin)))
    show(sys.stdout, table_of("", ["exchange", "candles", "requests", "refusals", "gaps"], _counts(sandbox, shown)))
    sys.stdout.write(
        f"{sum(map(len, shown.result.candles.values())):,} candles, each as the exchange has it, and "
        f"{sum(map(len, shown.rows.values())):,} aligned rows in {duration(shown.seconds)}\n"
    )


def _counts(sandbox: Sandbox, shown: _Shown) -> list[list[str]]:
    """One line an exchange; requests and refusals by its own count."""
    lines = []
    for venue in _VENUES:
        stats, names = sandbox.stats(venue), [f"{venue}:{_symbol(coin)}" for coin in _COINS]
        candles = sum(len(shown.result.candles[name]) for name in names)
        gaps = sum(len(shown.result.gaps[name]) for name in names)
        lines.append([venue, f"{candles:,}", str(stats.requests), str(stats.refusals), str(gaps)])
    return lines


def _missing(result: FetchResult, name: str) -> int:
    return sum(_TIMEFRAME.slots(gap.from_ms, gap.to_ms) for gap in result.gaps[name])


def _series(coin: str) -> list[str]:
    return [f"{venue}:{_symbol(coin)}" for venue in _VENUES]


def _symbol(coin: str) -> str:
    return f"{coin}/USDT:USDT"


def _group(coin: str) -> str:
    return f"demo-{coin.lower()}"
