"""Arrays as callers have them: their open times checked and brought into canonical order."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bus.column_times import Indices, Instants, is_rising
from bus.errors import RequestError

Array = npt.NDArray[Any]

#: Names under which a series' columns may hold its open times: ours, and that of the wire.
_TIMES: Final = ("open_time", "t")


class Side(NamedTuple):
    """One series.

    Attributes:
        times: Open times, ms, strictly rising, with the offset added.
        columns: Field → values, as given.
        field: Which of the columns holds ``times`` themselves; None where they had to be corrected or put in order.
        order: Where each of ``times`` stands in the columns; None where all stand there as they do here.
    """

    times: Instants
    columns: dict[str, Array]
    field: str | None
    order: Indices | None

    def places(self, indices: Indices) -> Indices:
        """The places in the columns of these of the open times."""
        return indices if self.order is None else self.order[indices]

    def is_whole(self, places: Indices) -> bool:
        """Whether those places are all of them, in order."""
        return self.order is None and len(places) == len(self.times)

    def instants(self, indices: Indices, picked: dict[str, Array]) -> Instants:
        """These of the open times, ms, which ``picked`` columns may hold already."""
        return self.times.take(indices) if self.field is None else picked[self.field]


def picked(sides: Mapping[str, Side], places: Mapping[str, Indices]) -> dict[str, dict[str, Array]]:
    """The columns of each series at its places; themselves where those are all of them in order.

    They stand in one piece of memory, which for large ones the system hands out in large pages: several times quicker
    than memory for each column.
    """
    parted = [side for name, side in sides.items() if not side.is_whole(places[name])]
    count = max(map(len, places.values()), default=0)
    room = np.empty((sum(len(side.columns) for side in parted), count), np.int64)
    rooms = iter(room)

    def take(values: Array, at: Indices) -> Array:
        mine = next(rooms)
        if values.dtype.hasobject or values.dtype.itemsize != room.itemsize:
            return values.take(at)
        return values.take(at, out=mine.view(values.dtype), mode="clip")

    return {
        name: side.columns
        if side.is_whole(places[name])
        else {field: take(values, places[name]) for field, values in side.columns.items()}
        for name, side in sides.items()
    }


def side(series: Any, name: str, offset_ms: int) -> Side:
    """The series called ``name``: its columns by field, or its open times alone.

    Raises:
        RequestError: It has no open times, or they are no int64, or its columns differ in length.
    """
    columns = {field: np.asarray(values) for field, values in _named(series).items()}
    field = next((field for field in _TIMES if field in columns), None)
    if field is None:
        raise RequestError(f"align: {name} has no column of open times; name one of: {' '.join(_TIMES)}")
    if any(values.shape != (len(columns[field]),) for values in columns.values()):
        raise RequestError(f"align: columns of {name} differ in length, or have more than one dimension")
    times = _instants(columns[field], name, offset_ms)
    if is_rising(times):
        return Side(times, columns, field if times is columns[field] else None, None)
    order = times.argsort(kind="stable")
    ascending = times[order]
    is_latest = np.append(ascending[1:] != ascending[:-1], values=True)
    return Side(ascending[is_latest], columns, None, order[is_latest])


def _named(series: Any) -> Mapping[str, Any]:
    return series if isinstance(series, Mapping) else {_TIMES[0]: series}


def _instants(times: Array, name: str, offset_ms: int) -> Instants:
    if times.dtype.kind not in "iu" and len(times):
        raise RequestError(f"align: open times of {name} are {times.dtype}; write ints of ms")
    if not len(times):
        return np.empty(0, np.int64)
    if times.dtype == np.int64 and not offset_ms:
        return times
    least, greatest = int(times.min()), int(times.max())
    bounds = np.iinfo(np.int64)
    if min(least, least + offset_ms) < bounds.min or max(greatest, greatest + offset_ms) > bounds.max:
        raise RequestError(f"align: open times of {name} with an offset of {offset_ms} ms are beyond int64")
    instants = times.astype(np.int64, copy=False)
    return instants + offset_ms if offset_ms else instants
