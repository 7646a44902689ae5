"""Says after the tests how many examples the properties of arbitrary bytes were tried on."""

from collections import Counter
from typing import Any

#: By property.
TRIED: Counter[str] = Counter()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the count, where there is one."""
    if TRIED:
        terminalreporter.write_line(f"properties of arbitrary bytes: {TRIED.total():,} examples {dict(TRIED)}")
