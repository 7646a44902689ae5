"""What a program in Python may give the bus: taken as it is meant, or refused at the call with what to give instead."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from redis import Redis

from bus import keys
from bus.errors import RequestError
from candlebus.candle_bus import CandleBus
from producers.client import Producer

BTC = "bingx:BTC/USDT:USDT"
FIRST_OF_JUNE = 1_748_736_000_000


@pytest.fixture
def bus(redis: Redis, server: str) -> Iterator[CandleBus]:
    with CandleBus(server) as shared:
        yield shared


WRONG_SPANS: list[tuple[dict[str, Any], str]] = [
    ({"limit": 5.0}, "limit 5.0 is no whole number; give an int from 1 to"),
    ({"limit": True}, "limit True is no whole number"),
    ({"limit": "5"}, "limit '5' is no whole number"),
    ({"limit": np.float64(5)}, "is no whole number"),
    ({"since": 1.75e12}, "since 1750000000000.0 is no whole number; write ISO 8601"),
    ({"since": FIRST_OF_JUNE, "until": 1.76e12}, "until 1760000000000.0 is no whole number"),
    ({"since": 1_795_000_000}, "since 1795000000 would be 1970-01-21T18:36:40Z in ms"),
    ({"since": datetime(2025, 6, 1)}, "since 2025-06-01 00:00:00 has no timezone"),  # noqa: DTZ001
    ({"since": pd.Timestamp("2025-06-01")}, "has no timezone"),
    ({"since": pd.NaT}, "since NaT has no timezone"),
    ({"since": date(2025, 6, 1)}, "is no whole number; write ISO 8601, such as 2025-06-01"),
    ({"since": "yesterday"}, "since 'yesterday' is no time; write ISO 8601"),
    ({"since": [FIRST_OF_JUNE]}, "is no whole number"),
]
WRONG_SERIES: list[tuple[Any, Any, str]] = [
    (None, "30m", "None is no"),
    (5, "30m", "5 is no"),
    (b"bingx:BTC/USDT:USDT", "30m", "is no text; write a series such as"),
    (BTC, None, "timeframe None is no text; candlebus serves: 1m"),
    (BTC, 30, "timeframe 30 is no text"),
    (BTC, ["30m"], "is no text"),
]


@pytest.mark.parametrize(("span", "words"), WRONG_SPANS, ids=lambda given: repr(given)[:40])
def test_a_span_of_a_wrong_type_is_refused_before_anything_is_asked(
    bus: CandleBus, redis: Redis, span: dict[str, Any], words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        bus.fetch(BTC, "30m", **span, timeout_s=1)
    with pytest.raises(RequestError, match=words):
        bus.enqueue(BTC, "30m", **span)
    assert redis.keys("*") == []


@pytest.mark.parametrize(("series", "timeframe", "words"), WRONG_SERIES, ids=lambda given: repr(given)[:40])
def test_a_series_or_a_timeframe_that_is_no_text_is_refused_before_anything_is_asked(
    bus: CandleBus, redis: Redis, series: Any, timeframe: Any, words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        bus.fetch(series, timeframe, limit=5, timeout_s=1)
    with pytest.raises(RequestError):
        bus.enqueue(series, timeframe, limit=5)
    with pytest.raises(RequestError):
        bus.subscribe(series, timeframe)
    with pytest.raises(RequestError):
        Producer(redis).enqueue(series, timeframe, limit=5)
    assert redis.keys("*") == []


@pytest.mark.parametrize("given", [{"limit": 5.0}, {"limit": True}, {"since": 1.75e12}, {"limit": 5, "request_id": 7}])
def test_a_producer_refuses_what_no_worker_could_claim(redis: Redis, given: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Producer(redis).enqueue(BTC, "30m", **given)
    assert redis.keys("*") == []


@pytest.mark.parametrize("start", [None, 5, "then"])
def test_a_place_that_is_none_is_refused_when_one_subscribes(bus: CandleBus, start: Any) -> None:
    with pytest.raises(RequestError, match="neither start, now nor an entry id"):
        bus.subscribe(BTC, "30m", start=start)


@pytest.mark.parametrize("timeout_s", ["5", float("nan"), -1])
def test_a_time_to_give_up_after_that_is_none_is_refused(bus: CandleBus, redis: Redis, timeout_s: Any) -> None:
    with pytest.raises(RequestError, match=r"timeout_s .* is no number of seconds"):
        bus.fetch(BTC, "30m", limit=5, timeout_s=timeout_s)
    assert redis.keys("*") == []


@pytest.mark.parametrize(
    "since",
    [
        FIRST_OF_JUNE,
        np.int64(FIRST_OF_JUNE),
        "2025-06-01",
        "2025-06-01T02:00+02:00",
        datetime(2025, 6, 1, tzinfo=UTC),
        datetime(2025, 6, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2025-06-01", tz="UTC"),
    ],
    ids=repr,
)
def test_an_instant_is_ms_or_iso_text_or_a_datetime_with_a_timezone(bus: CandleBus, since: Any) -> None:
    request = bus.enqueue(BTC, "30m", since=since).status().request
    assert (request.since, request.until, request.limit) == (FIRST_OF_JUNE, None, None)


def test_the_whole_numbers_of_numpy_and_its_text_are_as_good_as_any(bus: CandleBus, redis: Redis) -> None:
    pending = bus.enqueue(np.str_(BTC), np.str_("30m"), limit=np.int64(5))  # type: ignore[arg-type]
    assert pending.id == bus.enqueue(BTC, "30m", limit=5).id
    assert redis.hget(keys.request(pending.id), "args") == (
        b'{"exchange":"bingx","limit":5,"symbol":"BTC/USDT:USDT","timeframe":"30m"}'
    )
