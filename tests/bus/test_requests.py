"""The book of requests on a real server: who may do what, and when."""

import time

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from bus import keys, requests
from bus.clock import RedisClock
from bus.connection import connect
from bus.errors import BusError, Fenced, RequestConflict, UnknownSymbol
from bus.requests import LEASE_MS, MAX_STALLS, Claim, RequestBook
from bus.streams import Publisher, fetch_entries
from tests.helpers import MINUTE_MS, batch, request


def claimed(book: RequestBook, turn: int = 1, request_id: str = "r1") -> Claim:
    claim = book.claim(request(request_id), turn, "w")
    assert isinstance(claim, Claim)
    return claim


def lease_runs_out(redis: Redis, request_id: str = "r1") -> None:
    redis.hset(keys.request(request_id), "lease_until", 1)
    redis.zadd(keys.open_requests("bingx"), {request_id: 1})


def test_a_request_that_is_accepted_twice_is_enqueued_once(redis: Redis) -> None:
    book = RequestBook(redis)
    assert book.accept(request()) == (True, 1)
    assert book.accept(request()) == (False, 1)


def test_a_live_id_with_other_arguments_is_refused(redis: Redis) -> None:
    book = RequestBook(redis)
    book.accept(request(limit=10))
    with pytest.raises(RequestConflict, match=r'in use for .*"limit":10'):
        book.accept(request(limit=11))
    assert book.claim(request(limit=11), 1, "w") == "conflict"


def test_an_id_that_has_ended_may_be_used_for_something_else(redis: Redis) -> None:
    book = RequestBook(redis)
    book.accept(request(limit=10))
    book.fail(claimed(book), BusError("no"))
    assert book.accept(request(limit=11)) == (True, 1)
    status = book.status("r1")
    assert status is not None
    assert (status.state, status.request.limit, status.error) == ("queued", 11, None)


def test_a_claim_holds_off_every_other_attempt_until_its_lease_runs_out(redis: Redis) -> None:
    book = RequestBook(redis)
    first = claimed(book)
    assert book.claim(request(), 1, "other") == "busy"
    lease_runs_out(redis)
    second = claimed(book)
    assert second.attempt == first.attempt + 1
    with pytest.raises(Fenced):
        book.renew(first)


def test_who_held_a_request_cannot_publish_to_another_one_under_its_id(redis: Redis) -> None:
    """Paused for longer than its lease; meanwhile the request was cancelled, and its id used for another symbol."""
    book = RequestBook(redis)
    book.accept(request())
    former = claimed(book)
    book.fix_span(former, 0, 600_000)
    lease_runs_out(redis)
    book.cancel("r1", "bingx")
    time.sleep(0.002)  # records of one millisecond are held for one
    other = request(symbol="ETH/USDT:USDT")
    book.accept(other)
    second = book.claim(other, 1, "w2")
    assert isinstance(second, Claim)
    book.fix_span(second, 0, 600_000)
    assert former.attempt == second.attempt
    with pytest.raises(Fenced):
        Publisher(redis).publish(former, batch(0, 10))
    with pytest.raises(Fenced):
        book.renew(former)
    assert not book.finish(second)


def test_a_job_of_an_earlier_turn_is_stale(redis: Redis) -> None:
    book = RequestBook(redis)
    assert book.release(claimed(book)) == 2
    assert book.claim(request(), 1, "w") == "stale"
    assert book.claim(request(), 0, "w") == "stale"
    assert isinstance(book.claim(request(), 2, "w"), Claim)


def test_the_span_is_fixed_by_the_first_turn(redis: Redis) -> None:
    book = RequestBook(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 100)
    book.fix_span(claim, 50, 500)
    status = book.status("r1")
    assert status is not None
    assert (status.since, status.until, status.next_ms) == (0, 100, 0)


def test_a_request_is_not_done_before_its_checkpoint_reaches_the_end(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 4 * MINUTE_MS)
    publisher.publish(claim, batch(0, 2))
    assert not book.finish(claim)
    publisher.publish(claim, batch(2, 4, page=1))
    assert book.finish(claim)
    assert book.claim(request(), 1, "w") == "ended"


def test_pages_are_published_once_in_order_and_only_by_the_holder(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 6 * MINUTE_MS)
    assert publisher.publish(claim, batch(0, 2)).outcome == "published"
    assert publisher.publish(claim, batch(0, 2)).outcome == "duplicate"
    gap = publisher.publish(claim, batch(4, 6))
    assert (gap.outcome, gap.checkpoint_ms) == ("gap", 2 * MINUTE_MS)
    lease_runs_out(redis)
    successor = claimed(book)
    with pytest.raises(Fenced):
        publisher.publish(claim, batch(2, 4))
    assert publisher.publish(successor, batch(2, 4, missing=(3,))).outcome == "published"
    batches = fetch_entries(redis, book.entries("r1"))
    assert [(b.since // MINUTE_MS, b.until // MINUTE_MS) for b in batches] == [(0, 2), (2, 4)]
    status = book.status("r1")
    assert status is not None
    assert (status.pages, status.candles, status.gap_slots) == (2, 3, 1)


def test_a_stream_at_its_high_water_mark_takes_no_page(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis, high_water=1)
    claim = claimed(book)
    book.fix_span(claim, 0, 4 * MINUTE_MS)
    assert publisher.has_room(request())
    publisher.publish(claim, batch(0, 2))
    assert not publisher.has_room(request())
    assert publisher.publish(claim, batch(2, 4)).outcome == "full"


def test_a_server_out_of_memory_refuses_the_page_and_changes_nothing(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 4 * MINUTE_MS)
    before = redis.hgetall(keys.request("r1"))
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(Exception, match="maxmemory"):
            publisher.publish(claim, batch(0, 2))
    finally:
        redis.config_set("maxmemory", 0)
    assert redis.hgetall(keys.request("r1")) == before
    assert publisher.publish(claim, batch(0, 2)).outcome == "published"


def test_a_queued_request_is_cancelled_at_once(redis: Redis) -> None:
    book = RequestBook(redis)
    book.accept(request())
    assert book.cancel("r1", "bingx") == "cancelled"
    assert book.claim(request(), 1, "w") == "ended"


def test_a_running_request_is_cancelled_at_once_and_whoever_runs_it_changes_nothing_more(redis: Redis) -> None:
    book = RequestBook(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 4 * MINUTE_MS)
    assert book.cancel("r1", "bingx") == "cancelled"
    record = redis.hgetall(keys.request("r1"))
    for change in (book.renew, book.release, book.finish, lambda held: Publisher(redis).publish(held, batch(0, 2))):
        with pytest.raises(Fenced, match="cancelled"):
            change(claim)
    with pytest.raises(Fenced, match="cancelled"):
        book.fail(claim, UnknownSymbol("no"))
    assert redis.hgetall(keys.request("r1")) == record
    assert not redis.exists(keys.open_requests("bingx"), keys.candles("bingx", "1m", "BTC/USDT:USDT"))
    assert 0 < redis.pttl(keys.request("r1")) <= keys.REQUEST_TTL_MS


def test_a_cancelled_request_goes_on_from_its_checkpoint_when_asked_again(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 4 * MINUTE_MS)
    publisher.publish(claim, batch(0, 2))
    book.cancel("r1", "bingx")
    assert book.accept(request()) == (True, 2)
    with pytest.raises(Fenced):
        book.renew(claim)
    again = claimed(book, 2)
    assert publisher.publish(again, batch(2, 4, page=1)).outcome == "published"
    assert book.finish(again)


def test_a_failed_request_keeps_its_reason(redis: Redis) -> None:
    book = RequestBook(redis)
    book.fail(claimed(book), UnknownSymbol("bingx lists no X/USDT:USDT"))
    status = book.status("r1")
    assert status is not None
    assert isinstance(status.error, UnknownSymbol)
    assert str(status.error) == "bingx lists no X/USDT:USDT"


def test_a_request_whose_attempts_all_die_without_a_page_fails(redis: Redis) -> None:
    book = RequestBook(redis)
    for _ in range(MAX_STALLS):
        claimed(book)
        lease_runs_out(redis)
    assert book.claim(request(), 1, "w") == "ended"
    status = book.status("r1")
    assert status is not None
    assert status.state == "failed"
    assert "5 attempts ended without a page" in str(status.error)


def test_turns_cut_short_by_a_pause_do_not_count_as_stalls(redis: Redis) -> None:
    book = RequestBook(redis)
    turn = 1
    for _ in range(MAX_STALLS * 2):
        turn = book.release(claimed(book, turn), blameless=True)
    assert isinstance(book.claim(request(), turn, "w"), Claim)


def test_an_overdue_request_is_handed_to_one_caller(redis: Redis) -> None:
    book = RequestBook(redis)
    claimed(book)
    assert book.overdue("bingx") == []
    lease_runs_out(redis)
    assert book.overdue("bingx") == ["r1"]
    assert book.overdue("bingx") == []


def test_what_has_ended_leaves_nothing_without_a_life(redis: Redis) -> None:
    book, publisher = RequestBook(redis), Publisher(redis)
    claim = claimed(book)
    book.fix_span(claim, 0, 2 * MINUTE_MS)
    publisher.publish(claim, batch(0, 2))
    book.finish(claim)
    assert redis.pttl(keys.request("r1")) > LEASE_MS
    assert redis.pttl(keys.pages("r1")) > LEASE_MS
    assert redis.zcard(keys.open_requests("bingx")) == 0


def test_an_unknown_request_has_no_status(redis: Redis) -> None:
    assert RequestBook(redis).status("nobody") is None


def test_beyond_a_number_of_open_requests_no_other_one_is_taken(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_OPEN", 2)
    book = RequestBook(redis)
    for request_id in ("r1", "r2"):
        book.accept(request(request_id))
    assert book.accept(request("r1")) == (False, 1)
    with pytest.raises(BusError, match="2 requests for bingx are open, as many as may be"):
        book.accept(request("r3"))
    assert book.status("r3") is None
    book.cancel("r1", "bingx")
    assert book.accept(request("r3")) == (True, 1)
    with pytest.raises(BusError, match="as many as may be"):
        book.accept(request("r1"))


def test_a_refusal_that_is_counted_too_late_leaves_no_record(redis: Redis) -> None:
    book = RequestBook(redis)
    book.count_refusal("gone")
    assert not redis.exists(keys.request("gone"))
    book.accept(request())
    book.count_refusal("r1")
    status = book.status("r1")
    assert status is not None
    assert status.refusals == 1


def test_a_server_that_refuses_says_nothing_about_the_record(redis: Redis, server: str) -> None:
    RequestBook(redis).accept(request())
    redis.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-hgetall"])
    blind = connect(server)
    blind.execute_command("AUTH", "blind", "any")
    try:
        with pytest.raises(NoPermissionError):
            RequestBook(blind).status("r1")
    finally:
        blind.close()
        redis.acl_deluser("blind")


def test_a_request_whose_worker_died_before_the_clock_was_set_back_a_day_is_put_back_at_once(redis: Redis) -> None:
    book = RequestBook(redis)
    book.accept(request())
    claimed(book)
    assert book.overdue("bingx") == []
    assert book.claim(request(), 1, "w2") == "busy"
    tomorrow_ms = RedisClock(redis).now_ms() + 86_400_000
    redis.hset(keys.request("r1"), "lease_until", tomorrow_ms)
    redis.zadd(keys.open_requests("bingx"), {"r1": tomorrow_ms})
    assert book.overdue("bingx") == ["r1"]
    assert isinstance(book.claim(request(), 1, "w2"), Claim)
