"""Answers of an exchange that lie in what they say: each becomes an error of ours in no time, and nothing else."""

import json
import time
from typing import Any

import pytest

from bus.errors import CandleBusError, ExchangeError, MalformedPage
from bus.messages import Contract
from tests.workers.exchange_fakes import BTC, MINUTE, START, XBT, FakeHttp, FakeTime
from workers.contract_fetch import ContractFetch
from workers.exchanges import registry
from workers.http import MAX_BODY_BYTES
from workers.local_cache import LocalCache

EXCHANGES = registry.names()
SUCCESS = {"bingx": b"0", "kucoinfutures": b'"200000"'}


def answer(name: str, data: bytes) -> bytes:
    return b'{"code":' + SUCCESS[name] + b',"msg":"","data":' + data + b"}"


def candles(name: str, body: bytes) -> Any:
    contract = XBT if name == "kucoinfutures" else BTC
    return registry.get(name).candles(FakeHttp(body), contract, MINUTE, START, START + 600_000)  # type: ignore[arg-type]


def row(*values: object, open_time: int = START) -> bytes:
    return json.dumps([open_time, *values]).encode()


HONEST = row(2, 3, 1, 2, 5)
WRONG_NUMBERS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"1e19", b"123456789012345678901234567890", b"null", b"true",
    b'"text"', b'""', b'"nan"', b'"inf"', b'"1e999"', b'" 1"', b'"0x10"', b"9" * 5_000, b"[]", b"{}", b'"\\ud800"',
    b'"\xff"', b'"1\x00"',
]  # fmt: skip
WRONG_TIMES = [START // 1_000, START * 1_000, START + 1, 0, -START, 2**63, 9_999_999_999_999, START + 0.5]


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("number", WRONG_NUMBERS, ids=lambda number: repr(number[:12]))
@pytest.mark.parametrize("place", range(1, 6))
def test_a_number_that_cannot_be_makes_no_candle(name: str, number: bytes, place: int) -> None:
    values = [str(START).encode(), b"2", b"3", b"1", b"2", b"5"]
    values[place] = number
    try:
        page = candles(name, answer(name, b"[[" + b",".join(values) + b"]]"))
    except ExchangeError:
        return
    assert page.candles == []


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("open_time", WRONG_TIMES)
def test_an_open_time_in_another_unit_or_off_the_grid_makes_no_candle(name: str, open_time: Any) -> None:
    try:
        page = candles(name, answer(name, b"[" + row(2, 3, 1, 2, 5, open_time=open_time) + b"]"))
    except ExchangeError:
        return
    assert page.candles == []


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_price_of_minus_nothing_is_nothing(name: str) -> None:
    page = candles(name, answer(name, b"[" + row(-0.0, 1, -0.0, 1, -0.0) + b"]"))
    assert [tuple(candle) for candle in page.candles] == [(START, 0, 1, 0, 1, 0)]


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b'{"a":' * 100_000, b"\xef\xbb\xbf{}", b"\x00", b"\xff\xfe{\x00}\x00", b"{}{}", b'{"code":0',
        b"null", b"9" * 5_000, b'"\\ud800"', b'{"code":"\\ud800"}', b'{"code":0,"code":1}', b'{"data":[]}', b"NaN", b"",
        b'{"code":{"a":1},"data":[]}', b'{"code":true,"data":[]}', b'{"code":0.0,"data":[]}',
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_a_body_that_is_no_answer_is_an_error(name: str, body: bytes) -> None:
    with pytest.raises(CandleBusError):
        candles(name, body)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000, b"{}", b"5", b'"x"', b"[5]", b"[[]]", b"[null]", b"[[1,2]]",
        b"[" + HONEST + b"," + HONEST[:-2] + b"]", b"[" + HONEST + b"," + row(2, 3, 1, 2, 6) + b"]",
        b"[" + b",".join([HONEST] * 5_001) + b"]",
        b"[" + row(2, 3, 1, 2, 5, open_time=START + 86_400_000) + b"]",
    ],
    ids=["deep", "object", "number", "text", "number in list", "empty row", "null row", "short row", "torn row",
         "two candles of one time", "too many rows", "another span"],
)  # fmt: skip
def test_rows_that_contradict_what_a_page_is_make_none(name: str, data: bytes) -> None:
    try:
        page = candles(name, answer(name, data))
    except ExchangeError:
        return
    assert len({candle.open_time for candle in page.candles}) == len(page.candles) <= 1


def test_of_a_key_that_comes_twice_the_last_one_holds() -> None:
    twice = b'{"time":%d,"open":9,"open":2,"high":3,"low":1,"close":2,"volume":5}' % START
    assert candles("bingx", answer("bingx", b"[" + twice + b"]")).candles[0].open == 2
    over = b'{"code":0,"data":[],"data":[' + twice + b"]}"
    assert len(candles("bingx", over).candles) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    "piece", [b"[", b'{"a":', b"9", b" ", b"[1,", b'"', b"\\u0000", b"error ", HONEST + b",", b"1.", b"0." + b"0" * 15]
)
@pytest.mark.parametrize("status", [200, 429])
def test_the_largest_body_costs_little_time_whatever_it_holds(name: str, piece: bytes, status: int) -> None:
    body = piece * (MAX_BODY_BYTES // len(piece) - 10)
    contract = XBT if name == "kucoinfutures" else BTC
    for whole in (body, answer(name, b"[" + body)):
        began = time.process_time()
        with pytest.raises(CandleBusError):
            registry.get(name).candles(FakeHttp(whole, status), contract, MINUTE, START, START + 600_000)  # type: ignore[arg-type]
        assert time.process_time() - began < 10


# Contract lists


def listing(name: str, base: object = "BTC", symbol: object = "BTC-USDT", **more: object) -> dict[str, object]:
    if name == "bingx":
        return {"symbol": symbol, "asset": base, "currency": "USDT", "status": 1} | more
    return {"symbol": symbol, "baseCurrency": base, "quoteCurrency": "USDT", "settleCurrency": "USDT", "multiplier": 1,
            "isInverse": False, "status": "Open"} | more  # fmt: skip


def contracts(name: str, listings: list[dict[str, object]]) -> dict[str, Contract]:
    return registry.get(name).contracts(FakeHttp(answer(name, json.dumps(listings).encode())))  # type: ignore[arg-type]


NASTY_NAMES = [
    "", " ", "A B", "A:B", "A/B", "*", "?", "[a]", "{x}", "A\nB", "A\x00", "A\u202eB", "x" * 33, "../x", "%2e",
    "A&limit=1", "'", '"', ";",
]  # fmt: skip
NASTY_IDS = ["", "A B", "A&limit=1", "A\nB", "A?b", "A#b", "%0a", "x" * 65, "A\u202eB"]


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("nasty", NASTY_NAMES, ids=ascii)
def test_a_coin_of_a_hostile_name_is_left_out(name: str, nasty: str) -> None:
    found = contracts(name, [listing(name), listing(name, base=nasty, symbol="OTHER")])
    assert list(found) == ["BTC/USDT:USDT"]


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    "nasty", ["", "A B", "A&limit=1", "A\nB", "A?b", "A#b", "%0a", "x" * 65, "A\u202eB"], ids=ascii
)
def test_a_contract_of_a_hostile_name_is_left_out(name: str, nasty: str) -> None:
    found = contracts(name, [listing(name), listing(name, base="ETH", symbol=nasty)])
    assert list(found) == ["BTC/USDT:USDT"]


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("listings", [[], [{}], [{"symbol": "x"}]])
def test_a_list_of_nothing_is_no_list(name: str, listings: list[dict[str, object]]) -> None:
    with pytest.raises(MalformedPage):
        contracts(name, listings)


@pytest.mark.parametrize("name", EXCHANGES)
def test_of_two_contracts_of_one_name_the_first_one_stays(name: str) -> None:
    found = contracts(name, [listing(name), listing(name, symbol="EVIL-USDT")])
    assert found["BTC/USDT:USDT"].native_id == "BTC-USDT"


class Lister:
    """A venue that lists what it is told to."""

    def __init__(self, listed: dict[str, Contract]) -> None:
        self.facts = registry.get("bingx").facts
        self.listed = listed

    def contracts(self, _: Any) -> dict[str, Contract]:
        return self.listed


@pytest.mark.parametrize(
    "listed",
    [
        {f"C{n}/USDT:USDT": Contract(symbol=f"C{n}/USDT:USDT", native_id="x" * 1_000) for n in range(17_000)},
        {"A/B:B": Contract(symbol="A/B:B", native_id="A", multiplier=float("nan"))},
        {"A/B:B": Contract(symbol="A/B:B", native_id="A", multiplier=-1.0)},
        {"A/B:B": Contract(symbol="C/B:B", native_id="A")},
        {},
    ],
    ids=["huge", "nan", "negative", "misnamed", "empty"],
)
def test_a_list_that_its_readers_would_refuse_is_not_installed(listed: dict[str, Contract]) -> None:
    venue: Any = Lister(listed)
    clock: Any = FakeTime()
    cache = LocalCache(clock)
    with pytest.raises(MalformedPage):
        ContractFetch(venue, FakeHttp(), cache, clock).fetched()  # type: ignore[arg-type]
    assert ContractFetch(venue, FakeHttp(), cache, clock).last_good() is None  # type: ignore[arg-type]
