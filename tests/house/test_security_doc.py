"""The threat table is complete, and every test that it names exists; what it says of the code in general holds."""

import re
from functools import cache
from pathlib import Path

import pytest

from workers.supervisor import command

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
ROWS = [line.removeprefix("| ").removesuffix(" |").split("|") for line in PAGE.splitlines() if line.startswith("| S")]
SOURCES = [path for room in ("bus", "producers", "workers", "candlebus") for path in (ROOT / room).rglob("*.py")]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def names_in(path: str) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_every_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert name in names_in(path)


def test_every_threat_has_a_row() -> None:
    assert [row[0].strip() for row in ROWS] == [f"S{number}" for number in range(1, 35)]


def test_every_row_names_a_test_or_says_that_it_is_not_yet() -> None:
    unproven = [row[0].strip() for row in ROWS if "::test_" not in row[3] and "not yet" not in row[2]]
    assert unproven == []


def test_scripts_are_constants() -> None:
    runs = re.compile(r"\.(eval|eval_ro|register_script|script_load|execute_command)\(")
    assert [path.name for path in SOURCES if runs.search(path.read_text())] == ["__init__.py"]
    assert runs.search((ROOT / "bus/scripts/__init__.py").read_text())
    texts = [path.read_text() for path in (ROOT / "bus/scripts").glob("*.lua")]
    assert not [text for text in texts if re.search(r"loadstring|dofile|redis\.(p?)call\(\s*ARGV", text)]


def test_nothing_of_ours_unpickles_or_evaluates() -> None:
    tells = re.compile(r"\b(pickle|marshal|shelve|dill)\b|(?<![\w.])(eval|exec)\(|yaml\.load\(|shell=True")
    assert [str(path) for path in SOURCES if tells.search(path.read_text())] == []


def test_processes_are_started_without_the_working_directory() -> None:
    assert command("worker", "bingx")[1:] == ["-P", "-m", "workers", "worker", "bingx"]
