"""Fetching over the bus, the worker played by the test: what a caller gets when things go well, and when not."""

import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.codec import encode
from bus.connection import connect
from bus.errors import BusError, BusUnavailable, FetchFailed, PartialResult, RequestConflict, UnknownSymbol
from bus.messages import Gap
from bus.requests import Claim, RequestBook
from bus.series import Series
from bus.streams import Publisher
from producers import fetch as fetching
from producers.client import Producer
from producers.collect import Collector, merged
from producers.fetch import fetch_all
from producers.result import FetchResult
from tests.helpers import MINUTE_MS, batch

BTC = Series("bingx", "BTC/USDT:USDT")
ETH = Series("bingx", "ETH/USDT:USDT")


def ask(redis: Redis, *series: Series, timeout_s: float | None = 10) -> FetchResult:
    span = {"since": 0, "until": 4 * MINUTE_MS, "limit": None}
    return fetch_all(
        redis, series or [BTC], "1m", **span, timeout_s=timeout_s, on_progress=lambda _: None, check=lambda: None
    )  # fmt: skip


class FakeWorker(threading.Thread):
    """Serves whatever is asked of BTC with two pages; fails everything else."""

    def __init__(self, server: str, *, pages: int = 2) -> None:
        super().__init__()
        self.redis = connect(server)
        self.book = RequestBook(self.redis)
        self.pages = pages
        self.served: list[str] = []
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            for request_id in self.redis.zrange(keys.open_requests("bingx"), 0, -1):
                self.serve(request_id.decode())
            time.sleep(0.01)
        self.redis.close()

    def serve(self, request_id: str) -> None:
        status = self.book.status(request_id)
        claim = status and self.book.claim(status.request, status.turn, "fake")
        if not isinstance(claim, Claim) or status is None:
            return
        self.served.append(request_id)
        if status.request.symbol != BTC.symbol:
            self.book.fail(claim, UnknownSymbol(f"bingx lists no {status.request.symbol}"))
            return
        self.book.fix_span(claim, 0, 4 * MINUTE_MS)
        for page, span in list(enumerate([(0, 2), (2, 4)]))[: self.pages]:
            sent = msgspec.structs.replace(batch(*span, page=page, missing=(3,)), request_id=request_id)
            Publisher(self.redis).publish(claim, sent)
        self.book.finish(claim)


@pytest.fixture
def worker(redis: Redis, server: str) -> Iterator[FakeWorker]:
    thread = FakeWorker(server)
    thread.start()
    yield thread
    thread.stopping = True
    thread.join()


def test_candles_come_in_order_with_their_gaps(redis: Redis, worker: FakeWorker) -> None:
    result = ask(redis)
    assert [one.open_time // MINUTE_MS for one in result.candles[str(BTC)]] == [0, 1, 2]
    assert result.gaps[str(BTC)] == [Gap(3 * MINUTE_MS, 4 * MINUTE_MS, "unavailable")]
    assert result.volume_units == {str(BTC): "base"}


def test_a_loss_makes_the_result_partial_and_warns(redis: Redis, worker: FakeWorker) -> None:
    result = ask(redis)
    assert not result.complete
    with pytest.warns(PartialResult, match="bingx:BTC/USDT:USDT: 1 candles missing in 1 gaps"):
        result.checked()


def test_a_series_that_fails_does_not_keep_the_others_from_coming(redis: Redis, worker: FakeWorker) -> None:
    result = ask(redis, BTC, ETH)
    assert len(result.candles[str(BTC)]) == 3
    assert str(result.errors[str(ETH)]) == "bingx lists no ETH/USDT:USDT"
    assert result.candles[str(ETH)] == []


def test_nothing_at_all_raises_every_cause_and_keeps_its_exit_code(redis: Redis, worker: FakeWorker) -> None:
    with pytest.raises(FetchFailed, match="bingx:ETH/USDT:USDT: bingx lists no ETH/USDT:USDT") as caught:
        ask(redis, ETH).checked()
    assert caught.value.exit_code == 2


def test_a_second_asking_is_answered_from_the_pages_of_the_first(redis: Redis, worker: FakeWorker) -> None:
    assert ask(redis).candles == ask(redis).candles
    assert len(worker.served) == 1


def test_pages_that_were_trimmed_since_somebody_asked_are_asked_for_afresh(redis: Redis, worker: FakeWorker) -> None:
    first = ask(redis)
    redis.xtrim(keys.candles("bingx", "1m", BTC.symbol), maxlen=0, approximate=False)
    assert ask(redis).candles == first.candles
    assert len(worker.served) == 2


def test_a_queue_that_nobody_serves_is_reported_with_the_command_that_would(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "NO_WORKER_S", 0.05)
    monkeypatch.setattr(fetching, "_WORKER_LOOK_S", 0.0)
    with pytest.raises(BusUnavailable, match="no worker serves bingx; start one with: candlebus worker bingx"):
        ask(redis)
    assert redis.zcard(keys.open_requests("bingx")) == 0  # taken back
    assert redis.keys("rq:queue:*") == redis.keys("rq:job:*") == []


def test_a_request_that_is_cancelled_leaves_the_queue_and_those_beside_it_stay(redis: Redis) -> None:
    first, second = (Producer(redis).enqueue(one, "1d", limit=5) for one in (BTC, ETH))
    assert first.cancel() == "cancelled"
    assert redis.lrange("rq:queue:fetch.bingx", 0, -1) == [f"{second.id}-t1".encode()]
    assert redis.keys("rq:job:*") == [f"rq:job:{second.id}-t1".encode()]
    assert Producer(redis).enqueue(BTC, "1d", limit=5, request_id=first.id).is_ours
    assert redis.llen("rq:queue:fetch.bingx") == 2


def test_an_exchange_that_nobody_serves_does_not_lose_the_candles_of_another(
    redis: Redis, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "NO_WORKER_S", 0.05)
    monkeypatch.setattr(fetching, "_WORKER_LOOK_S", 0.0)
    lonely = Series("kucoinfutures", BTC.symbol)
    result = ask(redis, BTC, lonely, timeout_s=None)
    assert len(result.candles[str(BTC)]) == 3
    assert "no worker serves kucoinfutures" in str(result.errors[str(lonely)])
    assert redis.zcard(keys.open_requests("kucoinfutures")) == 0  # taken back


def test_time_that_is_over_leaves_what_has_arrived_and_takes_back_the_rest(redis: Redis, worker: FakeWorker) -> None:
    worker.pages = 1
    result = ask(redis, timeout_s=0.5)
    assert len(result.candles[str(BTC)]) == 2
    assert "not complete in time: 2 candles in 1 pages so far" in str(result.errors[str(BTC)])
    status = RequestBook(redis).status(worker.served[0])
    assert status is not None
    assert status.state == "cancelled"


def test_pages_that_do_not_join_are_an_error(redis: Redis) -> None:
    stream = keys.candles("bingx", "1m", BTC.symbol)
    for page, span in ((0, (0, 2)), (1, (3, 4))):
        entry: bytes = redis.xadd(stream, {"s": page, "b": encode(batch(*span, page=page))})  # type: ignore[assignment]
        redis.rpush(keys.pages("r1"), f"{stream} {entry.decode()}")
    with pytest.raises(BusError, match="page 1 of request r1 begins at 180000, but the page before it ends at 120000"):
        Collector(redis, "r1").advance()


def test_the_same_asking_has_one_id_until_the_next_candle_has_closed(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Producer(redis)
    first = producer.enqueue(BTC, "1d", limit=5)
    assert producer.enqueue(BTC, "1d", limit=5).id == first.id
    assert producer.enqueue(BTC, "1d", limit=6).id != first.id
    assert producer.enqueue(ETH, "1d", limit=5).id != first.id
    now_ms = producer._clock.now_ms()
    monkeypatch.setattr(producer._clock, "now_ms", lambda: now_ms + 86_400_000)
    assert producer.enqueue(BTC, "1d", limit=5).id != first.id


def test_an_id_of_the_callers_own_is_kept_and_not_used_for_two_things(redis: Redis) -> None:
    producer = Producer(redis)
    assert producer.enqueue(BTC, "1d", limit=5, request_id="mine").id == "mine"
    with pytest.raises(RequestConflict, match="request id mine is in use"):
        producer.enqueue(BTC, "1d", limit=6, request_id="mine")


def test_neighbouring_gaps_of_one_reason_become_one() -> None:
    gaps = [Gap(5, 6, "no_trades"), Gap(0, 2, "no_trades"), Gap(2, 4, "no_trades"), Gap(4, 5, "unavailable")]
    assert merged(gaps) == [Gap(0, 4, "no_trades"), Gap(4, 5, "unavailable"), Gap(5, 6, "no_trades")]
