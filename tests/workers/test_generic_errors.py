"""What ccxt raises and what venues answer, as errors that say what to do."""

import contextlib
import json
from typing import Any

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import (
    AccessRefused,
    CandleBusError,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    Paused,
    RateLimited,
    UnknownSymbol,
)
from bus.messages import Candle
from tests.workers.exchange_fakes import BTC, MINUTE, START, candle, response
from workers.exchanges.generic import GenericExchange, _lies_past
from workers.exchanges.generic_errors import PAUSE_MS, ours
from workers.exchanges.generic_facts import _made_up_market
from workers.exchanges.generic_venue import through, weight_of
from workers.http import Request, Response

NAMES = ["binanceusdm", "bybit", "okx", "whitebit"]


class Canned:
    """An HTTP client that answers everything the same, or raises."""

    base_url = "http://127.0.0.1:1"

    def __init__(self, answer: Response | Exception) -> None:
        self.answer = answer
        self.sent: list[Request] = []

    def send(self, request: Request, *, weight: int) -> Response:
        self.sent.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def exchange(name: str) -> GenericExchange:
    made = GenericExchange(name)
    made._venue.set_markets([_made_up_market(made._venue)])
    return made


def refused(name: str, answer: Response | Exception) -> Any:
    client: Any = Canned(answer)
    with pytest.raises(CandleBusError) as caught:
        exchange(name).candles(client, BTC, MINUTE, START, START + 600_000)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        (ccxt.RateLimitExceeded, RateLimited),
        (ccxt.DDoSProtection, RateLimited),
        (ccxt.BadSymbol, UnknownSymbol),
        (ccxt.PermissionDenied, AccessRefused),
        (ccxt.RestrictedLocation, AccessRefused),
        (ccxt.AuthenticationError, ExchangeError),
        (ccxt.NetworkError, ExchangeUnavailable),
        (ccxt.RequestTimeout, ExchangeUnavailable),
        (ccxt.ExchangeNotAvailable, ExchangeUnavailable),
        (ccxt.OnMaintenance, ExchangeUnavailable),
        (ccxt.OperationFailed, ExchangeUnavailable),
        (ccxt.BadResponse, MalformedPage),
        (ccxt.NullResponse, MalformedPage),
        (ccxt.InvalidNonce, ClockRejected),
        (ccxt.BadRequest, ExchangeError),
        (ccxt.NotSupported, ExchangeError),
        (ccxt.ExchangeError, ExchangeError),
        (ccxt.BaseError, ExchangeError),
        (IndexError, MalformedPage),
        (TypeError, MalformedPage),
    ],
)
def test_an_error_of_ccxts_says_what_to_do(theirs: type[Exception], kind: type[CandleBusError]) -> None:
    error = ours("okx", theirs("okx odd\nthing"), None, "its time")
    assert type(error) is kind
    assert str(error).startswith("okx ")
    assert "its time" in str(error)
    assert "odd thing" in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_too_many_requests_pause_everybody(name: str) -> None:
    for body in (b"", b"<html>", {"code": "50011", "msg": "Too Many Requests", "retCode": 10006}):
        assert refused(name, response(body, 429)).pause_ms == PAUSE_MS
        assert refused(name, response(body, 429, retry_after="9")).pause_ms == 9_000
        assert refused(name, response(body, 418)).pause_ms == 3_600_000
        assert refused(name, response(body, 503, retry_after="20")).pause_ms == 20_000
    assert refused(name, response(b"error code: 1015", 403)).pause_ms == 30_000


@pytest.mark.parametrize(("name", "body"), [("okx", {"code": "50011", "msg": "slow"}), ("bybit", {"retCode": 10006})])
def test_a_refusal_for_the_rate_in_the_body_of_a_good_answer_pauses_too(name: str, body: Any) -> None:
    error = refused(name, response(body))
    assert (type(error), error.pause_ms) == (RateLimited, PAUSE_MS)


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_address_is_not_asked_again(name: str) -> None:
    error = refused(name, response({"code": 0, "msg": "from a restricted location"}, 451))
    assert isinstance(error, AccessRefused)
    assert str(error) == f"{name} refuses this address (HTTP 451, often by region); retrying will not help"
    blocked = b"The distribution is configured to block access from your country"
    assert isinstance(refused(name, response(blocked, 403)), AccessRefused)


def test_a_fast_caller_is_told_from_a_blocked_country() -> None:
    assert type(refused("bybit", response(b"403, access too frequent", 403))) is RateLimited
    assert type(refused("okx", response(b"denied", 403))) is AccessRefused


@pytest.mark.parametrize("name", NAMES)
def test_what_the_gate_or_the_client_raises_comes_through_unchanged(name: str) -> None:
    for error in (Paused(name, "left alone", pause_ms=5), ExchangeUnavailable(name, "no connection")):
        assert refused(name, error) is error


def test_another_address_replaces_scheme_and_host_and_keeps_the_rest() -> None:
    client: Any = Canned(response({}))
    through(client, "https://fapi.binance.com")(Request(url="https://fapi.binance.com/a/b?c=https://d/"), 1)
    through(client, client.base_url)(Request(url="https://api.binance.com/x"), 1)
    assert [sent.url for sent in client.sent] == ["http://127.0.0.1:1/a/b?c=https://d/", "https://api.binance.com/x"]


@pytest.mark.parametrize(("cost", "weight"), [(1, 100), (0, 1), (0.24, 24), (2.7, 270), (0.001, 1), (1.234, 124)])
def test_costs_are_rounded_up(cost: float, weight: int) -> None:
    assert weight_of(cost) == weight


def at(slot: int) -> int:
    return START + slot * MINUTE.duration_ms


def test_a_venue_that_takes_no_end_may_go_on_to_what_it_has_after_a_hole() -> None:
    until, now = at(10), at(1_000)
    assert _lies_past([candle(at(50)), candle(at(51))], until, now, MINUTE)
    assert not _lies_past([], until, now, MINUTE)
    assert not _lies_past([candle(at(9)), candle(at(51))], until, now, MINUTE)
    assert not _lies_past([candle(at(998)), candle(at(999))], until, now, MINUTE)  # its newest, whatever was asked


def test_after_such_a_hole_the_page_is_empty_and_an_ignored_span_is_no_page() -> None:
    whitebit = exchange("whitebit")
    for first, problem in ((at(50), None), (whitebit._venue.milliseconds() // 60_000 * 60_000, MalformedPage)):
        rows = [[first // 1000 + n * 60, "1", "1", "1", "1", "1", "1"] for n in range(2)]
        client: Any = Canned(response({"success": True, "result": rows}))
        with pytest.raises(problem) if problem else contextlib.nullcontext():
            assert whitebit.candles(client, BTC, MINUTE, at(0), at(10)).candles == []


@pytest.mark.parametrize("row", [[], [START], [None] * 6, [START, "x", 1, 1, 1, 1], [START, 1, 1, 1, 1, None],
                                 [START + 1, 1, 1, 1, 1, 1], [START, 1, 2, 3, 1, 1]])  # fmt: skip
def test_a_row_that_is_no_candle_rejects_the_page(row: list[Any]) -> None:
    assert isinstance(refused("binanceusdm", response([row])), MalformedPage)


def test_rows_from_before_the_span_are_no_empty_page() -> None:
    rows = [[START - n * 60_000, "1", "1", "1", "1", "1"] for n in (50, 51)]
    assert "and sent" in str(refused("binanceusdm", response(rows)))


def test_rows_in_any_order_with_repeats_make_a_page() -> None:
    rows = [[at(n), "1", "1", "1", "1", "1"] for n in (3, 1, 2, 1)]
    client: Any = Canned(response(rows))
    page = exchange("binanceusdm").candles(client, BTC, MINUTE, at(0), at(10))
    assert page.candles == [Candle(at(n), 1.0, 1.0, 1.0, 1.0, 1.0) for n in (1, 2, 3)]


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
fields = st.sampled_from(["code", "retCode", "data", "result", "list", "symbols", "success", "serverTime", "instId"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=7) | st.dictionaries(fields, inner, max_size=4), max_leaves=25
)
ASKED = {name: exchange(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@given(
    values | st.builds(dict, code=st.just("0"), retCode=st.just(0), data=values, result=values), st.integers(200, 599)
)
def test_any_answer_is_an_answer_or_an_error_of_ours(name: str, body: Any, status: int) -> None:
    client: Any = Canned(response(json.dumps(body).encode(), status))
    asked = ASKED[name]
    questions = (
        lambda: asked.candles(client, BTC, MINUTE, START, START + 600_000),
        lambda: asked.server_time(client),
        lambda: asked.ticker(client, BTC),
        lambda: asked.contracts(client),
    )
    for question in questions:
        with contextlib.suppress(CandleBusError):
            question()
    asked._venue.set_markets([_made_up_market(asked._venue)])
