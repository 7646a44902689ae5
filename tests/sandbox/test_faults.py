"""Faults: each one as a client meets it."""

import time
from collections.abc import Iterator

import pytest
import requests

from bus.errors import SettingsError
from bus.messages import Candle
from candlebus.sandbox import FaultPlan, Planned, Sandbox
from candlebus.sandbox.faults import FaultBook
from candlebus.sandbox.listings import VENUES, Venue
from tests.sandbox.clients import BINGX_CANDLES, BTC, KUCOIN_CANDLES, MINUTE_MS, bingx_candles, get, kucoin_candles
from tests.sandbox.conftest import NOW_MS

PATHS = {"bingx": BINGX_CANDLES, "kucoinfutures": KUCOIN_CANDLES}
QUERIES = {
    "bingx": {"symbol": "BTC-USDT", "interval": "1m", "limit": "20"},
    "kucoinfutures": {"symbol": "XBTUSDTM", "granularity": "1"},
}
OPEN_MS = NOW_MS // MINUTE_MS * MINUTE_MS


@pytest.fixture
def faulty() -> Iterator[Sandbox]:
    with Sandbox(limit="off", clock=lambda: NOW_MS, slow_ms=300) as sandbox:
        yield sandbox


def ask(sandbox: Sandbox, venue: str, fault: str) -> requests.Response:
    sandbox.plan(venue, faults=f"{fault}=1")
    return get(sandbox, venue, PATHS[venue], **QUERIES[venue])


@pytest.mark.parametrize("venue", VENUES)
def test_refusals_and_server_trouble_have_their_status_and_code(faulty: Sandbox, venue: str) -> None:
    statuses = {
        fault: ask(faulty, venue, fault).status_code for fault in ("http_429", "http_418", "http_500", "http_503")
    }
    assert statuses == {"http_429": 429, "http_418": 418, "http_500": 500, "http_503": 503}
    refused = ask(faulty, venue, "http_429")
    assert str(refused.json()["code"]) == {"bingx": "100410", "kucoinfutures": "429000"}[venue]
    assert (refused.headers.get("gw-ratelimit-reset") == "1000") == (venue == "kucoinfutures")
    assert str(ask(faulty, venue, "busy").json()["code"]) == {"bingx": "100500", "kucoinfutures": "500000"}[venue]


@pytest.mark.parametrize("venue", VENUES)
def test_pages_that_are_no_json_come_as_web_pages(faulty: Sandbox, venue: str) -> None:
    page, blocked, nothing = (ask(faulty, venue, fault) for fault in ("html", "code_1015", "empty_body"))
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (blocked.status_code, "error code: 1015" in blocked.text) == (429, True)
    assert (nothing.status_code, nothing.content) == (200, b"")


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("fault", ["drop", "truncated"])
def test_a_lost_connection_is_seen_as_one(faulty: Sandbox, venue: str, fault: str) -> None:
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        ask(faulty, venue, fault)
    faulty.plan(faults="")
    assert get(faulty, venue, PATHS[venue], **QUERIES[venue]).status_code == 200


def test_a_truncated_body_ends_before_what_was_announced(faulty: Sandbox) -> None:
    faulty.plan(faults="truncated=1")
    with requests.get(faulty.url("bingx") + BINGX_CANDLES, QUERIES["bingx"], stream=True, timeout=5) as answer:
        received = b"".join(_until_broken(answer))
    assert 0 < len(received) <= int(answer.headers["Content-Length"]) // 2


def test_a_slow_body_comes_in_crumbs_and_whole(faulty: Sandbox) -> None:
    before = time.monotonic()
    rows = ask(faulty, "bingx", "slow").json()["data"]
    assert time.monotonic() - before >= 0.28
    assert len(rows) == 20


def test_who_goes_away_in_the_middle_of_a_slow_body_is_no_error(
    faulty: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.plan(faults="slow=1")
    with requests.get(faulty.url("bingx") + BINGX_CANDLES, QUERIES["bingx"], stream=True, timeout=5) as answer:
        assert answer.status_code == 200
    time.sleep(0.5)  # until the body would have been there
    assert caplog.records == []


def test_an_empty_page_is_complete_when_asked_again(faulty: Sandbox) -> None:
    faulty.plan(faults="empty_page=1")
    bounds = {"from": OPEN_MS - 40 * MINUTE_MS, "to": OPEN_MS - MINUTE_MS}
    assert kucoin_candles(faulty, **bounds) == []
    truth = faulty.truth("kucoinfutures", BTC, "1m", bounds["from"], bounds["to"] + 1)
    assert [row[0] for row in kucoin_candles(faulty, **bounds)] == [candle.open_time for candle in truth]


def test_a_short_page_lacks_no_candle_twice(faulty: Sandbox) -> None:
    faulty.plan(faults="short_page=1")
    pages = [{row["time"] for row in bingx_candles(faulty, limit=100)} for _ in range(2)]
    assert 0 < len(pages[0]) < 100
    assert len(pages[0] | pages[1]) == 100


def test_page_faults_spare_other_questions(faulty: Sandbox) -> None:
    faulty.plan(faults="empty_page=1")
    assert get(faulty, "kucoinfutures", "/api/v1/timestamp").json()["data"] == NOW_MS
    assert faulty.stats("kucoinfutures").faults == {}


def test_the_third_request_for_candles_can_be_planned(faulty: Sandbox) -> None:
    faulty.plan("bingx", faults="candles#3=http_500,any#5-6=http_503")
    statuses = [get(faulty, "bingx", PATHS["bingx"], **QUERIES["bingx"]).status_code for _ in range(4)]
    statuses += [get(faulty, "bingx", "/openApi/swap/v2/server/time").status_code for _ in range(3)]
    assert statuses == [200, 200, 500, 200, 503, 503, 200]
    assert faulty.stats("bingx").faults == {"http_500": 1, "http_503": 2}


def test_one_seed_makes_one_order_of_faults_and_another_another() -> None:
    orders = [_order("http_500=0.3,drop=0.2,seed=7"), _order("http_500=0.3,drop=0.2,seed=7"), _order("drop=0.5,seed=8")]
    assert orders[0] == orders[1] != orders[2]
    assert 0.2 < orders[0].count("http_500") / 1000 < 0.4
    assert 0.1 < orders[0].count("drop") / 1000 < 0.3


def test_the_venues_meet_faults_at_different_times() -> None:
    assert _order("drop=0.5") != _order("drop=0.5", "kucoinfutures")


def test_no_candle_is_withheld_twice_whatever_the_pages() -> None:
    book = FaultBook(FaultPlan(), "bingx")
    rows = [Candle(t, 1.0, 1.0, 1.0, 1.0, 1.0) for t in range(100)]
    lost = [{row.open_time for row in part} - {row.open_time for row in book.thin("short_page", "BTC 1m", part)}
            for part in (rows[:60], rows[40:], rows, rows)]  # fmt: skip
    assert all(lost)
    assert sum(map(len, lost)) == len(set().union(*lost))


def test_what_one_plan_withheld_no_other_plan_withholds_again(faulty: Sandbox) -> None:
    whole = bingx_candles(faulty, limit=100)
    faulty.plan(faults="empty_page=1")
    assert bingx_candles(faulty, limit=100) == []
    faulty.plan(faults="")
    faulty.plan(faults="short_page=1,seed=5")
    assert bingx_candles(faulty, limit=100) == whole


def test_a_plan_reads_its_text() -> None:
    plan = FaultPlan.parse("http_500=0.02, drop=0.01, candles#3=busy, time#4-9=slow, seed=7")
    assert plan == FaultPlan(
        chances={"http_500": 0.02, "drop": 0.01},
        planned=(Planned("candles", 3, 3, "busy"), Planned("time", 4, 9, "slow")),
        seed=7,
    )
    assert FaultPlan.parse("") == FaultPlan()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http_999=0.1", "unknown fault 'http_999'; there are: http_429"),
        ("drop=2", "not between 0 and 1"),
        ("drop=nan", "not between 0 and 1"),
        ("drop", "not between 0 and 1"),
        ("drop=0.6,slow=0.6", "sum to more than 1"),
        ("seed=x", "no whole number"),
        ("klines#3=drop", "WHAT of: candles"),
        ("candles#0=drop", "WHAT of: candles"),
        ("candles#3=nothing", "unknown fault 'nothing'"),
    ],
)
def test_a_text_that_is_no_plan_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        FaultPlan.parse(text)


def test_latency_and_skew_can_be_changed_while_it_serves(faulty: Sandbox) -> None:
    faulty.plan("kucoinfutures", latency_ms=150, jitter_ms=50, clock_skew_ms=-4000)
    before = time.monotonic()
    told_ms = get(faulty, "kucoinfutures", "/api/v1/timestamp").json()["data"]
    assert time.monotonic() - before >= 0.15
    assert told_ms == NOW_MS - 4000 == faulty.now_ms("kucoinfutures")
    assert faulty.now_ms("bingx") == NOW_MS


def _order(text: str, venue: Venue = "bingx") -> list[str | None]:
    book = FaultBook(FaultPlan.parse(text), venue)
    return [book.draw("time") for _ in range(1000)]


def _until_broken(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(64)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return
