"""What every native adapter makes of answers: refusals, pauses, trouble, nonsense."""

import contextlib
import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import (
    AccessRefused,
    CandleBusError,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    RateLimited,
    UnknownExchange,
    UnsupportedTimeframe,
)
from bus.timeframes import TIMEFRAMES
from tests.workers.exchange_fakes import BTC, MINUTE, START, XBT, FakeHttp, response
from workers.exchanges import registry
from workers.exchanges.answers import by_status
from workers.exchanges.pauses import LONGEST_PAUSE_MS, retry_after_ms
from workers.exchanges.symbols import perpetual

DATE = "Wed, 01 Jan 2025 00:00:00 GMT"
EXCHANGES = registry.names()


def ask(name: str, http: Any) -> Any:
    return registry.get(name).candles(http, XBT if name == "kucoinfutures" else BTC, MINUTE, START, START + 600_000)


def refused(name: str, body: Any, status: int = 200, **headers: str) -> CandleBusError:
    with pytest.raises(CandleBusError) as caught:
        ask(name, FakeHttp(body, status, **headers))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(name)
    return caught.value


def test_exchanges_have_names() -> None:
    assert registry.names() == ["bingx", "kucoinfutures"]
    assert [registry.get(name).facts.name for name in EXCHANGES] == EXCHANGES


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kucoin", "unknown exchange 'kucoin': did you mean kucoinfutures?"),
        ("BingX", "unknown exchange 'BingX': did you mean bingx?"),
        ("bingex", "unknown exchange 'bingex': did you mean bingx?"),
        ("bingxswap", "unknown exchange 'bingxswap': did you mean bingx?"),
        ("qqqqqq", "unknown exchange 'qqqqqq'; known: bingx kucoinfutures, and ccxt's ids such as okx"),
        ("", "unknown exchange ''; known: bingx kucoinfutures, and ccxt's ids such as okx"),
    ],
)
def test_an_unknown_exchange_is_guessed_or_all_are_named(name: str, message: str) -> None:
    with pytest.raises(UnknownExchange) as caught:
        registry.get(name)
    assert str(caught.value) == message


def test_a_timeframe_that_the_exchange_lacks_is_refused_before_anything_is_asked() -> None:
    http: Any = FakeHttp()
    with pytest.raises(UnsupportedTimeframe, match="kucoinfutures has no 3m candles; it has: 1m 5m"):
        registry.get("kucoinfutures").candles(http, XBT, TIMEFRAMES["3m"], START, START)
    assert http.asked == []


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("body", [b"<html>blocked</html>", b"", b'{"code":1,"msg":"region"}'])
def test_a_refused_address_is_not_asked_again(name: str, body: bytes) -> None:
    error = refused(name, body, 451)
    assert isinstance(error, AccessRefused)
    assert str(error) == f"{name} refuses this address (HTTP 451, often by region); retrying will not help"
    assert isinstance(refused(name, body, 403), AccessRefused)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    "body",
    [b"error code: 1015", b"<h1>Error</span>\n <span>1015</span></h1> You are being rate limited", {"code": "1015"}],
)
def test_cloudflares_limit_is_a_limit_whatever_its_status(name: str, status: int, body: Any) -> None:
    error = refused(name, body, status)
    assert isinstance(error, RateLimited)
    assert error.pause_ms == 30_000


def test_a_body_of_blanks_is_looked_at_in_no_time() -> None:
    # Two runs of blanks that may match the same ones take time by the square of their number: seconds for this body.
    answer = response(b"error" + b" " * 65_000, 429)
    began = time.process_time()
    assert by_status(answer) is None
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_ban_lasts_as_long_as_it_says_or_an_hour(name: str) -> None:
    bans = [refused(name, b"", 418), refused(name, {"code": 100410}, 418), refused(name, b"", 418, retry_after="120")]
    assert all(isinstance(ban, RateLimited) for ban in bans)
    assert [ban.pause_ms for ban in bans if isinstance(ban, ExchangeError)] == [3_600_000, 3_600_000, 120_000]


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    ("headers", "pause_ms"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": "1.5"}, 1_500),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "99999999"}, 30 * 24 * 3_600_000),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:09 GMT", "date": DATE}, 9_000),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:09 GMT"}, None),
        ({"retry-after": "Tue, 31 Dec 2024 23:00:00 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 01 Jan 2098 00:00:00 GMT", "date": DATE}, 30 * 24 * 3_600_000),
    ],
)
def test_too_many_requests_pause_as_long_as_asked_or_documented(name: str, headers: Any, pause_ms: int | None) -> None:
    error = refused(name, b"", 429, **headers)
    assert isinstance(error, RateLimited)
    assert error.pause_ms == (pause_ms or {"bingx": 300_000, "kucoinfutures": 30_000}[name])


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b'{"code":7,"msg":"no"}', b'{"code":0}'])
def test_trouble_on_the_exchanges_side_may_pass(name: str, status: int, body: bytes) -> None:
    assert isinstance(refused(name, body, status), ExchangeUnavailable)


def test_a_busy_exchange_that_says_until_when_is_left_alone_until_then() -> None:
    error = refused("bingx", b"<html>", 503, retry_after="20")
    assert isinstance(error, RateLimited)
    assert error.pause_ms == 20_000
    assert isinstance(refused("bingx", b"<html>", 503, retry_after="later"), ExchangeUnavailable)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"<!DOCTYPE html><html>", 200, "a page of HTML"),
        (b"", 200, "an empty body"),
        (b" \n", 200, "an empty body"),
        (b"", 204, "HTTP 204"),
        (b"ok", 200, "no JSON of its own: ok"),
        (b"[]", 200, "no JSON of its own"),
        (b"\xef\xbb\xbf{}", 200, "no JSON"),
        (b"[" * 100_000, 200, "no JSON"),
        (b'{"code":0,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 200, "no JSON"),
        (b'{"data":[]}', 200, "no JSON"),
    ],
)
def test_what_is_no_answer_is_never_an_empty_page(name: str, body: bytes, status: int, words: str) -> None:
    error = refused(name, body, status)
    assert isinstance(error, MalformedPage)
    assert words in str(error)


def test_a_redirect_is_named_and_not_followed() -> None:
    error = refused("bingx", b"", 302, location="https://elsewhere/")
    assert isinstance(error, MalformedPage)
    assert "HTTP 302 to https://elsewhere/, which is not followed" in str(error)


@pytest.mark.parametrize("name", EXCHANGES)
def test_other_codes_and_statuses_say_what_the_exchange_said(name: str) -> None:
    for error in (refused(name, {"code": 12345, "msg": "odd\nthing"}), refused(name, {"code": "12345"}, 400)):
        assert type(error) is ExchangeError
        assert "12345" in str(error)
    assert "odd thing" in str(refused(name, {"code": 12345, "msg": "odd\nthing"}))
    assert type(refused(name, b"<html>not found</html>", 404)) is ExchangeError


@given(st.text(), st.text() | st.none())
def test_any_retry_after_is_a_pause_or_none(value: str, date: str | None) -> None:
    pause = retry_after_ms(value, date)
    assert pause is None or 1 <= pause <= LONGEST_PAUSE_MS


@given(st.integers(1, 86_400), st.integers(0, 4_000_000_000))
def test_seconds_and_dates_ask_for_the_same(seconds: int, now_s: int) -> None:
    until, now = formatdate(now_s + seconds, usegmt=True), formatdate(now_s, usegmt=True)
    assert retry_after_ms(str(seconds), None) == retry_after_ms(until, now) == seconds * 1000


@pytest.mark.parametrize(
    ("base", "symbol"), [("btc", "BTC/USDT:USDT"), ("A B", None), ("", None), ("X", "Y/USDT:USDT")]
)
def test_names_become_a_symbol_or_none(base: str, symbol: str | None) -> None:
    assert perpetual("bingx", base, "USDT", "usdt", {"X": "Y"}) == symbol


# Anything at all

numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.none(), st.booleans(), st.floats().map(str)
)


fields = st.sampled_from(["time", "open", "high", "low", "close", "volume"])
values = st.recursive(
    numbers | st.dictionaries(fields, numbers) | st.lists(numbers, min_size=5, max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)


codes = st.sampled_from([0, "0", "200000", 200000, None, 100410, "x"])


def judge(name: str, answer: Any) -> None:
    """Whatever comes back, it is a page or an error of ours."""
    exchange, http = registry.get(name), FakeHttp(answer)
    contract: Any = XBT if name == "kucoinfutures" else BTC
    questions = (
        lambda: exchange.candles(http, contract, MINUTE, START, START + 600_000),  # type: ignore[arg-type]
        lambda: exchange.server_time(http),  # type: ignore[arg-type]
        lambda: exchange.contracts(http),  # type: ignore[arg-type]
        lambda: exchange.ticker(http, contract),  # type: ignore[arg-type]
    )
    for question in questions:
        with contextlib.suppress(CandleBusError):
            question()


@pytest.mark.parametrize("name", EXCHANGES)
@given(st.binary(), st.sampled_from([200, 204, 302, 403, 404, 418, 429, 451, 500]), st.text(max_size=20))
def test_any_bytes_make_an_answer_or_an_error_of_ours(name: str, body: bytes, status: int, header: str) -> None:
    headers = {"retry-after": header, "date": header, "gw-ratelimit-reset": header}
    judge(name, response(body, status, **headers))


@pytest.mark.parametrize("name", EXCHANGES)
@given(codes, values)
def test_any_payload_makes_an_answer_or_an_error_of_ours(name: str, code: Any, data: Any) -> None:
    judge(name, response(json.dumps({"code": code, "msg": "m", "data": data}).encode()))
