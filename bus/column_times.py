"""What the rooms of numpy columns share: arrays of open times, and what can be said of them at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]


def is_rising(values: npt.NDArray[np.signedinteger]) -> bool:
    """Whether every value is greater than the one before."""
    return bool((values[1:] > values[:-1]).all())


def smallest_spacing_ms(times: Sequence[Instants]) -> int | None:
    """The smallest distance of two neighbours in one series, ms; None where no series has two."""
    return min((int((each[1:] - each[:-1]).min()) for each in times if len(each) > 1), default=None)


def envelope(instants: Sequence[Instants]) -> tuple[Instants, Instants]:
    """The earliest open time of each row, ms, and how far its latest one lies after it, ms.

    Args:
        instants: For each series the open times of its candles in the rows, ms.
    """
    if not instants:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    earliest, latest = instants[0].copy(), instants[0].copy()
    for each in instants[1:]:
        np.minimum(earliest, each, out=earliest)
        np.maximum(latest, each, out=latest)
    latest -= earliest
    return earliest, latest


def close_enough(times: Sequence[Instants], taken: list[Indices], tolerance_ms: int) -> list[Indices]:
    """Of the rows those whose candles are all within the tolerance of one another.

    Args:
        times: Open times of each series, ms.
        taken: Indices into each, one a row.
        tolerance_ms: Greatest distance within a row, ms, inclusive.
    """
    fits = envelope([each.take(indices) for each, indices in zip(times, taken, strict=True)])[1] <= tolerance_ms
    return taken if fits.all() else [indices[fits] for indices in taken]
