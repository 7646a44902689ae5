"""Rows as callers have them, checked, and their open times taken out; a million rows are not looked at one by one."""

import operator
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, NamedTuple

from bus.errors import RequestError

#: Exchange → symbol → rows ``[open_time, open, high, low, close, volume]``, of which only the open time is read.
Data = Mapping[str, Mapping[str, Sequence[Sequence[Any]]]]

_BLOCK: Final = 1_024
_WHOLE_BLOCK: Final = struct.Struct(f"{_BLOCK}q")


class Given(NamedTuple):
    """The rows of one series as they came.

    Attributes:
        name: What to call it in errors.
        rows: The caller's own objects.
        times: Their open times in ms as native int64, or as a list where one does not fit. Unless they rise from above
            1, a bool may have passed for 0 or 1.
    """

    name: str
    rows: Sequence[Any]
    times: bytes | list[int]

    def looked_at(self) -> "Given":
        """The same after a look at each row.

        Raises:
            RequestError: A row is no sequence that begins with an int; the message says which.
        """
        times = [_open_time(row, f"row {k} of {self.name}") for k, row in enumerate(self.rows)]
        try:
            return self._replace(times=struct.pack(f"{len(times)}q", *times))
        except struct.error:
            return self._replace(times=times)


def named_rows(data: Data) -> Iterator[tuple[tuple[str, str], Any]]:
    """Each series as (exchange, symbol), and what is said to be its rows.

    Raises:
        RequestError: There is no mapping where one belongs.
    """
    for exchange, symbols in _checked_mapping(data, "data").items():
        for symbol, rows in _checked_mapping(symbols, str(exchange)).items():
            yield (exchange, symbol), rows


def given(rows: Any, name: str) -> Given:
    """The rows of one series with their open times.

    Raises:
        RequestError: They are no sequence of sequences that begin with an int; the message says which series and row.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise RequestError(f"align: {name} is a {type(rows).__name__}; write a list of [ts, o, h, l, c, v]")
    packed = _packed(rows)
    return Given(name, rows, b"").looked_at() if packed is None else Given(name, rows, packed)


def _packed(rows: Sequence[Any]) -> bytes | None:
    """The open times as int64; None where rows are not all lists or all tuples, or an open time is no int64."""
    first: type = type(rows[0]) if rows else list
    if not issubclass(first, list | tuple):
        return None
    read = list.__getitem__ if issubclass(first, list) else tuple.__getitem__
    blocks = []
    try:
        for start in range(0, len(rows), _BLOCK):
            times: tuple[Any, ...] = tuple(map(read, rows[start : start + _BLOCK], repeat(0)))
            whole = len(times) == _BLOCK
            blocks.append(_WHOLE_BLOCK.pack(*times) if whole else struct.pack(f"{len(times)}q", *times))
    except (TypeError, IndexError, struct.error):
        return None
    return b"".join(blocks)


def _open_time(row: Any, what: str) -> int:
    if not isinstance(row, Sequence) or isinstance(row, str | bytes) or not row:
        raise RequestError(f"align: {what} is {row!r:.60}; write [ts, o, h, l, c, v]")
    if isinstance(row[0], bool) or not hasattr(row[0], "__index__"):
        raise RequestError(f"align: {what} opens at {row[0]!r:.60}; write an int of ms")
    return operator.index(row[0])


def _checked_mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(
            f"align: {what} is a {type(value).__name__}; write {{exchange: {{symbol: [[ts, o, h, l, c, v], ...]}}}}"
        )
    return value
