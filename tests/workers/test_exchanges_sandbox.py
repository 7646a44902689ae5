"""The adapters, the HTTP client and the paging against stand-in exchanges over real HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from bus.errors import RateLimited
from bus.timeframes import TIMEFRAMES
from candlebus.sandbox import Sandbox
from workers.exchange_time import measure
from workers.exchanges import registry
from workers.http import HttpClient
from workers.paging import settle_page
from workers.windows import closed_until, page_end

EXCHANGES = registry.names()
SYMBOL = "BTC/USDT:USDT"
LOST = {"bingx": "unavailable", "kucoinfutures": "no_trades"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limit="off", omission_rate=0.02) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _no_faults(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.plan(faults="", limit="off")


def pages(sandbox: Sandbox, name: str, http: HttpClient, timeframe: str, slots: int, sleep: Any = None) -> list[Any]:
    exchange, frame = registry.get(name), TIMEFRAMES[timeframe]
    contract = exchange.contracts(http)[SYMBOL]
    until = closed_until(sandbox.now_ms(name), frame, 3_000)
    at, out = until - slots * frame.duration_ms, []
    while at < until:
        end = page_end(at, until, frame, exchange.facts.page_rows)
        out.append(settle_page(exchange, http, contract, frame, at, end, sleep=sleep or (lambda _: None)))
        at = end
    return out


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("timeframe", ["1m", "30m", "1d"])
def test_every_candle_arrives_and_every_gap_is_named(sandbox: Sandbox, name: str, timeframe: str) -> None:
    slots = 200 if timeframe == "1d" else 3_000
    with HttpClient(name, sandbox.url(name), lambda _: None) as http:
        settled = pages(sandbox, name, http, timeframe, slots)
    since, until = settled[0].since_ms, settled[-1].until_ms
    candles = [candle for page in settled for candle in page.candles]
    assert candles == sandbox.truth(name, SYMBOL, timeframe, since, until)
    frame = TIMEFRAMES[timeframe]
    absent = {slot for page in settled for gap in page.gaps for slot in frame.open_times(gap.from_ms, gap.to_ms)}
    assert absent == set(frame.open_times(since, until)) - {candle.open_time for candle in candles}
    assert {gap.reason for page in settled for gap in page.gaps} <= {LOST[name]}


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_exchanges_clock_is_found(sandbox: Sandbox, name: str) -> None:
    with HttpClient(name, sandbox.url(name), lambda _: None) as http:
        offset = measure(registry.get(name), http, lambda: sandbox.now_ms(name) - 3_000)
    assert offset.low_ms <= 3_000 <= offset.high_ms


@pytest.mark.parametrize("name", EXCHANGES)
def test_all_contracts_are_found(sandbox: Sandbox, name: str) -> None:
    with HttpClient(name, sandbox.url(name), lambda _: None) as http:
        exchange = registry.get(name)
        contracts = exchange.contracts(http)
        assert set(contracts) == {symbol for symbol in sandbox.symbols(name) if symbol.endswith("/USDT:USDT")}
        assert exchange.ticker(http, contracts[SYMBOL]).last > 0


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("fault", ["http_500", "html", "truncated", "drop", "busy", "empty_body"])
def test_a_fault_that_passes_leaves_no_trace(sandbox: Sandbox, name: str, fault: str) -> None:
    sandbox.plan(name, faults=f"candles#1-2={fault},candles#4={fault}")
    assert_complete(sandbox, name)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("fault", ["empty_page", "short_page"])
def test_a_page_that_lacks_candles_once_is_completed(sandbox: Sandbox, name: str, fault: str) -> None:
    sandbox.plan(name, faults=f"{fault}=1")
    assert_complete(sandbox, name)


def assert_complete(sandbox: Sandbox, name: str) -> None:
    with HttpClient(name, sandbox.url(name), lambda _: None) as http:
        settled = pages(sandbox, name, http, "5m", 600)
    candles = [candle for page in settled for candle in page.candles]
    assert candles == sandbox.truth(name, SYMBOL, "5m", settled[0].since_ms, settled[-1].until_ms)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("fault", ["http_429", "http_418", "code_1015"])
def test_a_refusal_for_the_rate_says_how_long(sandbox: Sandbox, name: str, fault: str) -> None:
    sandbox.plan(name, faults=f"any#1={fault}")
    with HttpClient(name, sandbox.url(name), lambda _: None) as http:
        with pytest.raises(RateLimited) as caught:
            registry.get(name).server_time(http)
        assert registry.get(name).server_time(http) > 0
    # A block that ends at an instant is measured from the Date header, which is up to a second old.
    assert caught.value.pause_ms == 30_000 if fault == "code_1015" else 1_000 <= caught.value.pause_ms <= 2_000
