"""Apps that import nothing of ours ask for candles and follow them, in Python and in Node alike."""

import ast
import importlib.util
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from bus.codec import encode
from bus.messages import CandleBatch
from candlebus.candle_bus import CandleBus
from candlebus.sandbox import Sandbox
from tests.examples.conftest import EXAMPLES, App, Enqueue
from tests.helpers import batch

BTC = "bingx:BTC/USDT:USDT"
MINUTE_MS = 60_000


def as_candles(lines: list[str]) -> list[tuple[float, ...]]:
    return [tuple(map(float, line.split())) for line in lines if not line.startswith("gap")]


def fresh_stream() -> tuple[str, str]:
    """A series that no other test asks for, and its stream."""
    symbol = f"{uuid.uuid4().hex[:12]}/USDT:USDT"
    return f"bingx:{symbol}", f"candlebus:candles:bingx:1m:{symbol}"


def publish(redis: Redis, stream: str, number: int, one: CandleBatch) -> Any:
    return redis.xadd(stream, {"s": number, "b": encode(one)})


def test_what_an_app_asks_for_arrives_at_a_subscriber_as_the_venue_has_it(
    app: App, enqueue: Enqueue, sandbox: Sandbox, bus: Redis
) -> None:
    bus.delete("candlebus:candles:bingx:1m:BTC/USDT:USDT", "candlebus:seq:candlebus:candles:bingx:1m:BTC/USDT:USDT")
    record = enqueue(BTC, "1m", "--limit", "3000")
    assert (record["candles"], record["gap_slots"], record["pages"]) == ("3000", "0", "3")

    code, lines, errors = app.run("subscribe", BTC, "1m", "--start", "start", "--batches", "3")
    assert code == 0, errors
    span = int(record["since"]), int(record["until"])
    assert as_candles(lines) == sandbox.truth("bingx", "BTC/USDT:USDT", "1m", *span)


def test_slots_without_a_trade_arrive_as_gaps_that_fill_the_span(
    app: App, enqueue: Enqueue, sandbox: Sandbox, bus: Redis
) -> None:
    stream = "candlebus:candles:kucoinfutures:5m:ETH/USDT:USDT"
    bus.delete(stream, f"candlebus:seq:{stream}")
    until = sandbox.now_ms("kucoinfutures") // 300_000 * 300_000 - 3_000_000
    since = until - 400 * 300_000
    record = enqueue("kucoinfutures:ETH/USDT:USDT", "5m", "--since", str(since), "--until", str(until))
    assert (int(record["since"]), int(record["until"])) == (since, until)

    code, lines, errors = app.run(
        "subscribe", "kucoinfutures:ETH/USDT:USDT", "5m", "--start", "start", "--batches", record["pages"]
    )
    assert code == 0, errors
    candles = as_candles(lines)
    assert candles == sandbox.truth("kucoinfutures", "ETH/USDT:USDT", "5m", since, until)
    gaps = [line.split() for line in lines if line.startswith("gap")]
    assert {reason for _, _, _, reason in gaps} == {"no_trades"}
    absent = [at for _, begin, end, _ in gaps for at in range(int(begin), int(end), 300_000)]
    assert len(absent) == int(record["gap_slots"]) > 0
    assert sorted([*absent, *(int(candle[0]) for candle in candles)]) == list(range(since, until, 300_000))


def test_a_subscriber_that_starts_now_sees_what_comes_and_nothing_before(
    app: App, settings: Any, sandbox: Sandbox
) -> None:
    symbol = "ETH/USDT:USDT"
    now = sandbox.now_ms("bingx") // MINUTE_MS * MINUTE_MS
    spans = [(at, at + 5 * MINUTE_MS) for at in range(now - 1_000 * MINUTE_MS, now - 500 * MINUTE_MS, 5 * MINUTE_MS)]
    with CandleBus(settings.redis_url) as bus:
        old = bus.fetch(f"bingx:{symbol}", "1m", since=spans[0][0] - 10 * MINUTE_MS, until=spans[0][0], timeout_s=60)
        assert old.complete
        with app.start("subscribe", f"bingx:{symbol}", "1m", "--batches", "1") as process:
            try:
                for since, until in spans:
                    if process.poll() is not None:
                        break
                    bus.fetch(f"bingx:{symbol}", "1m", since=since, until=until, timeout_s=60)
                    time.sleep(0.1)
                out, errors = process.communicate(timeout=30)
            finally:
                process.kill()
    assert process.returncode == 0, errors
    seen = as_candles(out.splitlines())
    assert seen in [sandbox.truth("bingx", symbol, "1m", *span) for span in spans]


def test_of_one_open_time_only_a_greater_version_is_printed(app: App, bus: Redis) -> None:
    series, stream = fresh_stream()
    first = batch(10, 12, version=5)
    publish(bus, stream, 1, first)
    publish(bus, stream, 2, msgspec.structs.replace(first, version=4))
    publish(bus, stream, 3, msgspec.structs.replace(batch(11, 13, version=6)))
    code, lines, errors = app.run("subscribe", series, "1m", "--start", "start", "--batches", "3")
    assert code == 0, errors
    assert [candle[0] // MINUTE_MS for candle in as_candles(lines)] == [10, 11, 11, 12]


def test_an_entry_that_was_lost_ends_the_subscriber(app: App, bus: Redis) -> None:
    series, stream = fresh_stream()
    ids = [publish(bus, stream, number, batch(number, number + 1)) for number in (1, 2, 3)]
    bus.xdel(stream, ids[1])
    code, lines, errors = app.run("subscribe", series, "1m", "--start", "start", "--batches", "2")
    assert code != 0
    assert len(lines) == 1
    assert f"entry 2 of {stream} is gone, the next one is 3" in errors


def test_a_layout_of_another_version_is_refused_and_not_guessed(app: App, bus: Redis) -> None:
    series, stream = fresh_stream()
    body = encode(batch(1, 2)).replace(b"candles.v1", b"candles.v2")
    bus.xadd(stream, {"s": 1, "b": body})
    code, lines, errors = app.run("subscribe", series, "1m", "--start", "start", "--batches", "1")
    assert (code != 0, lines) == (True, [])
    assert "candles.v2" in errors


def test_why_a_request_failed_is_told(app: App) -> None:
    code, lines, _ = app.run("enqueue", "bingx:NOSUCH/USDT:USDT", "1m", "--limit", "5")
    assert (code, lines[1]) == (1, "failed: candles 0, gap_slots 0, pages 0")
    assert "NOSUCH/USDT:USDT" in lines[2]


def test_without_a_worker_the_wait_ends(app: App) -> None:
    code, lines, _ = app.run("enqueue", "nowhere:BTC/USDT:USDT", "1m", "--limit", "5", "--timeout", "0.5")
    assert (code, lines[1]) == (1, "waiting for a worker: candles 0, gap_slots 0, pages 0")


@pytest.mark.parametrize("name", ["enqueue", "subscribe"])
def test_a_series_without_its_exchange_is_a_usage_error(app: App, name: str) -> None:
    code, lines, errors = app.run(name, "BTCUSDT", "1m", *(["--limit", "5"] if name == "enqueue" else []))
    assert (code, lines) == (2, [])
    assert "EXCHANGE:SYMBOL" in errors


def test_arguments_that_are_no_request_fail_their_job(bus: Redis) -> None:
    example = _module(EXAMPLES / "enqueue_with_rq.py")
    record = example.follow(bus, *example.enqueue(bus, BTC, "1m", {"limit": "many"}), 30)
    assert record["state"] == "failed"
    assert "refused the arguments" in json.loads(record["error"])["message"]


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_job_of_the_fields_that_the_contract_calls_needed_is_run(bus: Redis, sandbox: Sandbox) -> None:
    request = {"request_id": "by-hand", "exchange": "bingx", "symbol": "BTC/USDT:USDT", "timeframe": "1h", "limit": 3}
    data = json.dumps(["candlebus.fetch_candles", None, [], request])
    with bus.pipeline() as pipeline:
        pipeline.hset("rq:job:mine", mapping={"data": data, "origin": "fetch.bingx", "status": "queued"})
        pipeline.rpush("rq:queue:fetch.bingx", "mine")
        pipeline.execute()
    deadline = time.monotonic() + 30
    while bus.hget("candlebus:request:by-hand", "state") != b"done":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("file", "allowed"),
    [("enqueue_with_rq.py", {"redis", "rq"}), ("subscribe_with_redis.py", {"redis", "msgspec"})],
)
def test_the_examples_import_nothing_of_ours(file: str, allowed: set[str]) -> None:
    tree = ast.parse((EXAMPLES / file).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == allowed


def test_the_node_packages_are_pinned_and_the_lock_names_no_address() -> None:
    package = json.loads((EXAMPLES / "node/package.json").read_text())
    text = (EXAMPLES / "node/package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    assert all(version[0].isdigit() for version in package["dependencies"].values())
    assert locked[""]["dependencies"] == package["dependencies"]
    assert all("integrity" in one for name, one in locked.items() if name)
    assert "resolved" not in text
    assert "://" not in text
