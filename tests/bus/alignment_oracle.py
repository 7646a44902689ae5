"""The alignment rule written down as its definition, for inputs small enough to list every possible row."""

import itertools
from collections.abc import Sequence

Times = Sequence[Sequence[int]]
Row = tuple[int, ...]
PartialRow = tuple[int | None, ...]


def spread(row: Sequence[int]) -> int:
    return max(row) - min(row)


def conflict(one: PartialRow, other: PartialRow) -> bool:
    """Whether two rows share a candle or cross, judged on the series that both have."""
    shared = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return any(a == b for a, b in shared) or (any(a < b for a, b in shared) and any(a > b for a, b in shared))


def possible_rows(times: Times, tolerance_ms: int) -> list[Row]:
    return [row for row in itertools.product(*times) if spread(row) <= tolerance_ms]


def oracle(times: Times, tolerance_ms: int) -> list[Row]:
    """The rows as open times, in time order."""
    accepted: list[Row] = []
    for row in sorted(possible_rows(times, tolerance_ms), key=lambda row: (spread(row), min(row), sum(row))):
        if not any(conflict(row, other) for other in accepted):
            accepted.append(row)
    return sorted(accepted)


def members(row: PartialRow) -> list[int]:
    return [instant for instant in row if instant is not None]


def partial_oracle(times: Times, tolerance_ms: int, min_sources: int) -> list[PartialRow]:
    """Rows of at least ``min_sources`` members as open times, None where a series is absent; by earliest member."""
    candidates: list[PartialRow] = [
        row
        for row in itertools.product(*([*each, None] for each in times))
        if len(members(row)) >= min_sources and spread(members(row)) <= tolerance_ms
    ]
    accepted: list[PartialRow] = []
    for row in sorted(
        candidates, key=lambda r: (-len(members(r)), spread(members(r)), min(members(r)), sum(members(r)))
    ):
        if not any(conflict(row, other) for other in accepted):
            accepted.append(row)
    return sorted(accepted, key=lambda row: min(members(row)))
