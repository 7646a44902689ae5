"""Faults of the streaming form alone: what it keeps, and what it brings over a restart."""

from typing import Final

from tests.mutants.mutant import Mutant

_STREAM: Final = "bus/test_stream_alignment_properties.py::test_the_rows_of_the_stream_are_the_rows_of_the_batch"

STREAM: Final = [
    Mutant(
        "the version that came last holds",
        "bus/stream_source.py",
        "elif kept > known:",
        "else:",
        _STREAM,
    ),
    Mutant(
        "pages whose candles wait are not taken again after a restart",
        "bus/stream_alignment.py",
        "return before_ms <= known.decided_ms or (known.end_ms <= known.decided_ms and before_ms <= known.begin_ms)",
        "return known.end_ms <= before_ms or True",
        _STREAM,
    ),
    Mutant(
        "watermarks are forgotten at a restart",
        "bus/stream_source.py",
        "self._memory.restore(memory)",
        "self._memory.restore(memory)\n        self.watermark_ms = self.decided_ms",
        "bus/test_stream_alignment_properties.py::test_a_restart_changes_nothing_that_can_be_seen",
    ),
]
