"""``docs/compatibility.md`` names tests; each of them exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/compatibility.md").read_text()
FILES = dict(re.findall(r"^\| `([A-Z])` \| `(tests/[a-z_/]+\.py)` \|", PAGE, re.MULTILINE))
NAMED = re.findall(r"`([A-Z]|tests/[a-z_/]+\.py)::(test_\w+)`", PAGE)


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_the_page_names_exists() -> None:
    known = {file: names_in(FILES.get(file, file)) for file, _ in NAMED}
    assert [f"{file}::{name}" for file, name in NAMED if name not in known[file]] == []


def test_the_page_names_every_test_of_the_two_suites() -> None:
    for suite in ("B", "K"):
        assert names_in(FILES[suite]) - {name for file, name in NAMED if file == suite} == set()


def test_every_line_of_a_table_that_promises_something_names_a_test() -> None:
    promises = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 4]
    body = [line for line in promises if not re.match(r"\| (---|of the original|field|key|here|`[A-Z]`)", line)]
    assert len(body) > 40
    assert [line for line in body if "::test_" not in line] == []
