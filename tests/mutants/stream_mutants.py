"""Faults of the streaming form alone: what it keeps, and what it brings over a restart."""

from typing import Final

from tests.mutants.mutant import Mutant

_STREAM: Final = "bus/test_stream_alignment_properties.py::test_the_rows_of_the_stream_are_the_rows_of_the_batch"

STREAM: Final = [
    Mutant(
        "the version that came last holds",
        "bus/stream_source.py",
        "self.pending[at_ms] = max(self.pending[at_ms], kept)",
        "self.pending[at_ms] = kept",
        _STREAM,
    ),
    Mutant(
        "candles that wait are lost at a restart",
        "bus/stream_source.py",
        'self.pending, self.remembered = _by_time(state["pending"]), _by_time(state["remembered"])',
        'self.pending, self.remembered = {}, _by_time(state["remembered"])',
        _STREAM,
    ),
    Mutant(
        "watermarks are forgotten at a restart",
        "bus/stream_source.py",
        'self.watermark_ms = state["decided_ms"], state["late"], state["watermark_ms"]',
        'self.watermark_ms = state["decided_ms"], state["late"], state["decided_ms"]',
        "bus/test_stream_alignment_properties.py::test_a_restart_changes_nothing_that_can_be_seen",
    ),
]
