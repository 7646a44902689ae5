"""The metrics, scraped over HTTP from a real bus after real work, and read as Prometheus reads them."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from bus import keys
from bus.codec import encode
from bus.connection import connect
from bus.counters import counts_of
from bus.embedded import EmbeddedServer
from bus.groups import GroupBook
from bus.messages import DeadLetter
from bus.settings import Settings
from candlebus.metrics.exporter import Exporter
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.candlebus.conftest import Run
from workers.desk import Desk
from workers.worker import ExchangeWorker

BTC = "bingx:BTC/USDT:USDT"
PAGE = Path(__file__).parents[2] / "docs/operations.md"


class Scrape:
    """What one scrape told."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        self.families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}
        samples = [sample for family in self.families.values() for sample in family.samples]
        self._values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
        assert len(self._values) == len(samples), "a sample came twice"

    def value(self, name: str, **labels: str) -> float:
        return self._values[f"candlebus_{name}", frozenset(labels.items())]


@pytest.fixture
def exporter(redis: Redis) -> Iterator[Exporter]:
    with Exporter(redis, "127.0.0.1", 0) as serving:
        yield serving


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(venues=["bingx"]) as stand_in:
        yield stand_in


@pytest.fixture
def work(redis: Redis, server: str, sandbox: Sandbox) -> Iterator[Desk]:
    """A desk; its worker empties the queue of BingX each time that the test calls ``empty_queue``."""
    desk = Desk("bingx", redis, Settings(pace="full", urls=sandbox.urls))
    yield desk
    desk.close()


def empty_queue(redis: Redis, server: str, desk: Desk) -> None:
    with connect(server) as rq_connection:
        ExchangeWorker(desk, redis, rq_connection).work(burst=True, logging_level="ERROR")


def test_work_is_counted_as_the_exchange_saw_it(
    redis: Redis, server: str, sandbox: Sandbox, work: Desk, exporter: Exporter
) -> None:
    sandbox.plan("bingx", faults="candles#2=http_503")
    done = Producer(redis).enqueue(BTC, "1m", limit=3 * 1440)
    Producer(redis).enqueue("bingx:NOSUCH/USDT:USDT", "1m", limit=10)
    waiting = Scrape(exporter.port)
    assert waiting.value("queue_length", exchange="bingx") == 2
    assert waiting.value("open_requests", exchange="bingx") == 2
    assert waiting.value("workers", exchange="bingx") == 0
    empty_queue(redis, server, work)
    told, status = Scrape(exporter.port), done.status()
    assert told.value("up") == 1
    assert told.value("queue_length", exchange="bingx") == 0
    assert told.value("requests_total", exchange="bingx") == sandbox.stats("bingx").requests
    assert told.value("failures_total", exchange="bingx") == 1
    assert told.value("retries_total", exchange="bingx") == 1
    assert told.value("refusals_total", exchange="bingx") == 0
    assert told.value("pages_total", exchange="bingx") == 3
    assert told.value("candles_total", exchange="bingx") == status.candles
    assert told.value("gap_slots_total", exchange="bingx", reason="unavailable") == status.gap_slots
    assert told.value("turns_total", exchange="bingx", outcome="done") == 1
    assert told.value("turns_total", exchange="bingx", outcome="failed") == 1
    assert told.value("turn_seconds_count", exchange="bingx") == 2
    assert told.value("turn_seconds_bucket", exchange="bingx", le="300.0") == 2
    assert 0 < told.value("turn_seconds_sum", exchange="bingx") < 300
    assert 0 < told.value("budget_share", exchange="bingx", egress="default") <= 1
    assert told.value("breaker_open", exchange="bingx", egress="default") == 0
    assert told.value("stream_fill", exchange="bingx") == 3 / keys.STREAM_HIGH_WATER
    assert told.value("requests_total", exchange="kucoinfutures") == 0


def test_a_refusal_shows_as_a_count_and_a_pause(
    redis: Redis, server: str, sandbox: Sandbox, work: Desk, exporter: Exporter
) -> None:
    work.limiter.pause(60_000, "HTTP 429", refusals=1)
    told = Scrape(exporter.port)
    assert told.value("refusals_total", exchange="bingx") == 1
    assert 50 < told.value("pause_seconds", exchange="bingx", egress="default") <= 60


def test_lag_of_the_schedule_and_of_groups_and_dead_letters_are_told(redis: Redis, exporter: Exporter) -> None:
    redis.zadd(keys.schedule(), {"bingx:1m:BTC/USDT:USDT": 0, "bingx:soon:X": 0})
    GroupBook(redis).add("pair", [BTC, "kucoinfutures:BTC/USDT:USDT"], "1m", tolerance_ms=60_000, start_ms=0)
    stream = keys.candles("bingx", "1m", "BTC/USDT:USDT")
    redis.sadd(keys.streams(), stream)
    letter = DeadLetter(stream=stream, entry_id="1-1", reason="of no layout that is known", body=b"?")
    redis.xadd(keys.dead(stream), {"b": encode(letter)})
    told = Scrape(exporter.port)
    behind = told.value("schedule_behind_seconds", exchange="bingx", timeframe="1m", symbol="BTC/USDT:USDT")
    assert behind > 50 * 365 * 86_400
    assert told.value("group_lag_seconds", group="pair", series=BTC) == 0
    assert told.value("group_held", group="pair") == 0
    assert told.value("group_rows_total", group="pair") == 0
    assert told.value("group_late_total", group="pair", series=BTC) == 0
    assert told.value("group_corrections_total", group="pair", series=BTC) == 0
    assert told.value("dead_letters", stream=stream) == 1


def test_a_series_whose_last_closed_candle_has_arrived_is_not_behind(redis: Redis, exporter: Exporter) -> None:
    seconds, _ = redis.time()
    redis.zadd(keys.schedule(), {"bingx:1h:ETH/USDT:USDT": (seconds + 60) // 3600 * 3_600_000})
    labels = {"exchange": "bingx", "timeframe": "1h", "symbol": "ETH/USDT:USDT"}
    assert Scrape(exporter.port).value("schedule_behind_seconds", **labels) == 0


def test_a_server_that_is_away_is_told_and_nothing_else() -> None:
    with EmbeddedServer() as server:
        redis = connect(server.url)
        exporter = Exporter(redis, "127.0.0.1", 0)
        assert Scrape(exporter.port).value("up") == 1
    with exporter, redis:
        away = Scrape(exporter.port)
    assert list(away.families) == ["candlebus_up"]
    assert away.value("up") == 0


def test_counts_survive_what_stands_among_them(redis: Redis, exporter: Exporter) -> None:
    redis.hset(keys.counters("bingx"), mapping={"requests": 7, "pages": "many", b"\xff": 1, "candles": "-3"})
    assert (counts_of(redis, "bingx").requests, counts_of(redis, "bingx").pages) == (7, 0)
    redis.set(keys.counters("kucoinfutures"), "no hash")
    assert Scrape(exporter.port).value("requests_total", exchange="kucoinfutures") == 0


def test_every_metric_stands_on_the_page_and_no_other(redis: Redis, exporter: Exporter) -> None:
    lines = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| `candlebus_")]
    named = [name.strip("`").partition("{")[0].removesuffix("_total") for name in lines]
    assert sorted(named) == sorted(Scrape(exporter.port).families)


def test_alerts_are_made_of_metrics_that_there_are(redis: Redis, exporter: Exporter) -> None:
    alerts = PAGE.read_text().partition("## Alerts")[2]
    named = {name.removesuffix("_total") for name in re.findall(r"candlebus_\w+", alerts)}
    assert named <= set(Scrape(exporter.port).families)
    assert len(named) >= 10


def test_an_address_that_is_taken_is_one_line(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)
    with connect(server) as redis, Exporter(redis, "127.0.0.1", 0) as taken:
        code, out, err = run("metrics", "--port", str(taken.port))
    assert (code, out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{taken.port}: Address already in use" in err
