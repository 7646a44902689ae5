"""``status``, ``contracts``, ``exchanges``, ``group`` and ``watch``: what they show of a bus."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from bus import keys
from bus.codec import encode, rows_of
from bus.messages import AlignedBatch, ContractMap
from bus.streams import follow_aligned
from candlebus.commands import watching
from candlebus.sandbox import Sandbox
from producers.alive import served_here
from producers.client import Producer, workers_of
from tests.candlebus.conftest import Run, RunningBus

BINGX, KUCOIN = "bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"


def test_exchanges_tell_their_limits_by_pace(run: Run) -> None:
    code, out, err = run("exchanges")
    lines = [json.loads(line) for line in out.splitlines()]
    by_name = {line["exchange"]: line for line in lines}
    assert list(by_name) == ["bingx", "kucoinfutures"]
    assert by_name["bingx"]["page_rows"] == 1440
    assert by_name["kucoinfutures"]["candle_requests_per_s"]["conservative"] == pytest.approx(1 / 0.7, abs=0.001)
    assert code == 0
    assert {"okx", "bybit", "binanceusdm"} <= set(err.removeprefix("candlebus: through ccxt also: ").split())


def test_contracts_come_over_the_bus_and_a_worker_fetches_them_when_missing(run: Run, on_bus: RunningBus) -> None:
    on_bus.redis.delete(keys.contracts("bingx"))
    asked = on_bus.sandbox.stats("bingx").requests
    first, second = run("contracts", "bingx"), run("contracts", "bingx")
    lines = [json.loads(line) for line in first.out.splitlines()]
    assert first == second
    assert [line["symbol"] for line in lines] == sorted(line["symbol"] for line in lines)
    assert {"symbol": "BTC/USDT:USDT", "native_id": "BTC-USDT"}.items() <= lines[3].items()
    assert on_bus.sandbox.stats("bingx").requests == asked + 1


def test_contracts_without_a_bus_are_one_question(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(venues=["kucoinfutures"]) as sandbox:
        monkeypatch.setenv("CANDLEBUS_URL_KUCOINFUTURES", sandbox.url("kucoinfutures"))
        code, out, err = run("contracts", "kucoinfutures", "BTC/USDT:USDT")
        assert sandbox.stats("kucoinfutures").requests == 1
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "exchange": "kucoinfutures",
        "symbol": "BTC/USDT:USDT",
        "native_id": "XBTUSDTM",
        "listed": 1_585_555_200_000,
        "multiplier": 0.001,
        "open": True,
    }


def test_status_counts_workers_and_finds_them_missing(run: Run, on_bus: RunningBus) -> None:
    deadline = time.monotonic() + 10
    while (status := json.loads(run("status", "--json").out))["exchanges"]["bingx"]["workers"] < 1:
        assert time.monotonic() < deadline
    assert status["exchanges"]["bingx"]["queued"] == 0
    assert run("status", "--check").code == 0


def test_a_worker_that_was_killed_counts_only_until_its_heartbeat_is_overdue(redis: Redis) -> None:
    redis.sadd("rq:workers:fetch.bingx", "rq:worker:killed", "rq:worker:alive")
    redis.hset("rq:worker:alive", "hostname", "here")
    assert workers_of(redis, "bingx") == 1


def test_alive_is_the_exit_code_of_a_health_check(run: Run, on_bus: RunningBus) -> None:
    assert run("alive") == (0, "", "")
    assert run("alive", "worker", "bingx", "kucoinfutures") == (0, "", "")
    assert run("alive", "aligner") == (0, "", "")
    code, _, err = run("alive", "worker", "bingx", "okx")
    assert (code, err) == (1, "candlebus: no worker okx of this host serves the bus\n")
    assert run("alive", "schedule").code == 1


def test_processes_of_other_hosts_do_not_count(on_bus: RunningBus) -> None:
    assert served_here(on_bus.redis, "worker", "bingx") == 1
    assert served_here(on_bus.redis, "worker", "bingx", host="elsewhere") == 0
    assert served_here(on_bus.redis, "aligner") == 1
    assert served_here(on_bus.redis, "aligner", host="elsewhere") == 0


def test_status_shows_an_exchange_through_ccxt_that_somebody_asks(
    run: Run, redis: Redis, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)
    Producer(redis).enqueue("okx:BTC/USDT:USDT", "1h", limit=1)
    assert json.loads(run("status", "--json").out)["exchanges"]["okx"]["queued"] == 1
    code, _, err = run("status", "--check")
    assert code == 1
    assert "start one with: candlebus worker okx" in err


def test_status_shows_lag_and_traffic_in_words_and_in_json(
    run: Run, redis: Redis, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)
    waiting = Producer(redis).enqueue(BINGX, "1h", limit=1)
    long_ago = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    redis.hset(f"rq:job:{waiting.id}-t1", "enqueued_at", long_ago)
    seconds, _ = redis.time()
    redis.zadd(keys.schedule(), {"bingx:1m:BTC/USDT:USDT": seconds * 1000, "bingx:1m:ETH/USDT:USDT": 0})
    redis.hset(keys.traffic("bingx", "default"), mapping={f"{seconds // 10}:sent": 9, f"{seconds // 10}:failed": 2})
    told = json.loads(run("status", "--json").out)
    assert 7_190_000 < told["exchanges"]["bingx"]["oldest_wait_ms"] < 7_300_000
    assert told["exchanges"]["bingx"]["traffic"][0]["sent"] == 9
    assert [(one["symbol"], one["behind_ms"] > 0) for one in told["schedule"]] == [
        ("BTC/USDT:USDT", False),
        ("ETH/USDT:USDT", True),
    ]
    shown = " ".join(run("status").out.split())
    assert "oldest waits" in shown
    assert "bingx 0 1 2 h 00 min 1 -" in shown
    assert "bingx default 9 0 2 0% -" in shown
    assert "bingx 1m 2 ETH/USDT:USDT:" in shown


def test_status_check_fails_where_work_waits_for_nobody(
    run: Run, redis: Redis, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)
    redis.zadd(keys.open_requests("bingx"), {"r1": 1})
    redis.set(keys.pause("bingx", "default"), "HTTP 429", px=60_000)
    assert run("status").code == 0
    code, out, err = run("status", "--check")
    assert code == 1
    assert "start one with: candlebus worker bingx" in err
    assert "default: 1 min 00 s: HTTP 429" in out


def test_a_group_from_its_definition_to_its_rows(run: Run, on_bus: RunningBus) -> None:
    since = "2025-06-01"
    assert run("group", "add", "pair", BINGX, KUCOIN, "-t", "30m", "--since", since).code == 0
    assert run("group", "add", "pair", BINGX, KUCOIN, "-t", "30m").code == 2
    assert run("group", "list").out == "pair\n"
    aligned = run("fetch", BINGX, KUCOIN, "-t", "30m", "--since", since, "--until", "2025-06-03", "--align").out
    for batch in follow_aligned(on_bus.redis, "pair", "start"):
        if batch is not None and rows_of(batch):
            break
    shown = run("group", "show", "pair").out
    assert "aligned by" in shown
    assert run("group", "remove", "pair").code == 0
    assert run("group", "list").out == ""
    assert aligned


def watched(run: Run, monkeypatch: pytest.MonkeyPatch, *arguments: str, lines: int) -> list[dict[str, object]]:
    """The first lines of a watch that is then interrupted as by Ctrl-C."""
    seen: list[str] = []

    def write_some(found: object) -> None:
        for line in found:  # type: ignore[attr-defined]
            seen.append(line)
            if len(seen) == lines:
                raise KeyboardInterrupt

    monkeypatch.setattr(watching, "_write_all", write_some)
    assert run("watch", *arguments).code == 0
    return [json.loads(line) for line in seen]


def test_watch_follows_a_series(run: Run, on_bus: RunningBus, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = run("fetch", "bingx:SOL/USDT:USDT", "-t", "5m", "-n", "7").out.splitlines()
    seen = watched(run, monkeypatch, "bingx:SOL/USDT:USDT", "-t", "5m", "--from", "start", lines=7)
    assert seen == [json.loads(line) for line in fetched]


def test_watch_follows_a_group(run: Run, on_bus: RunningBus, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ("bingx:XRP/USDT:USDT", "kucoinfutures:XRP/USDT:USDT")
    span = ("--since", "2025-06-01", "--until", "2025-06-01T05:00")
    assert run("group", "add", "watched", *pair, "-t", "15m", "--since", "2025-06-01").code == 0
    fetched = run("fetch", *pair, "-t", "15m", *span, "--align").out.splitlines()
    for spelling in (("--group", "watched"), ("aligned:watched",)):
        seen = watched(run, monkeypatch, *spelling, "--from", "start", lines=len(fetched))
        assert seen == [json.loads(line) for line in fetched]
    assert run("group", "remove", "watched").code == 0


def test_watch_ends_at_an_entry_of_an_unknown_version(run: Run, on_bus: RunningBus) -> None:
    newer = encode(ContractMap(exchange="bingx", fetched_ms=0, contracts={}))  # a layout that no candle stream has
    on_bus.redis.xadd(keys.candles("bingx", "1d", "ADA/USDT:USDT"), {"s": 1, "b": newer})
    code, out, err = run("watch", "bingx:ADA/USDT:USDT", "-t", "1d", "--from", "start")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "layout 'contracts.v1' is unknown here" in err
    assert "upgrade candlebus" in err


def test_watch_says_once_when_nothing_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    silent: list[AlignedBatch | None] = [None, None, None]
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(watching, "_SILENT_S", 0.0)
    assert list(watching._told_when_silent(silent, "1m", "X")) == []
    monkeypatch.undo()
    assert capsys.readouterr().err == (
        "candlebus: nothing published for 0 s: a 1m candle comes once it has closed, if somebody asks for it; "
        "where nobody does: candlebus schedule X -t 1m\n"
    )
