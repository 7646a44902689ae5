"""``candlebus request``: what its commands print, and their exit codes."""

import json

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.errors import ExchangeUnavailable
from bus.queue import queue_of
from bus.requests import Claim, RequestBook
from bus.streams import Publisher
from producers.client import Producer
from tests.candlebus.conftest import Run
from tests.helpers import batch

BTC = "bingx:BTC/USDT:USDT"
MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
def _bus(redis: Redis, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)


def ask(redis: Redis, request_id: str, series: str = BTC) -> None:
    Producer(redis).enqueue(series, "1m", since=0, until=20 * MINUTE_MS, request_id=request_id)


def begin(redis: Redis, request_id: str, worker: str = "w") -> Claim:
    """Have a worker claim it and publish half of its span."""
    book = RequestBook(redis)
    status = book.status(request_id)
    assert status is not None
    claim = book.claim(status.request, 1, worker)
    assert isinstance(claim, Claim)
    book.fix_span(claim, 0, 20 * MINUTE_MS)
    page = msgspec.structs.replace(batch(0, 10), request_id=request_id)
    assert Publisher(redis).publish(claim, page).outcome == "published"
    return claim


def test_no_requests(run: Run) -> None:
    assert run("request", "list") == (0, "no open requests\n", "")


def test_the_list_tells_what_is_open_and_how_far_it_is(run: Run, redis: Redis) -> None:
    for request_id, series in (("first", BTC), ("ended", BTC), ("other", "kucoinfutures:ETH/USDT:USDT")):
        ask(redis, request_id, series)
    RequestBook(redis).cancel("ended", "bingx")
    begin(redis, "first", "w\x1b[31m")
    code, out, _ = run("request", "list")
    assert code == 0
    line = next(line for line in out.splitlines() if "first" in line)
    assert all(word in line for word in (BTC, "running", "1970-01-01T00:10:00Z", "50%", "10", r"w\x1b[31m"))
    assert ("other" in out, "ended" in out) == (True, False)
    told = [json.loads(line) for line in run("request", "list", "bingx", "--json").out.splitlines()]
    assert [(one["request_id"], one["next_ms"], one["error"]) for one in told] == [("first", 10 * MINUTE_MS, None)]


def test_those_accepted_first_stand_in_front(run: Run, redis: Redis) -> None:
    for number, request_id in enumerate("cab"):
        ask(redis, request_id)
        redis.hset(keys.request(request_id), "created_ms", number)
    told = run("request", "list", "--json").out.splitlines()
    assert [json.loads(line)["request_id"] for line in told] == ["c", "a", "b"]


def test_a_damaged_record_hides_no_other_one(run: Run, redis: Redis) -> None:
    ask(redis, "whole")
    ask(redis, "damaged")
    redis.hset(keys.request("damaged"), "args", "{")
    redis.zadd(keys.open_requests("bingx"), {b"\xff \x1b": 0, "gone": 0})
    code, out, err = run("request", "list", "--json")
    assert (code, json.loads(out)["request_id"]) == (3, "whole")
    assert err.count("\n") == 1
    assert "candlebus:request:damaged cannot be read" in err


def test_one_is_shown_with_the_reason_why_it_failed(run: Run, redis: Redis) -> None:
    ask(redis, "r1")
    RequestBook(redis).fail(begin(redis, "r1"), ExchangeUnavailable("bingx", "bingx \x1b does not answer"))
    code, out, _ = run("request", "show", "r1")
    assert code == 0
    wanted = ["series: bingx:BTC/USDT:USDT 1m", "state: failed, turn 1, attempt 1", "candles: 10", "50% of it"]
    assert all(text in out for text in [*wanted, r"error: ExchangeUnavailable: bingx \x1b does not answer"]), out
    assert json.loads(run("request", "show", "r1", "--json").out)["state"] == "failed"


@pytest.mark.parametrize("request_id", ["nobody", "\x1b[31m", "x" * 65])
@pytest.mark.parametrize("command", ["show", "cancel"])
def test_a_request_that_nobody_knows_is_said(run: Run, command: str, request_id: str) -> None:
    code, out, err = run("request", command, request_id)
    assert (code, out) == (2, "")
    assert err.startswith("candlebus: the bus knows no request ")
    assert err.removesuffix("\n").isprintable()


def test_a_request_is_cancelled_as_far_as_it_has_come(run: Run, redis: Redis) -> None:
    for request_id in ("waits", "runs", "ended"):
        ask(redis, request_id)
    begin(redis, "runs")
    RequestBook(redis).fail(begin(redis, "ended"), ExchangeUnavailable("bingx", "bingx does not answer"))
    code, out, err = run("request", "cancel", "waits", "runs", "ended", "nobody")
    assert code == 3
    assert out == "waits: cancelled\nruns: cancelled\nended: had ended before, failed\n"
    assert "knows no request 'nobody'" in err
    assert queue_of("bingx", redis).job_ids == ["runs-t1", "ended-t1"]


def test_all_of_an_exchange_are_cancelled_and_those_of_others_stay(run: Run, redis: Redis) -> None:
    for request_id, series in (("a", BTC), ("b", BTC), ("c", "kucoinfutures:BTC/USDT:USDT")):
        ask(redis, request_id, series)
    assert run("request", "cancel", "--all", "bingx") == (0, "a: cancelled\nb: cancelled\n", "")
    assert run("request", "cancel", "--all", "bingx") == (0, "", "candlebus: no open requests for bingx\n")
    assert json.loads(run("request", "list", "--json").out)["request_id"] == "c"


def test_of_all_that_are_to_be_cancelled_one_that_is_damaged_is_told(run: Run, redis: Redis) -> None:
    ask(redis, "whole")
    ask(redis, "damaged")
    redis.hset(keys.request("damaged"), "args", "{")
    code, out, err = run("request", "cancel", "--all", "bingx")
    assert (code, out) == (3, "whole: cancelled\n")
    assert "candlebus:request:damaged cannot be read" in err
    assert run("request", "cancel", "--all", "bingx").code == 1


@pytest.mark.parametrize("arguments", [("r1", "--all", "bingx"), ("--all", "bingxx")])
def test_what_to_cancel_must_be_said_in_one_way(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("request", "cancel", *arguments).code == 2
