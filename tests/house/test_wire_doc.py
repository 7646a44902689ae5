"""The page of the wire contract says what the code does: messages with fields and types, and its example."""

import json
import re
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from bus import codec, fetch_request, messages, queue
from bus.codec import candles_of, columns, decode, encode
from bus.messages import Candle, CandleBatch, Gap
from tests.house.wire_page import PAGE, name_of, table_after


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
