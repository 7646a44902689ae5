"""Turns that wait before they ask: for a page to close, for readers of a full stream."""

import threading
import time
from typing import Any

import pytest
from redis import Redis

from bus import keys
from bus.queue import enqueue_turn
from bus.requests import MAX_STALLS, Claim, RequestBook
from bus.streams import Published, Publisher
from bus.timeframes import SETTLE_MS
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.workers.exchange_fakes import MINUTE
from tests.workers.turns import BTC, Work
from workers.desk import Desk
from workers.exchanges.base import Page
from workers.exchanges.bingx import BingX


def test_a_page_of_a_span_that_was_fixed_by_a_time_ahead_is_asked_for_once_it_has_closed(
    redis: Redis, sandbox: Sandbox, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker begins while the exchange does not tell its time, and the server's clock has been set ahead."""
    until_ms = MINUTE.floor(sandbox.now_ms("bingx") - SETTLE_MS)
    exchange_ms, asked_ms = [until_ms - 60_000], list[int]()

    def a_little_later(_: Desk) -> int:
        exchange_ms[0] += 10_000
        return exchange_ms[0]

    class Noting(BingX):
        def candles(self, *arguments: Any) -> Page:
            asked_ms.append(exchange_ms[0])
            return super().candles(*arguments)

    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    book = RequestBook(redis)
    claim = book.claim(pending.request, 1, "one whose time ran ahead")
    assert isinstance(claim, Claim)
    book.fix_span(claim, until_ms - 600_000, until_ms)
    redis.delete("rq:queue:fetch.bingx")
    enqueue_turn(redis, pending.request, book.release(claim, blameless=True))
    for name in ("_LONGEST_WAIT_S", "_LOOK_S"):
        monkeypatch.setattr(f"workers.turn.{name}", 0.0)
    monkeypatch.setattr(Desk, "exchange_now_ms", a_little_later)
    monkeypatch.setattr("workers.desk.registry.get", lambda _: Noting())
    work()
    done = pending.status()
    assert (done.state, done.candles) == ("done", 10)
    assert done.turn > 2, "it went back to the queue meanwhile"
    assert len(asked_ms) == 1
    assert asked_ms[0] >= until_ms + SETTLE_MS


def test_a_turn_waits_for_the_readers_of_a_full_stream_and_asks_the_exchange_for_nothing_meanwhile(
    redis: Redis, sandbox: Sandbox, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their entries are older than an hour, so that nothing else holds them."""
    stream, consumers = keys.candles("bingx", "1m", BTC), keys.align_consumer_group("g")
    redis.config_set("stream-node-max-entries", 1)  # the server trims whole nodes
    for at_ms in (1, 2, 3):
        redis.xadd(stream, {"b": "x"}, id=f"{at_ms}-0")
    redis.sadd(keys.streams(), stream)
    redis.xgroup_create(stream, consumers, id="0")
    monkeypatch.setitem(Publisher.__init__.__kwdefaults__, "high_water", 3)
    for name in ("_LONGEST_WAIT_S", "_LOOK_S"):
        monkeypatch.setattr(f"workers.turn.{name}", 0.01)
    before, pending = sandbox.stats("bingx").candle_requests, Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    asked_while_full: list[int] = []

    def read_in_the_end() -> None:
        while pending.status().turn < MAX_STALLS + 2 and not pending.status().has_ended:  # no turn of them is blamed
            time.sleep(0.01)
        asked_while_full.append(sandbox.stats("bingx").candle_requests - before)
        redis.xreadgroup(consumers, "c", {stream: ">"})
        redis.xack(stream, consumers, "1-0", "2-0", "3-0")

    reader = threading.Thread(target=read_in_the_end)
    reader.start()
    work()
    reader.join()
    done = pending.status()
    redis.config_set("stream-node-max-entries", 100)
    assert (done.state, done.candles) == ("done", 10)
    assert asked_while_full == [0]


def test_a_page_that_finds_no_room_though_there_was_some_is_nobodys_fault(
    redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another publisher took it while the exchange was asked, more often than attempts may end without a page."""
    room, published = [0] * (MAX_STALLS + 2), Publisher.publish

    def late(self: Publisher, *arguments: Any, **counts: Any) -> Published:
        self._high_water = room.pop() if room else keys.STREAM_HIGH_WATER
        return published(self, *arguments, **counts)

    monkeypatch.setattr(Publisher, "publish", late)
    monkeypatch.setattr(Publisher, "has_room", lambda *_: True)
    pending = Producer(redis).enqueue(f"bingx:{BTC}", "1m", limit=10)
    work()
    assert (pending.status().state, pending.status().candles) == ("done", 10)
    assert room == []
