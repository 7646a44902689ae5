"""What a series and a request may say."""

import msgspec
import pytest

from bus.errors import RequestError, SeriesError, SpanError
from bus.fetch_request import FetchRequest
from bus.series import Series
from tests.helpers import request


@pytest.mark.parametrize(
    "text", ["bingx:BTC/USDT:USDT", "kucoinfutures:1000PEPE/USDT:USDT", "okx:BTC/USD:BTC-260327", "x_1:A.B-c/D:E"]
)
def test_a_series_comes_back_as_it_was_written(text: str) -> None:
    assert str(Series.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "bingx", "bingx:", ":BTC/USDT:USDT", "bingx:BTC", "bingx:BTC-USDT", "BINGX:BTC/USDT:USDT", "bingx:*/USDT:USDT",
     "bingx:BTC/USDT:USDT\n", "bingx:BTC/USDT:USDT:X", "bingx:" + "A" * 99 + "/USDT:USDT", "http://x/y:z"],
)  # fmt: skip
def test_text_that_is_no_series_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SeriesError, match="is not a series; write EXCHANGE:BASE/QUOTE:SETTLE"):
        Series.parse(text)


def test_a_spot_symbol_is_answered_with_the_perpetual() -> None:
    with pytest.raises(SeriesError, match="bingx:BTC/USDT is spot; the perpetual is bingx:BTC/USDT:USDT"):
        Series.parse("bingx:BTC/USDT")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"limit": None}, "either a limit or a since"),
        ({"since": 0}, "limit and since exclude each other"),
        ({"limit": 0}, "limit 0 is not between 1 and"),
        ({"limit": -5}, "limit -5 is not between 1 and"),
        ({"limit": 10**9}, "is not between 1 and"),
        (
            {"limit": None, "since": 5, "until": 5},
            "since 1970-01-01T00:00:00.005Z is not before until 1970-01-01T00:",
        ),
        ({"limit": None, "since": -1}, "since -1 is no time"),
        ({"until": 2**60}, "is no time in ms"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused_with_its_values(changes: dict[str, int], complaint: str) -> None:
    with pytest.raises(SpanError, match=complaint):
        msgspec.structs.replace(request(), **changes).check()


@pytest.mark.parametrize("request_id", ["", "a b", "ü", "x" * 65, "a:b", "a\n"])
def test_a_request_id_that_would_not_be_one_part_of_a_key_is_refused(request_id: str) -> None:
    with pytest.raises(RequestError, match="request id"):
        request(request_id).check()


def test_unknown_arguments_of_a_request_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**msgspec.structs.asdict(request()), "url": "http://x"}, FetchRequest)
