"""Another program at the same address is noticed by what answers say is left, and yielded to."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from bus.settings import Settings
from candlebus.sandbox import Sandbox
from workers.desk import Desk
from workers.exchanges import registry
from workers.exchanges.allowance import Allowance, allowance, crowded_ms
from workers.http import Response
from workers.limiter import budget

NAMES = ("gw-ratelimit-remaining", "gw-ratelimit-reset")
FULL = budget(registry.get("kucoinfutures").facts, "full")
FULL_US = FULL.interval_us


def headers(remaining: object, reset: object, **others: str) -> dict[str, str]:
    return {NAMES[0]: str(remaining), NAMES[1]: str(reset), **others}


def test_the_headers_of_the_documents_are_read() -> None:
    assert allowance(headers(1997, 29990), NAMES) == Allowance(1997, 29990)


def test_an_instant_is_read_against_the_date_of_the_answer() -> None:
    date = "Mon, 23 Nov 2026 00:00:00 GMT"
    assert allowance(headers(5, 1795392010000, date=date), NAMES) == Allowance(5, 10_000)


@pytest.mark.parametrize(
    "found", [{}, headers("x", 1), headers(1, "-1"), headers(1, 10**12), headers(1, 3_600_000), headers("9" * 30, 1)]
)
def test_what_makes_no_sense_says_nothing(found: dict[str, str]) -> None:
    assert allowance(found, NAMES) is None


@given(st.integers(0, 30_000), st.integers(0, 12))
def test_alone_at_the_full_pace_nobody_is_noticed(elapsed_ms: int, under_way: int) -> None:
    used = elapsed_ms * 1000 // FULL_US + under_way
    assert crowded_ms(Allowance(2000 - used, 30_000 - elapsed_ms), FULL_US, FULL.spare) == 0


@given(st.integers(1, 30_000), st.integers(0, 2000))
def test_what_we_still_send_until_the_refill_is_at_most_half_of_what_is_left(reset_ms: int, remaining: int) -> None:
    wait_ms = crowded_ms(Allowance(remaining, reset_ms), FULL_US, spare=0)
    assert 0 <= wait_ms <= reset_ms
    if wait_ms:
        assert (reset_ms - wait_ms) * 1000 / FULL_US <= remaining / 2 + 1


@pytest.mark.parametrize(("remaining", "wait_ms"), [(500, 0), (250, 0), (249, 15), (100, 2_250), (0, 3_750)])
def test_half_of_what_the_pace_leaves_free_is_for_others_also_where_the_limit_refills_bit_by_bit(
    remaining: int, wait_ms: int
) -> None:
    assert crowded_ms(Allowance(remaining, reset_ms=1), 15_000, spare=500) == wait_ms


def test_another_look_is_taken_after_some_seconds() -> None:
    assert crowded_ms(Allowance(0, reset_ms=1), 700_000, spare=900) == 5_000


@pytest.fixture
def desk(redis: Redis) -> Iterator[Desk]:
    with Sandbox() as sandbox:
        desk = Desk("kucoinfutures", redis, Settings(pace="full", urls=sandbox.urls))
        yield desk
        desk.close()


def test_all_workers_step_back_while_another_program_spends_the_limit(desk: Desk) -> None:
    desk.exchange.server_time(desk.http)
    assert desk.limiter.paused_ms() == 0
    desk._make_room(Response(200, headers(100, 20_000), b""))
    assert 15_000 < desk.limiter.paused_ms() < 20_000


def test_the_stand_in_says_what_is_left_and_its_word_is_heard(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    monkeypatch.setattr("workers.desk.crowded_ms", lambda left, *_: heard.append(left) or 0)
    desk.exchange.server_time(desk.http)
    assert [left.remaining for left in heard] == [1998]
