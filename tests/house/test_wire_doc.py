"""The page of the wire contract says what the code does: fields, types, bounds, lives, keys, and its example."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
import rq.defaults
from redis import Redis

from bus import cache, codec, fetch_request, keys, messages, queue, requests, safe_job, series, timeframes
from bus.codec import candles_of, columns, decode, encode
from bus.errors import SpanError
from bus.messages import Candle, CandleBatch, Gap
from bus.requests import RequestBook
from tests.helpers import request as a_request
from workers import breaker, turn
from workers.exchanges import pauses

PAGE = (Path(__file__).parents[2] / "docs/wire.md").read_text()
Row = dict[str, str]


def table_after(text: str) -> list[Row]:
    """The first table after that text, as rows of column → cell."""
    block = re.search(r"(?:^\|.*\|\n)+", PAGE[PAGE.index(text) :], re.MULTILINE)
    assert block is not None
    header, _, *lines = ([cell.strip() for cell in line[1:-1].split("|")] for line in block.group().splitlines())
    return [dict(zip(header, cells, strict=True)) for cells in lines]


def name_of(row: Row) -> str:
    return next(iter(row.values())).strip("`")


def numbers_in(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


def example() -> CandleBatch:
    """The batch that the page shows."""
    since = 1_700_000_040_000
    candles = [
        Candle(since, 36_800.5, 36_812.0, 36_795.1, 36_801.2, 1.25),
        Candle(since + 120_000, 36_801.2, 36_801.2, 36_790.0, 36_790.3, 0.004),
    ]
    return CandleBatch(
        exchange="kucoinfutures",
        symbol="BTC/USDT:USDT",
        timeframe="1m",
        request_id="example",
        page=0,
        version=1_700_000_300_123,
        since=since,
        until=since + 180_000,
        volume_unit="base",
        n=len(candles),
        gaps=(Gap(since + 60_000, since + 120_000, "no_trades"),),
        **columns(candles),
    )


def as_json(batch: CandleBatch) -> str:
    """The batch with its columns as numbers, a field a line."""
    fields = {"type": "candles.v1"} | {name: getattr(batch, name) for name in batch.__struct_fields__}
    fields |= {name: list(codec.numbers("q" if name == "t" else "d", fields[name])) for name in "tohlcv"}
    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()) + "\n}"


def as_hex(batch: CandleBatch) -> str:
    """The bytes of the batch with what they mean, a field or an element a line."""
    fields = {"type": "candles.v1"} | {name: getattr(batch, name) for name in batch.__struct_fields__}
    lines = [(f"de{len(fields):04x}", f"map of {len(fields)} fields")]
    for name, value in fields.items():
        key = packed(name)
        if isinstance(value, bytes):
            lines.append((f"{key} c4{len(value):02x}", f"{name}: {len(value)} bytes"))
            values = codec.numbers("q" if name == "t" else "d", value)
            lines += [("  " + value[8 * i : 8 * i + 8].hex(), f"  {number}") for i, number in enumerate(values)]
        elif isinstance(value, tuple):
            lines.append((f"{key} 9{len(value):x}", f"{name}: array of {len(value)}"))
            for gap in value:
                lines.append(("  93", "  array of 3"))
                lines += [("    " + packed(part), f"    {part}") for part in gap]
        else:
            lines.append((f"{key} {packed(value)}", f"{name}: {value}"))
    return "\n".join(f"{left:<50}{right}" for left, right in lines)


def packed(value: str | int) -> str:
    return msgspec.msgpack.encode(value).hex()


def code_block(language: str, after: str) -> str:
    found = re.search(rf"```{language}\n(.*?)\n?```", PAGE[PAGE.index(after) :], re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_example_on_the_page_is_what_the_code_writes() -> None:
    assert code_block("json", "## An example in hex") == as_json(example())
    assert code_block("", "Its bytes") == as_hex(example())


def test_the_hex_of_the_example_decodes_to_the_values_beside_it_and_back() -> None:
    body = bytes.fromhex("".join(line[:50] for line in code_block("", "Its bytes").splitlines()))
    batch = decode(body, CandleBatch)
    assert encode(batch) == body
    shown = json.loads(code_block("json", "## An example in hex"))
    assert [list(candle) for candle in candles_of(batch)] == [
        list(row) for row in zip(*(shown[name] for name in "tohlcv"), strict=True)
    ]
    assert [list(gap) for gap in batch.gaps] == shown["gaps"]
    plain = {name: value for name, value in shown.items() if name not in {"type", "gaps", *"tohlcv"}}
    assert plain == {name: getattr(batch, name) for name in plain}


def wire_type(annotation: Any, nothing: str) -> str:
    """How the page calls a type."""
    plain = {
        bytes: "bin",
        str: "string",
        int: "int",
        float: "float64",
        bool: "bool",
        NoneType: nothing,
        messages.Terms: "map of terms",
    }
    of = {
        messages.AlignedSource: "columns",
        messages.Contract: "contracts",
        Gap: "gaps",
        messages.Rejected: "rejected rows",
    }
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "string"
    if origin is UnionType:
        return " or ".join(wire_type(arg, nothing) for arg in args)
    if origin is dict:
        return f"map of {of[args[1]]}"
    if origin is tuple:
        return f"array of {of[args[0]]}"
    return plain[annotation]


def fields_of(kind: type, nothing: str = "nil") -> list[tuple[str, str]]:
    tag = [("type", "string")] if getattr(getattr(kind, "__struct_config__", None), "tag", None) else []
    return tag + [(name, wire_type(hint, nothing)) for name, hint in get_type_hints(kind).items()]


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (messages.CandleBatch, "### `candles.v1`"),
        (messages.Gap, "A gap is an array of three"),
        (messages.AlignedBatch, "### `aligned.v1`"),
        (messages.LateCandles, "### `late.v1`"),
        (messages.AlignedSource, "The columns of a source are a map"),
        (messages.ContractMap, "### `contracts.v1`"),
        (messages.Contract, "A contract is a map"),
        (messages.Terms, "The terms of a contract are a map"),
        (messages.DeadLetter, "### `dead.v1`"),
        (messages.QuarantinedRows, "### `quarantine.v1`"),
        (messages.Rejected, "A rejected row is an array of three"),
    ],
)
def test_fields_and_types_of_a_message_are_those_of_the_code(kind: type, before: str) -> None:
    assert [(name_of(row), row["type"]) for row in table_after(before)] == fields_of(kind)


def test_the_arguments_of_a_request_are_those_of_the_code() -> None:
    rows = table_after("### `candlebus.fetch_candles`")
    assert [(name_of(row), row["type"]) for row in rows] == fields_of(fetch_request.FetchRequest, nothing="null")


def test_the_functions_and_their_names_are_those_of_the_code() -> None:
    assert re.findall(r"^### `(candlebus\.\w+)`", PAGE, re.MULTILINE) == [queue.FETCH_CANDLES, queue.REFRESH_CONTRACTS]


def test_every_layout_is_on_the_page() -> None:
    tags = {str(kind.__struct_config__.tag) for kind in codec._KINDS}
    assert {tag for tag in tags if f"`{tag}`" not in PAGE} == set()


@pytest.mark.parametrize(
    ("literal", "before", "field"),
    [
        (messages.VolumeUnit, "### `candles.v1`", "volume_unit"),
        (messages.LateReason, "### `late.v1`", "reason"),
        (messages.RejectReason, "A rejected row is an array of three", "reason"),
        (get_type_hints(messages.ContractMap)["source"], "### `contracts.v1`", "source"),
    ],
)
def test_a_field_of_few_values_names_them_all(literal: Any, before: str, field: str) -> None:
    meaning = next(row["meaning"] for row in table_after(before) if name_of(row) == field)
    assert tuple(re.findall(r"`(\w+)`", meaning)) == get_args(literal)


def test_gap_reasons_are_those_of_the_code_and_losses_are_told() -> None:
    rows = table_after("| reason |")
    assert tuple(name_of(row) for row in rows) == get_args(messages.GapReason)
    assert {name_of(row) for row in rows if row["a loss"] == "no"} == messages.HARMLESS_GAPS


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
    assert {name_of(row) for row in table_after("The first turn of a request opens its record")} == known | {
        "stalls",
        "cancel",
    }


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
