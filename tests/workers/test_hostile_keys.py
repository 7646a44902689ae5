"""Whatever stands under a key of ours ends no process for good: it is reported, and what is honest goes on."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis, ResponseError

from bus import keys
from bus.codec import encode
from bus.connection import connect
from bus.errors import CandleBusError, DecodeError, GroupError, RequestError
from bus.groups import GroupBook
from bus.messages import ClockOffset, Group
from bus.requests import RequestBook
from bus.settings import Settings
from bus.streams import fetch_entries, follow
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.workers.aligner_helpers import SERIES, publish
from workers.aligner.consumer import AlignerProcess
from workers.desk import Desk
from workers.sweeper import put_back_overdue, trim_streams
from workers.worker import ExchangeWorker

BTC = "BTC/USDT:USDT"
STREAM = keys.candles("bingx", "1m", BTC)

NONSENSE: dict[Any, Any] = {b"\xff": b"\xff", b"state": b"?", b"args": b"{", b"fence": b"x"}
Plant = Callable[[Redis, str], Any]
GARBAGE: dict[str, Plant] = {
    "bytes": lambda redis, key: redis.set(key, b"\xff\x00\xfe"),
    "number": lambda redis, key: redis.set(key, b"-1e999"),
    "long text": lambda redis, key: redis.set(key, b"x" * 2**20),
    "list": lambda redis, key: redis.rpush(key, b"\xff", b"a b c", b""),
    "hash": lambda redis, key: redis.hset(
        key, mapping={b"\xff": b"\xff", b"state": b"?", b"args": b"{", b"fence": b"x"}
    ),  # type: ignore[dict-item]
    "set": lambda redis, key: redis.sadd(key, b"\xff", b"*", b"", b"a" * 1_000),
    "sorted set": lambda redis, key: redis.zadd(key, {b"\xff": -1, b"*": 1, b"": float("inf")}),
    "stream": lambda redis, key: redis.xadd(key, {b"\xff": b"\xff"}, id="1-1"),
}
#: Enough for a matrix: a value of the right kind and a wrong one for each key, whatever it is.
FEW = ["bytes", "list", "hash", "sorted set"]
OF_A_WORKER = {
    "streams": keys.streams(),
    "contracts": keys.contracts("bingx"),
    "last contracts": keys.contracts_last_good("bingx"),
    "clock": keys.clock("bingx"),
    "last clock": keys.clock_last("bingx"),
    "limit": keys.limit("bingx", "default"),
    "breaker": keys.breaker("bingx", "default"),
    "traffic": keys.traffic("bingx", "default"),
    "counters": keys.counters("bingx"),
    "open requests": keys.open_requests("bingx"),
    "request": keys.request("r1"),
    "pages": keys.pages("r1"),
    "stream": keys.candles("bingx", "5m", BTC),
    "sequence": keys.sequence(keys.candles("bingx", "5m", BTC)),
}
#: Of a group and of the stream of its first series.
OF_A_GROUP: dict[str, Callable[[str, str], str]] = {
    "group": lambda group, _: keys.group(group),
    "state": lambda group, _: keys.group_state(group),
    "members": lambda group, _: keys.group_members(group),
    "lease": lambda group, _: keys.group_lease(group),
    "aligned": lambda group, _: keys.aligned(group),
    "late": lambda group, _: keys.late(group),
    "stream": lambda _, stream: stream,
    "dead-letters": lambda _, stream: keys.dead(stream),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def work(redis: Redis, server: str, sandbox: Sandbox) -> Iterator[Callable[[], None]]:
    """One life of a worker, until its queue is empty."""
    opened = []

    def run() -> None:
        rq_connection = connect(server)
        desk = Desk("bingx", redis, Settings(pace="full", urls=sandbox.urls))
        opened.extend([rq_connection.close, desk.close])
        ExchangeWorker(desk, redis, rq_connection).work(burst=True, logging_level="ERROR")

    yield run
    for close in opened:
        close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("name", OF_A_WORKER)
def test_no_key_ends_a_worker(
    redis: Redis, work: Callable[[], None], caplog: pytest.LogCaptureFixture, name: str, kind: str
) -> None:
    key = OF_A_WORKER[name]
    GARBAGE[kind](redis, key)
    producer = Producer(redis)
    try:
        pending = producer.enqueue(f"bingx:{BTC}", "5m", limit=10, request_id="r1")
    except (CandleBusError, ResponseError):
        pending = None  # who asks is told
    with caplog.at_level(logging.ERROR):
        work()
    assert "unhandled exception" not in caplog.text
    if pending is not None and is_done(redis, "r1"):
        return
    redis.delete(key)
    again = producer.enqueue(f"bingx:{BTC}", "5m", limit=10, request_id="r2")
    work()
    assert again.status().state == "done", again.status()


def is_done(redis: Redis, request_id: str) -> bool:
    try:
        status = RequestBook(redis).status(request_id)
    except DecodeError:
        return False
    return status is not None and status.state == "done"


@contextmanager
def aligning(server: str) -> Iterator[threading.Thread]:
    """An aligner as it runs in a process of its own."""
    client = connect(server)
    process = AlignerProcess(client)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        yield thread
    finally:
        process.is_stopping = True
        thread.join(20)
        client.close()


def check_rows(redis: Redis, thread: threading.Thread) -> None:
    """An honest group gets its row."""
    GroupBook(redis).add("good", SERIES, "1m", start_ms=0)
    for exchange in ("bingx", "kucoinfutures"):
        publish(redis, exchange, range(5), 0, 5)
    until = time.monotonic() + 30
    while not redis.xlen(keys.aligned("good")) and time.monotonic() < until and thread.is_alive():
        time.sleep(0.05)
    assert thread.is_alive()
    assert redis.xlen(keys.aligned("good")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", GARBAGE)
def test_no_key_of_a_group_costs_another_group_its_rows(redis: Redis, server: str, kind: str) -> None:
    for number, (name, key_of) in enumerate(OF_A_GROUP.items()):
        symbol = f"BAD{number}/USDT:USDT"
        GroupBook(redis).add(f"bad-{name}", [f"bingx:{symbol}", SERIES[1]], "1m", start_ms=0)
        key = key_of(f"bad-{name}", keys.candles("bingx", "1m", symbol))
        redis.delete(key)
        GARBAGE[kind](redis, key)
    with aligning(server) as thread:
        check_rows(redis, thread)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("key", [keys.groups(), keys.aligners()])
def test_no_key_that_all_aligners_share_ends_one(redis: Redis, server: str, key: str, kind: str) -> None:
    GARBAGE[kind](redis, key)
    with aligning(server) as thread:
        if kind != {keys.groups(): "set", keys.aligners(): "sorted set"}[key]:
            time.sleep(0.3)
            assert thread.is_alive()
            redis.delete(key)  # nobody can share groups out before
        check_rows(redis, thread)


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_group_that_cannot_be_read_can_be_removed(redis: Redis, kind: str) -> None:
    book = GroupBook(redis)
    book.add("bad", SERIES, "1m", start_ms=0)
    redis.delete(keys.group("bad"))
    GARBAGE[kind](redis, keys.group("bad"))
    redis.sadd(keys.groups(), b"\xff", b"a b")
    assert book.names() == ["bad"]
    assert book.several(["bad"]) == []
    with pytest.raises(DecodeError, match="candlebus group remove bad"):
        book.get("bad")
    book.remove("bad")
    assert book.names() == []
    with pytest.raises(GroupError):
        book.get("bad")


@pytest.mark.parametrize(
    "change",
    [
        {"series": ()}, {"series": ("bingx:A/B:B", "bingx:A/B:B")}, {"series": ("nonsense",)}, {"series": ("a:b\nc",)},
        {"timeframe": "7m"}, {"tolerance_ms": -1}, {"start_ms": -1}, {"start_ms": 2**60}, {"min_sources": 3},
        {"min_sources": -1}, {"name": "other"}, {"name": "a:b"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_definition_that_makes_no_group_is_not_believed(redis: Redis, change: dict[str, Any]) -> None:
    of: dict[str, Any] = {"name": "g", "series": tuple(SERIES), "timeframe": "1m", "start_ms": 0, "tolerance_ms": 0}
    redis.set(keys.group("g"), encode(Group(**of | change)))
    assert GroupBook(redis).several(["g"]) == []


def test_an_offset_that_ends_before_it_begins_is_measured_anew(redis: Redis, work: Callable[[], None]) -> None:
    now_ms = int(time.time() * 1000)
    redis.set(keys.clock("bingx"), encode(ClockOffset(low_ms=10**12, high_ms=-(10**12), measured_ms=now_ms)))
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "5m", limit=10, request_id="r1")
    work()
    assert pending.status().state == "done"


ENTRIES: list[dict[bytes, bytes]] = [
    {b"b": b"\xff"}, {b"s": b"x", b"b": b"\x80"}, {b"s": b"1"}, {b"\xff": b"\xff"}, {b"s": b"9" * 400, b"b": b""},
    {b"s": b"1", b"b": b"\xdf\xff\xff\xff\xff"}, {b"s": b"1", b"b": b"\x91" * 10_000},
    {b"s": b"-1", b"b": b"\x81\xa4type\xa1x"},
]  # fmt: skip


@pytest.mark.parametrize("fields", ENTRIES, ids=repr)
def test_an_entry_that_is_none_is_named_to_a_subscriber(redis: Redis, fields: dict[bytes, bytes]) -> None:
    entry: Any = redis.xadd(STREAM, fields)  # type: ignore[arg-type]
    with pytest.raises(DecodeError, match=entry.decode()):
        list(follow(redis, STREAM, "start"))
    with pytest.raises(DecodeError, match=entry.decode()):
        fetch_entries(redis, [(STREAM, entry.decode())])


@pytest.mark.parametrize(
    "line", [b"\xff", b"", b"no id", b"x 1-1", b"candlebus:candles:x 1-1 x", b"candlebus:a *", b"a" * 10**6]
)
def test_a_list_of_pages_that_names_no_entry_is_not_followed(redis: Redis, line: bytes) -> None:
    redis.rpush(keys.pages("r1"), line)
    with pytest.raises(DecodeError, match="list of pages of request r1"):
        RequestBook(redis).entries("r1")


RECORDS: list[dict[str, Any]] = [
    {"state": "?"}, {"state": "queued"}, {"args": "{"}, {"args": "[]"}, {"args": "null"}, {"args": "[" * 100_000},
    {"args": '{"request_id":"other","exchange":"bingx"}'}, {"turn": "x"}, {"turn": "9" * 400}, {b"\xff": b"\xff"},
    {"error": "{"}, {"error": "[]"}, {"pages": "-1e999"},
    {"args": '{"exchange":"../x","symbol":"BTC/USDT:USDT","timeframe":"1m","limit":1}'},
    {"args": '{"exchange":"okx","symbol":"BTC/USDT:USDT","timeframe":"1m","limit":1}'},
    {"args": '{"exchange":"bingx","symbol":"*","timeframe":"1m","limit":1}'},
]  # fmt: skip


@pytest.mark.parametrize("change", RECORDS, ids=lambda change: repr(change)[:60])
def test_a_record_that_cannot_be_put_back_is_given_up(redis: Redis, change: dict[str, Any]) -> None:
    asked = '{"exchange":"bingx","limit":1,"symbol":"BTC/USDT:USDT","timeframe":"1m"}'
    record = {"args": asked, "state": "queued", "turn": 1, "attempt": 0}
    redis.hset(keys.request("evil"), mapping=record | change if change != {"state": "queued"} else change)
    redis.zadd(keys.open_requests("bingx"), {"evil": 1, b"\xff": 1, b"a b": 1, b"unknown": 1})
    put_back_overdue(redis, "bingx")
    assert redis.keys("rq:queue:*") in ([], [b"rq:queue:fetch.bingx"])
    left = set(redis.zrange(keys.open_requests("bingx"), 0, -1))  # type: ignore[arg-type]
    assert left <= ({b"evil"} if redis.llen("rq:queue:fetch.bingx") else set())


def test_streams_that_are_none_keep_nobody_from_trimming(redis: Redis) -> None:
    publish(redis, "bingx", range(5), 0, 5, entry_id="1-1")
    redis.sadd(
        keys.streams(), b"\xff", b"candlebus:candles:bingx:\xff", "candlebus:candles:bingx:1m:A", "*", "rq:queues"
    )
    redis.set("candlebus:candles:bingx:1m:A", "no stream")
    assert trim_streams(redis, "bingx") == 1


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ('"limit":5.0', 'no worker can take up what the request.s record asks for, .*"limit":5.0'),
        ('"limit":"5"', "no worker can take up what the request.s record asks for"),
        ('"limit":5,"since":null', "no worker can take up what the request.s record asks for"),
        ('"limit":0', "limit 0 is not between"),
    ],
)
def test_a_request_whose_record_no_job_can_claim_ends_with_the_reason(redis: Redis, span: str, words: str) -> None:
    """As an older version entered it; put back instead, it would be put back for ever."""
    asked = f'{{"exchange":"bingx",{span},"symbol":"BTC/USDT:USDT","timeframe":"1m"}}'
    redis.hset(keys.request("r1"), mapping={"args": asked, "state": "queued", "turn": 1, "attempt": 0, "stalls": 0})
    redis.zadd(keys.open_requests("bingx"), {"r1": 1})
    assert put_back_overdue(redis, "bingx") == []
    status = RequestBook(redis).status("r1")
    assert status is not None
    assert status.state == "failed"
    with pytest.raises(RequestError, match=words):
        raise status.error or AssertionError
    assert redis.zcard(keys.open_requests("bingx")) == 0
    assert 0 < redis.ttl(keys.request("r1")) <= 3_600
