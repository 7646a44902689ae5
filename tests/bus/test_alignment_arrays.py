"""Lists that are long enough are aligned on arrays inside: the same objects come out."""

import random
import subprocess
import sys
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import alignment, array_columns, list_columns
from bus.alignment import align_candles, align_timestamps
from bus.errors import RequestError
from bus.messages import Candle
from tests.bus.thoroughness import cases

MINUTE = 60_000
BTC = "BTC/USDT:USDT"

#: With gaps, out of order, twice, before 1970, beyond int64.
times = st.lists(st.integers(-5, 40) | st.integers(0, 40).map(lambda k: k * 10), max_size=30)
far = st.sampled_from([0, 1_700_000_000_000, 2**63 - 45, 2**64])


def data(columns: list[list[int]]) -> dict[str, dict[str, list[Any]]]:
    return {f"x{i}": {BTC: [[t, i, k] for k, t in enumerate(column)]} for i, column in enumerate(columns)}


@pytest.fixture(params=["list_columns", "array_columns"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both forms, whatever the number of candles."""
    monkeypatch.setattr(alignment, "ARRAYS_FROM", 0 if request.param == "array_columns" else 10**9)
    return str(request.param)


@cases(full=8_500)
@given(st.lists(times, min_size=1, max_size=4), far, st.sampled_from([0, 4, 5, 10, 60]), st.booleans())
def test_the_rows_on_arrays_are_the_rows_on_lists(
    columns: list[list[int]], origin: int, tolerance: int, tells: bool
) -> None:
    given_data = data([[origin + t for t in column] for column in columns])
    found = []
    for form in (list_columns, array_columns):
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr(alignment, "_form", lambda sizes, form=form: form)
            aligned = align_timestamps(given_data, tolerance, timeframe_ms=10 if tells else None, by_symbol=True)
            found.append({name: [id(row) for row in symbols[BTC]] for name, symbols in aligned.items()})
    assert found[0] == found[1]


@pytest.mark.parametrize("missing", [0.0, 0.01, 0.5])
def test_many_candles_come_back_as_the_same_objects(form: str, missing: float) -> None:
    chance = random.Random(3)  # noqa: S311 - the same data every time
    series = {
        name: [Candle(k * MINUTE, 1.0, 2.0, 0.5, 1.5, k) for k in range(3_000) if chance.random() >= missing]
        for name in "abc"
    }
    rows = align_candles(series, 29_999, MINUTE)
    common = sorted(set.intersection(*({candle.open_time for candle in each} for each in series.values())))
    assert [row.open_time for row in rows] == common
    assert all(row.candles["a"] is series["a"][k] for row, k in zip(rows, places(series["a"], common), strict=True))


def places(candles: list[Candle], open_times: list[int]) -> list[int]:
    at = {candle.open_time: k for k, candle in enumerate(candles)}
    return [at[t] for t in open_times]


@pytest.mark.parametrize("odd", [True, 1.5, "0", None])
@pytest.mark.parametrize("place", [0, 5, 1_500])
def test_an_open_time_that_is_no_int_is_refused_with_its_place(form: str, odd: Any, place: int) -> None:
    rows = [[k * MINUTE, 1.0] for k in range(2_000)]
    rows[place] = [odd, 1.0]
    with pytest.raises(RequestError, match=rf"row {place} of x:{BTC} opens at {odd!r}; write an int of ms"):
        align_timestamps({"x": {BTC: rows}})


@pytest.mark.parametrize("row", [(0, 1.0), range(2)])
def test_rows_of_several_types_are_taken_one_by_one(form: str, row: Any) -> None:
    given_data = {"x": {BTC: [[MINUTE, 1.0], row]}, "y": {BTC: (row, [MINUTE])}}
    assert align_timestamps(given_data, timeframe_ms=MINUTE)["y"][BTC] == [row, [MINUTE]]


def test_the_spacing_is_that_of_all_series_with_partners(form: str) -> None:
    given_data = data([[0, 50], [7, 50, 90]]) | {"alone": {"ETH/USDT:USDT": [[0], [1]]}}
    with pytest.warns(UserWarning, match="smallest spacing, 40 ms"):
        align_timestamps(given_data, 20, by_symbol=True)


@pytest.mark.parametrize(
    ("candles", "is_loaded", "expected"),
    [(299, True, "list_columns"), (300, True, "array_columns"), (90_000, False, "list_columns")],
)
def test_arrays_serve_where_they_pay(candles: int, is_loaded: bool, expected: str) -> None:
    code = f"""
import sys
{"import numpy" if is_loaded else ""}
from bus.alignment import _form
print(_form([{candles}] * 2).__name__, "numpy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"bus.{expected}", str(is_loaded)]


def test_lists_serve_where_numpy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "ARRAYS_FROM", 0)
    monkeypatch.delattr("bus.array_columns")
    monkeypatch.setitem(sys.modules, "bus.array_columns", None)
    assert align_timestamps(data([[0, 5], [5]]), 0)["x0"][BTC] == [[5, 0, 1]]
