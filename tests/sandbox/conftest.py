"""Stand-ins that a module's tests share."""

from collections.abc import Iterator

import pytest

from candlebus.sandbox import Sandbox

#: 2026-01-17 12:34:56.789 UTC.
NOW_MS = 1_768_653_296_789


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Both venues at one instant, without limits or faults."""
    with Sandbox(limit="off", clock=lambda: NOW_MS) as stand_ins:
        yield stand_ins
