"""Runs the tests of one file by itself and counts them in its last line."""

import sys
from pathlib import Path

import pytest


class _Count:
    """How many tests ran, and how many of them failed at any stage."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran.add(report.nodeid)
        if report.outcome != "passed":
            self.failed.add(report.nodeid)


def run_alone(file: str, venue: str) -> int:
    """Run the tests of the file and print ``Results: PASSED/ALL tests passed (VENUE)`` last.

    Returns:
        The exit code: 0 when there are tests and all of them have passed, else 1.
    """
    count = _Count()
    root = Path(__file__).resolve().parent.parent
    stopped = pytest.main(["-vv", f"--rootdir={root}", f"--confcutdir={root}", "-p", "no:cacheprovider", file], [count])
    passed = len(count.ran - count.failed)
    sys.stdout.write(f"Results: {passed}/{len(count.ran)} tests passed ({venue})\n")
    sys.stdout.flush()
    return int(stopped != 0 or passed < len(count.ran) or not passed)
