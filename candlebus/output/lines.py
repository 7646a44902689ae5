"""Candles and aligned rows as jsonl and csv, every number printed so that it reads back unchanged."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TextIO

import msgspec

from bus.alignment import AlignedRow
from bus.messages import Candle

CANDLE_FIELDS: Final = ("exchange", "symbol", "timeframe", *Candle._fields)
_ENCODER = msgspec.json.Encoder()

#: Series as ``EXCHANGE:SYMBOL`` and its candles.
Columns = Iterable[tuple[str, Sequence[Candle]]]


def candle_lines(series: Columns, timeframe: str) -> Iterator[str]:
    """One JSON object a candle."""
    for values in _candle_values(series, timeframe):
        yield _line(dict(zip(CANDLE_FIELDS, values, strict=True)))


def row_lines(rows: Iterable[AlignedRow]) -> Iterator[str]:
    """One JSON object a row: ``open_time``, ``spread_ms`` and series → ``[open_time, o, h, l, c, v]``."""
    return (_line(row._asdict()) for row in rows)


def write_candles_csv(out: TextIO, series: Columns, timeframe: str) -> None:
    """A header and one line a candle."""
    _write_csv(out, CANDLE_FIELDS, _candle_values(series, timeframe))


def write_rows_csv(out: TextIO, rows: Iterable[AlignedRow], names: Sequence[str]) -> None:
    """A header and one line a row; columns ``<series>.<field>`` in the order of ``names``."""
    fields = [f"{name}.{field}" for name in names for field in Candle._fields]
    values = ([row.open_time, row.spread_ms, *(v for name in names for v in row.candles[name])] for row in rows)
    _write_csv(out, ("open_time", "spread_ms", *fields), values)


def _candle_values(series: Columns, timeframe: str) -> Iterator[tuple[Any, ...]]:
    for name, candles in series:
        exchange, _, symbol = name.partition(":")
        for candle in candles:
            yield (exchange, symbol, timeframe, *candle)


def _write_csv(out: TextIO, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def _line(record: dict[str, Any]) -> str:
    return _ENCODER.encode(record).decode() + "\n"
