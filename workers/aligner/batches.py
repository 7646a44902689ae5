"""Rows of a group as messages: each message holds rows of the same series."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from bus.alignment import AlignedRow
from bus.codec import column, columns
from bus.messages import AlignedBatch, AlignedSource, Group

_ROWS_A_BATCH: Final = 500


def aligned_batches(group: Group, rows: Sequence[AlignedRow]) -> Iterator[tuple[int, AlignedBatch]]:
    """The rows in batches, each with the open time of its last row, ms.

    Args:
        rows: Earliest first.
    """
    for _, alike in groupby(rows, key=_names):
        run = list(alike)
        for start in range(0, len(run), _ROWS_A_BATCH):
            part = run[start : start + _ROWS_A_BATCH]
            yield part[-1].open_time, aligned_batch(group, part)


def aligned_batch(group: Group, rows: Sequence[AlignedRow]) -> AlignedBatch:
    """Rows of a group as one message.

    Args:
        rows: At least one, earliest first, all of the same series.
    """
    return AlignedBatch(
        group=group.name,
        timeframe=group.timeframe,
        sources={name: AlignedSource(**columns([row.candles[name] for row in rows])) for name in rows[0].candles},
        n=len(rows),
        t=column("q", [row.open_time for row in rows]),
        spread=column("q", [row.spread_ms for row in rows]),
    )


def _names(row: AlignedRow) -> tuple[str, ...]:
    return tuple(row.candles)
