"""The properties of arbitrary bytes, asked by Hypothesis; ``make fuzz`` asks the same by coverage."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.bodies import VALUES
from tests.fuzz.conftest import TRIED
from tests.fuzz.properties import PROPERTIES, REAL
from tests.fuzz.run import CORPUS

#: For each property; 50,000 in all is what continuous integration promises.
EXAMPLES = 7_500

raw = st.binary(max_size=200)
#: Rows of candles, array or object, mostly honest; the first byte asks for candles, the second one says in which form.
rows = st.builds(
    lambda form, choices: bytes([24, form, *choices]),
    st.sampled_from([4, 5]),
    st.lists(st.sampled_from([0, 0, 1, 2, *range(4, 10), *range(len(VALUES))]), max_size=60),
)
#: A real message changed at a few places.
changed = st.builds(
    lambda kind, places: bytes([kind]) + b"".join(at.to_bytes(2, "big") + bytes([to]) for at, to in places),
    st.integers(0, len(REAL) - 1),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=9),
)
names = st.text(st.characters() | st.sampled_from("ABCZ019_.-$+:/*?[]{}\n"), max_size=40)
lines = st.lists(names, max_size=7).map(lambda texts: "\n".join(texts).encode("utf-8", "surrogatepass"))
asked = st.builds(
    lambda words, numbers: "\n".join([*words, *map(str, numbers)]).encode("utf-8", "surrogatepass"),
    st.tuples(
        names | st.just("r-1"), names | st.just("bingx"), names | st.just("BTC/USDT:USDT"), st.just("1m") | names
    ),
    st.tuples(*[st.integers(-(2**70), 2**70) | st.just(0) | st.just("")] * 3),
)
stated = st.builds(
    lambda value, date: f"{value}\n{date}".encode("latin-1", "replace"),
    st.text(max_size=30)
    | st.integers()
    | st.floats()
    | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %T GMT")),
    st.text(max_size=30) | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %T GMT")),
)
INPUTS = {
    "bingx": raw | rows,
    "kucoinfutures": raw | rows,
    "codec": raw | changed,
    "retry_after": raw | stated,
    "symbols": raw | lines,
    "fetch_request": raw | asked,
    "environment": raw | lines,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_holds_of_anything(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(INPUTS[name])
    @example(b"")
    def holds(data: bytes) -> None:
        TRIED[name] += 1
        PROPERTIES[name](data)

    holds()


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_corpus_holds(name: str) -> None:
    for path in (CORPUS / name).iterdir():
        PROPERTIES[name](path.read_bytes())


def test_the_corpus_is_small_and_every_property_has_one() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(PROPERTIES) == set(INPUTS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 100_000


@pytest.mark.parametrize("exchange", ["bingx", "kucoinfutures"])
def test_recorded_answers_with_a_few_bytes_changed_hold(exchange: str, recorded: Path) -> None:
    found = [json.loads(path.read_text()) for path in sorted((recorded / "recorded").glob(f"*{exchange[:6]}*kline*"))]
    bodies = [json.dumps(one["body"]).encode() for one in found if "body" in one]
    assert bodies

    @settings(max_examples=500, deadline=None, derandomize=True, database=None)
    @given(st.sampled_from(bodies), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6))
    def holds(body: bytes, places: list[tuple[int, int]]) -> None:
        bad = bytearray(body)
        for at, to in places:
            bad[at % len(bad)] = to
        PROPERTIES[exchange](bytes([24, 0]) + bytes(bad))

    holds()
