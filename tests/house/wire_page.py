"""The page of the wire contract, read."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/wire.md").read_text()
Row = dict[str, str]


def table_after(text: str) -> list[Row]:
    """The first table after that text, as rows of column → cell."""
    block = re.search(r"(?:^\|.*\|\n)+", PAGE[PAGE.index(text) :], re.MULTILINE)
    assert block is not None
    header, _, *lines = ([cell.strip() for cell in line[1:-1].split("|")] for line in block.group().splitlines())
    return [dict(zip(header, cells, strict=True)) for cells in lines]


def name_of(row: Row) -> str:
    return next(iter(row.values())).strip("`")
