"""Limits: exact at the boundary, over any window, as each venue enforces them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import SettingsError
from candlebus.sandbox import Sandbox
from candlebus.sandbox.limits import PATIENCE, Meter, Rule, Window, most_in_window, rule_of
from tests.sandbox.clients import KUCOIN_CANDLES, get

BINGX_TIME = "/openApi/swap/v2/server/time"
KUCOIN_TIME = "/api/v1/timestamp"


def test_the_last_request_within_the_limit_is_accepted_and_the_next_refused() -> None:
    meter = Meter(Rule(windows=(Window(3, 1000),)))
    assert [meter.admit(0, 1).is_accepted for _ in range(4)] == [True, True, True, False]


def test_an_arrival_leaves_the_window_exactly_at_its_length() -> None:
    meter = Meter(Rule(windows=(Window(1, 1000),)))
    assert [meter.admit(t, 1).is_accepted for t in (0, 999.9, 1000, 1999, 2000)] == [True, False, True, False, True]


def test_several_windows_hold_at_once() -> None:
    meter = Meter(Rule(windows=(Window(2, 10), Window(3, 100))))
    assert [meter.admit(t, 1).is_accepted for t in (0, 0, 5, 20, 40, 100)] == [True, True, False, True, False, True]


def test_weights_count_and_the_wait_is_until_enough_of_them_leaves() -> None:
    meter = Meter(Rule(windows=(Window(10, 1000),)))
    for instant_ms in (0, 100, 200):
        assert meter.admit(instant_ms, 3).is_accepted
    refused = meter.admit(300, 5)
    assert (refused.is_accepted, refused.wait_ms, refused.remaining) == (False, 800, 1)
    assert meter.admit(300 + refused.wait_ms, 5).is_accepted


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 4)), max_size=80))
def test_no_window_ever_holds_more_than_the_limit(steps: list[tuple[int, int]]) -> None:
    meter, now_ms, accepted = Meter(Rule(windows=(Window(9, 700),))), 0.0, []
    for step_ms, weight in steps:
        now_ms += step_ms
        if meter.admit(now_ms, weight).is_accepted:
            accepted.append((now_ms, weight))
    assert most_in_window(tuple(accepted), 700)[1] <= 9


def test_the_busiest_window_is_found_wherever_it_lies() -> None:
    arrivals = tuple((float(t), 2) for t in (0, 900, 950, 1000, 1899, 1900))
    assert most_in_window(arrivals, 1000) == (4, 8)
    assert most_in_window((), 1000) == (0, 0)


def test_bingx_refuses_everything_during_its_block_and_bans_who_goes_on() -> None:
    meter = Meter(rule_of("bingx", "2/1", block_ms=5000))
    assert [meter.admit(t, 1).is_accepted for t in (0, 0, 0, 4999)] == [True, True, False, False]
    hammered = [meter.admit(4999, 1).is_banned for _ in range(PATIENCE)]
    assert hammered == [False] * (PATIENCE - 1) + [True]
    assert not meter.admit(9998, 1).is_accepted
    assert meter.admit(9999, 1).is_accepted


def test_the_documented_limits_are_the_venues_own() -> None:
    assert rule_of("bingx").windows == (Window(500, 10_000), Window(1000, 60_000))
    assert rule_of("bingx").block_ms == 300_000
    kucoin = rule_of("kucoinfutures")
    assert kucoin.windows == (Window(2000, 30_000),)
    paths = ("kline/query", "contracts/active", "contracts/XBTUSDTM", "ticker", "allTickers", "timestamp", "status")
    assert [kucoin.weight(f"/api/v1/{path}") for path in paths] == [3, 3, 3, 2, 5, 2, 4]


@pytest.mark.parametrize("text", ["", "10", "10/", "ten/1", "0/1", "10/0", "10/-1", "10/nan", "10/inf"])
def test_a_limit_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match="10/1 for 10 requests a second"):
        rule_of("bingx", text)


def test_bingx_says_when_it_will_lift_the_block() -> None:
    with Sandbox(venues=("bingx",), limit="3/1") as sandbox:
        answers = [get(sandbox, "bingx", BINGX_TIME) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused = answers[-1].json()
        assert refused["code"] == 100410
        lifted_ms = int(refused["msg"].rpartition(" ")[2])
        assert 0 < lifted_ms - sandbox.now_ms("bingx") <= 1000
        time.sleep((lifted_ms - sandbox.now_ms("bingx")) / 1000 + 0.02)
        assert get(sandbox, "bingx", BINGX_TIME).status_code == 200


def test_bingx_bans_a_client_that_hammers() -> None:
    with Sandbox(venues=("bingx",), limit="1/60", block_ms=60_000) as sandbox:
        statuses = [get(sandbox, "bingx", BINGX_TIME).status_code for _ in range(PATIENCE + 4)]
    assert statuses == [200] + [429] * (PATIENCE + 1) + [418, 418]


def test_kucoin_tells_the_quota_on_every_answer_and_the_wait_on_a_refusal() -> None:
    with Sandbox(venues=("kucoinfutures",)) as sandbox:
        first = get(sandbox, "kucoinfutures", KUCOIN_TIME).headers
        second = get(sandbox, "kucoinfutures", KUCOIN_CANDLES).headers
        sandbox.plan(limit="1/0.4")
        get(sandbox, "kucoinfutures", KUCOIN_TIME)
        refused = get(sandbox, "kucoinfutures", KUCOIN_TIME)
        assert (refused.status_code, refused.json()["code"]) == (429, "429000")
        wait_ms = int(refused.headers["gw-ratelimit-reset"])
        assert 0 < wait_ms <= 400
        time.sleep(wait_ms / 1000 + 0.02)
        assert get(sandbox, "kucoinfutures", KUCOIN_TIME).status_code == 200
    assert first["gw-ratelimit-limit"] == "2000"
    assert (first["gw-ratelimit-remaining"], second["gw-ratelimit-remaining"]) == ("1998", "1995")
    assert 29_000 < int(second["gw-ratelimit-reset"]) <= 30_000


def test_requests_and_refusals_are_counted_by_path_and_by_window() -> None:
    with Sandbox(venues=("bingx",), limit="3/60") as sandbox:
        for _ in range(5):
            get(sandbox, "bingx", BINGX_TIME)
        stats = sandbox.stats("bingx")
        told = get(sandbox, "bingx", "/sandbox/stats").json()
    assert (stats.requests, stats.refusals, stats.candle_requests) == (5, 2, 0)
    assert (stats.by_path, stats.refusals_by_path) == ({BINGX_TIME: 5}, {BINGX_TIME: 2})
    assert (stats.max_in_window(60_000), stats.max_weight_in_window(60_000)) == (5, 5)
    assert (told["requests"], told["refusals"], told["max_in_window_ms"]["60000"]) == (5, 2, 5)
    assert sandbox.stats("bingx").requests == 5
