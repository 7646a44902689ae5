"""The page of the wire contract says what the code does: records, bounds, lives and keys."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import rq.defaults
from redis import Redis

from bus import cache, codec, fetch_request, keys, messages, requests, safe_job, series, timeframes
from bus.errors import SpanError
from bus.requests import RequestBook
from tests.helpers import request as a_request
from tests.house.wire_page import PAGE, name_of, table_after
from workers import breaker, turn
from workers.exchanges import pauses


def numbers_in(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


def test_states_of_a_request_are_those_of_the_code() -> None:
    assert tuple(name_of(row) for row in table_after("| state |")) == get_args(requests.State)


def test_patterns_and_timeframes_are_those_of_the_code() -> None:
    meanings = {name_of(row): row["meaning"] for row in table_after("### `candlebus.fetch_candles`")}
    assert f"`{series.NAME.pattern}`" in meanings["request_id"]
    assert f"`{series._EXCHANGE.pattern}`" in meanings["exchange"]
    assert f"`{series._SYMBOL.pattern}`" in meanings["symbol"]
    assert re.findall(r"`(\w+)`", meanings["timeframe"]) == list(timeframes.TIMEFRAMES)
    assert numbers_in(meanings["limit"]) == [1, fetch_request.MAX_LIMIT]
    for name in ("since", "until"):
        assert "from 0, below 2^53" in meanings[name]
    fetch_request.check_span(2**53 - 2, 2**53 - 1, None)
    with pytest.raises(SpanError):
        fetch_request.check_span(0, 2**53, None)


def test_fields_of_the_record_are_those_of_the_code() -> None:
    spelled = {"request": "args", "failure": "error"}
    known = {spelled.get(name, name) for name in requests.RequestStatus.__struct_fields__}
    assert {name_of(row) for row in table_after("The first turn of a request opens its record")} == known | {"stalls"}


def test_the_record_holds_no_field_that_the_page_does_not_name(redis: Redis) -> None:
    named = {name_of(row) for row in table_after("The first turn of a request opens its record")}
    book = RequestBook(redis)
    for request_id in ("failed", "cancelled"):
        claim = book.claim(a_request(request_id), 0, "worker")
        assert not isinstance(claim, str)
        book.fix_span(claim, 0, 60_000)
        if request_id == "failed":
            book.fail(claim, SpanError("no"))
        else:
            book.cancel(request_id, "bingx")
        found: Any = redis.hkeys(keys.request(request_id))
        assert {name.decode() for name in found} <= named
        assert {"args", "state", "since", "next_ms"} <= {name.decode() for name in found}
    error = json.loads(redis.hget(keys.request("failed"), "error") or "{}")
    assert {"type", "message"} <= set(error)


BOUNDS = {
    "`limit` of a request": fetch_request.MAX_LIMIT,
    "candles in a batch": messages.MAX_CANDLES_PER_BATCH,
    "bytes of a message": codec.MAX_MESSAGE_BYTES,
    "bytes of a job's `data`, inflated": safe_job.MAX_JOB_BYTES,
    "pages in a turn": turn.PAGES_A_TURN,
    "a candle is closed so long after its end": timeframes.SETTLE_MS // 1000,
    "a dead worker's request is taken up by another after": requests.LEASE_MS // 1000,
    "requests for one exchange that our client has open at once": requests.MAX_OPEN,
    "attempts in a row without a page, after which a request fails": requests.MAX_STALLS,
    "an exchange that answers nothing but errors is waited for": breaker.OUTAGE_S,
    "silence that an exchange may ask for before requests fail": pauses.LONGEST_WAIT_MS / 3_600_000,
    "entries of a candle stream at which publishers wait": keys.STREAM_HIGH_WATER,
    "entries of an aligned stream, about": keys.ALIGNED_MAX_ENTRIES,
    "entries of a late stream, about": keys.LATE_MAX_ENTRIES,
    "dead letters of a stream, about": keys.DEAD_MAX_ENTRIES,
    "entries of a quarantine, about": keys.QUARANTINE_MAX_ENTRIES,
}


def test_bounds_are_those_of_the_code() -> None:
    assert {row["what"]: numbers_in(row["value"])[0] for row in table_after("## Bounds")} == BOUNDS


def test_bounds_in_the_text_are_those_of_the_code() -> None:
    meanings = {name_of(row): row["meaning"] for row in table_after("### `candles.v1`")}
    assert numbers_in(meanings["n"]) == [0, messages.MAX_CANDLES_PER_BATCH]
    assert f"A message is at most {codec.MAX_MESSAGE_BYTES:,} bytes" in PAGE
    assert f"one for each turn of at most {turn.PAGES_A_TURN} pages" in PAGE
    assert f"candle is closed {timeframes.SETTLE_MS // 1000} s after its end" in PAGE
    assert f"The record lives {keys.REQUEST_TTL_MS // 1000} s\nafter" in PAGE
    assert f"Entries are kept {keys.STREAM_KEEP_MS // 1000} s" in PAGE


def test_lives_of_a_job_are_those_of_the_code_and_of_rq() -> None:
    holds = {name_of(row): row["holds"] for row in table_after("| field of the job |")}
    assert numbers_in(holds["data"]) == [safe_job.MAX_JOB_BYTES]
    assert numbers_in(holds["timeout"]) == [safe_job.TURN_TIMEOUT_S]
    assert numbers_in(holds["result_ttl"]) == [safe_job.FAILED_JOB_TTL_S, 0, safe_job.RESULT_TTL_S]
    assert numbers_in(holds["failure_ttl"]) == [safe_job.FAILED_JOB_TTL_S]
    assert safe_job.RESULT_TTL_S == rq.defaults.DEFAULT_RESULT_TTL


def builders() -> dict[str, Callable[..., str]]:
    found = inspect.getmembers(keys, inspect.isfunction)
    return {name: made for name, made in found if not name.startswith("_") and made.__module__ == keys.__name__}


def pattern_of(build: Callable[..., str]) -> str:
    return build(*(f"<{name}>" for name in inspect.signature(build).parameters))


def test_every_key_of_the_code_is_on_the_page_and_no_other() -> None:
    named = [name_of(row) for row in table_after("## Keys")]
    assert sorted(named) == sorted(pattern_of(build) for build in builders().values())


@pytest.mark.parametrize("name", list(builders()))
def test_the_type_of_a_key_is_the_one_that_the_code_states(name: str) -> None:
    build = builders()[name]
    row = next(row for row in table_after("## Keys") if name_of(row) == pattern_of(build))
    stated = re.match(r"(Sorted set|Set|String|Hash|List|Stream|Name|Consumer group)\b", build.__doc__ or "")
    assert stated is not None
    assert re.match(rf"{stated.group().lower()}\b", row["type"])
    assert row["for whom"] in ("public", "own")


@pytest.mark.parametrize(
    ("name", "life_ms"),
    [
        ("candles", keys.STREAM_KEEP_MS),
        ("request", keys.REQUEST_TTL_MS),
        ("pages", keys.REQUEST_TTL_MS),
        ("contracts", keys.CONTRACTS_TTL_MS),
        ("clock", keys.CLOCK_TTL_MS),
        ("load_lease", cache.LOAD_LEASE_MS),
    ],
)
def test_the_life_of_a_key_is_the_constant(name: str, life_ms: int) -> None:
    row = next(row for row in table_after("## Keys") if name_of(row) == pattern_of(builders()[name]))
    assert numbers_in(row["life"])[0] * 1000 == life_ms


def test_keys_in_the_text_are_keys_of_the_code() -> None:
    known = {pattern_of(build) for build in builders().values()}
    assert set(re.findall(r"`(candlebus:[^`]+)`", PAGE)) <= known


def test_every_link_of_the_page_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if not link.startswith("https://")]
    anchors = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    folder = Path(__file__).parents[2] / "docs"
    assert [link for link in links if not (link[1:] in anchors if link[0] == "#" else (folder / link).exists())] == []
