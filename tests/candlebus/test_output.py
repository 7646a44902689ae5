"""Forms, files and lines of the output."""

import json
import os
import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import polars
import pytest

from bus.alignment import AlignedRow
from bus.errors import SettingsError, SpanError
from bus.fetch_request import FetchRequest
from bus.instants import duration, instant_ms, iso
from bus.messages import Candle, Gap
from bus.requests import RequestStatus
from candlebus.output import lines, parquet
from candlebus.output.files import destination, whole_file
from candlebus.output.forms import form_of
from candlebus.output.tables import candle_table, number, row_table, show
from producers.result import FetchResult
from tests.helpers import MINUTE_MS, candle

A, B = "bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"
AWKWARD = Candle(0, 0.1 + 0.2, 1e300, 5e-324, 123456.789012345, 1e22)


@pytest.mark.parametrize(
    ("asked", "path", "is_terminal", "form"),
    [
        (None, None, True, "table"),
        (None, None, False, "jsonl"),
        ("csv", None, True, "csv"),
        (None, Path("a.CSV"), True, "csv"),
        (None, Path("a.jsonl"), True, "jsonl"),
        ("table", Path("a.txt"), False, "table"),
        (None, Path("a.parquet"), True, "parquet"),
        ("parquet", Path("a"), False, "parquet"),
    ],
)
def test_the_form_is_asked_for_or_told_by_suffix_or_place(
    asked: str | None, path: Path | None, is_terminal: bool, form: str
) -> None:
    assert form_of(asked, path, is_terminal=is_terminal) == form


def test_parquet_is_for_files() -> None:
    with pytest.raises(SettingsError, match="--format parquet is for files; add -o FILE"):
        form_of("parquet", None, is_terminal=False)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01", 0),
        ("0", 0),
        ("1748736000000", 1_748_736_000_000),
        ("2025-06-01", 1_748_736_000_000),
        ("2025-06-01T00:00", 1_748_736_000_000),
        ("2025-06-01T00:00:00.250Z", 1_748_736_000_250),
        ("2025-06-01T02:00:00+02:00", 1_748_736_000_000),
        ("1969-12-31T23:59:59.999", -1),
    ],
)
def test_times_are_iso_8601_in_utc_or_ms(text: str, instant: int) -> None:
    assert instant_ms("since", text) == instant


@pytest.mark.parametrize("text", ["", "now", "20250601", "1748736000", "2025-13-01", "-5", "1e12", "١٢"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SpanError, match="write ISO 8601"):
        instant_ms("since", text)


def test_instants_and_durations_are_readable() -> None:
    assert iso(1_748_736_000_000) == "2025-06-01T00:00:00Z"
    assert iso(1_748_736_000_001) == "2025-06-01T00:00:00.001Z"
    assert iso(10**18) == "1000000000000000000 ms"
    assert [duration(s) for s in (0.04, 9.9, 42, 90, 5400)] == ["0.0 s", "9.9 s", "42 s", "1 min 30 s", "1 h 30 min"]
    assert [number(value) for value in (78034.0, 0.5, 5e-06, 1e300)] == ["78034", "0.5", "5e-06", "1e+300"]


def test_every_float_reads_back_unchanged() -> None:
    columns = [("bingx:BTC/USDT:USDT", [AWKWARD])]
    (line,) = lines.candle_lines(columns, "30m")
    written = StringIO()
    lines.write_candles_csv(written, columns, "30m")
    from_csv = written.getvalue().splitlines()[1].split(",")
    assert tuple(json.loads(line)[field] for field in Candle._fields) == AWKWARD
    assert (int(from_csv[3]), *map(float, from_csv[4:])) == AWKWARD


def test_rows_keep_the_order_of_the_series() -> None:
    row = AlignedRow(0, 5, {"b:X/Y:Y": Candle(5, 1, 1, 1, 1, 1), "a:X/Y:Y": AWKWARD})
    (line,) = lines.row_lines([row])
    assert list(json.loads(line)["candles"]) == ["b:X/Y:Y", "a:X/Y:Y"]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    with whole_file(file) as out:
        out.write("first")
        assert not file.exists()
    with pytest.raises(ZeroDivisionError), whole_file(file) as out:
        out.write("second" * (1 // 0))
    assert file.read_text() == "first"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_keeps_pointing_and_a_device_is_written_to(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "pipe"
    link.symlink_to(file)
    with whole_file(link) as out:
        out.write("through")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(pipe) as out:
        out.write("flows")
    assert link.is_symlink()
    assert file.read_text() == "through"
    assert os.read(reader, 100) == b"flows"
    os.close(reader)
    assert pipe.is_fifo()


def fetched() -> FetchResult:
    """Two minutes of A, one of B, B partial."""
    request = FetchRequest(request_id="r1", exchange="bingx", symbol="BTC/USDT:USDT", timeframe="1m", limit=2)
    status = RequestStatus(request=request, state="done", turn=1, attempt=1, since=0, until=2 * MINUTE_MS)
    return FetchResult(
        timeframe="1m",
        candles={A: [AWKWARD, candle(MINUTE_MS)], B: [candle(MINUTE_MS, 2.0)]},
        gaps={A: [], B: [Gap(0, MINUTE_MS, "unavailable")]},
        errors={},
        statuses={A: status},
        volume_units={A: "base", B: "contracts"},
    )


def test_a_parquet_file_reads_back_unchanged_and_says_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    with whole_file(file) as out:
        parquet.write(out.buffer, fetched(), None, None)
        assert not file.exists()
    frame = polars.read_parquet(file)
    assert frame.columns == ["exchange", "symbol", "timeframe", *Candle._fields]
    assert frame.schema["open_time"] == polars.Datetime("ms", "UTC")
    assert frame.select(Candle._fields[1:]).row(0) == AWKWARD[1:]
    said = json.loads(polars.read_parquet_metadata(file)["candlebus"])
    assert (said["version"], said["timeframe"], said["complete"]) == (version("candlebus"), "1m", False)
    assert said["aligned"] is None
    assert said["series"] == {
        A: {
            "request": {"request_id": "r1", "since": None, "until": None, "limit": 2},
            "since": 0,
            "until": 2 * MINUTE_MS,
            "candles": 2,
            "gaps": [],
            "volume_unit": "base",
        },
        B: {
            "request": {"request_id": None, "since": None, "until": None, "limit": None},
            "since": None,
            "until": None,
            "candles": 1,
            "gaps": [[0, MINUTE_MS, "unavailable"]],
            "volume_unit": "contracts",
        },
    }


def test_a_parquet_file_of_rows_is_wide_and_tells_the_tolerance(tmp_path: Path) -> None:
    file, result = tmp_path / "a.parquet", fetched()
    with whole_file(file) as out:
        parquet.write(out.buffer, result, result.aligned(), 60_000)
    frame = polars.read_parquet(file)
    assert frame.columns[:3] == ["open_time", "spread_ms", f"{A}.open_time"]
    assert frame[f"{B}.close"].to_list() == [2.0]
    assert json.loads(polars.read_parquet_metadata(file)["candlebus"])["aligned"] == {"tolerance_ms": 29_999}


def test_without_polars_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(SettingsError, match=r"polars is not installed; try: pip install 'candlebus\[polars\]'"):
        parquet.check_installed()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder"), destination(tmp_path):
        pass


def test_tables_line_up_their_points_and_show_both_ends() -> None:
    candles = [Candle(minute * 60_000, 2.0, 3.25, 1.0, 2.5, 7.0) for minute in range(20)]
    out = StringIO()
    show(out, candle_table("bingx:BTC/USDT:USDT", "1m", candles))
    shown = out.getvalue()
    assert "20 candles" in shown
    assert "3.25" in shown
    assert shown.count("1970-01-01T") == 10
    assert shown.count("\n") < 20


def test_a_table_of_nothing_is_a_table() -> None:
    out = StringIO()
    show(out, row_table("aligned 1m", [], ["a:X/Y:Y", "b:X/Y:Y"]))
    show(out, candle_table("bingx:BTC/USDT:USDT", "1m", []))
    assert "aligned 1m: 0 rows" in out.getvalue()
