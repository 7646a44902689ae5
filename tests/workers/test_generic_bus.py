"""Workers of ccxt's venues over the bus: recorded candles asked for, published and collected, refusals waited out."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from bus import keys
from bus.connection import connect
from bus.messages import Candle
from bus.settings import Settings
from bus.timeframes import timeframe
from producers.client import Pending, Producer
from producers.collect import Collector
from tests.workers.ccxt_stand_ins import Answer, Binance, Bybit, Okx, StandIn, lean, made_up, month, served
from tests.workers.exchange_fakes import START
from workers.desk import Desk
from workers.jobs import Jobs
from workers.worker import ExchangeWorker

BTC = "BTC/USDT:USDT"
Serve = Callable[[StandIn], StandIn]
Open = Callable[[str, StandIn], Desk]
Work = Callable[[str, StandIn], None]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def serve(stack: ExitStack) -> Serve:
    return lambda venue: stack.enter_context(served(venue))


@pytest.fixture
def desk_of(redis: Redis, stack: ExitStack) -> Open:
    def start(name: str, venue: StandIn) -> Desk:
        desk = Desk(name, redis, Settings(pace="full", urls={name: venue.url}))
        stack.callback(desk.close)
        return desk

    return start


@pytest.fixture
def work(redis: Redis, server: str, stack: ExitStack, desk_of: Open) -> Work:
    """Runs the queue of an exchange until it is empty."""

    def run(name: str, venue: StandIn) -> None:
        rq_connection = connect(server)
        stack.callback(rq_connection.close)
        ExchangeWorker(desk_of(name, venue), redis, rq_connection).work(burst=True, logging_level="ERROR")

    return run


def collected(pending: Pending) -> Collector:
    pending.collector.advance()
    return pending.collector


def after(candles: list[Candle], name: str) -> int:
    return candles[-1].open_time + timeframe(name).duration_ms


def test_a_worker_for_okx_brings_a_recorded_day(redis: Redis, serve: Serve, work: Work, recorded: Path) -> None:
    candles = lean(recorded / "lean_20221213/perp_binance_adausdt_1m.csv")
    venue = serve(Okx({("ADA-USDT-SWAP", "1m"): candles}, after(candles, "1m") + 30_000))
    pending = Producer(redis).enqueue("okx:ADA/USDT:USDT", "1m", limit=700)
    work("okx", venue)
    done = pending.status()
    assert (done.state, done.pages, done.gap_slots) == ("done", 3, 0)
    assert collected(pending).candles() == candles[-700:]
    assert {batch.volume_unit for batch in collected(pending).batches} == {"base"}


def test_a_worker_for_bybit_brings_a_recorded_half_day(redis: Redis, serve: Serve, work: Work, recorded: Path) -> None:
    candles = lean(recorded / "lean_20221213/perp_bybit_btcusdt_1m.csv")
    # The clock stands in the last minute, whose candle is still open.
    venue = serve(Bybit({("BTCUSDT", "1m"): candles}, candles[-1].open_time + 30_000))
    pending = Producer(redis).enqueue(f"bybit:{BTC}", "1m", since=candles[0].open_time)
    work("bybit", venue)
    assert (pending.status().state, pending.status().pages) == ("done", 1)
    assert collected(pending).candles() == candles[:-1] == venue.closed("BTCUSDT", "1m")
    assert collected(pending).gaps() == []


def test_a_worker_for_binance_brings_a_recorded_month(redis: Redis, serve: Serve, work: Work, recorded: Path) -> None:
    candles = month(recorded / "binance_futures/ETHUSDT_15m_30d.json")
    venue = serve(Binance({("ETHUSDT", "15m"): candles}, after(candles, "15m") + 30_000))
    pending = Producer(redis).enqueue("binanceusdm:ETH/USDT:USDT", "15m", limit=2_880)
    work("binanceusdm", venue)
    assert (pending.status().state, pending.status().pages) == ("done", 6)
    assert collected(pending).candles() == candles


def test_a_hole_crosses_the_bus_with_its_name(redis: Redis, serve: Serve, work: Work) -> None:
    candles = made_up(START, 300, without=[7, 8])
    venue = serve(Okx({("BTC-USDT-SWAP", "1m"): candles}, after(candles, "1m") + 30_000))
    pending = Producer(redis).enqueue(f"okx:{BTC}", "1m", limit=300)
    work("okx", venue)
    assert collected(pending).candles() == candles
    assert collected(pending).gaps() == [(START + 7 * 60_000, START + 9 * 60_000, "unavailable")]


def test_a_refusal_pauses_the_venue_for_everybody_and_the_request_waits(
    redis: Redis, serve: Serve, work: Work, desk_of: Open
) -> None:
    candles = made_up(START, 60)
    venue = serve(Okx({("BTC-USDT-SWAP", "1m"): candles}, after(candles, "1m") + 30_000))
    venue.instead = [("candles", Answer(429, {"code": "50011", "msg": "Too Many Requests"}, retry_after="40"))]
    pending = Producer(redis).enqueue(f"okx:{BTC}", "1m", limit=10)
    desk, other = desk_of("okx", venue), desk_of("okx", venue)
    jobs = Jobs(redis, desk, "w", job_id=lambda: f"{pending.id}-t1", should_stop=lambda: False)
    jobs.fetch_candles(request_id=pending.id, exchange="okx", symbol=BTC, timeframe="1m", limit=10)
    assert 39_000 < other.limiter.paused_ms() <= 40_000
    assert (pending.status().state, pending.status().refusals) == ("queued", 1)
    redis.delete(keys.pause("okx", "default"))
    work("okx", venue)
    assert collected(pending).candles() == candles[-10:]


@pytest.mark.parametrize(
    ("name", "series", "frame", "complaint"),
    [
        ("okx", "okx:BTCX/USDT:USDT", "1m", "okx lists no BTCX/USDT:USDT; did you mean okx:BTC/USDT:USDT?"),
        ("okx", f"okx:{BTC}", "8h", "okx has no 8h candles; it has: 1m 3m"),
    ],
)
def test_what_the_venue_lacks_fails_with_what_to_do(
    redis: Redis, serve: Serve, work: Work, name: str, series: str, frame: str, complaint: str
) -> None:
    candles = made_up(START, 60)
    venue = serve(Okx({("BTC-USDT-SWAP", "1m"): candles}, after(candles, "1m") + 30_000))
    pending = Producer(redis).enqueue(series, frame, limit=1)
    work(name, venue)
    assert complaint in str(pending.status().error)
