"""Faults of the streaming form alone: what it keeps, what it brings over a restart, what a commit lets through."""

from typing import Final

from tests.mutants.mutant import Mutant

_STREAM: Final = "bus/test_stream_alignment_properties.py::test_the_rows_of_the_stream_are_the_rows_of_the_batch"
_PROMPT: Final = "bus/test_stream_alignment_properties.py::test_every_row_that_the_watermarks_allow_is_out"
_LATE: Final = "bus/test_stream_alignment.py::"
_MEMBERS: Final = "bus/test_membership.py::test_the_stream_is_the_batch_that_follows_its_log"
_TAKEOVER: Final = (
    "workers/test_aligner_processes.py::"
    "test_who_is_silent_for_a_lease_loses_its_share_and_can_change_nothing_when_it_wakes"
)

#: Of the streaming form in memory.
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
    Mutant(
        "a page beyond a hole raises the watermark",
        "bus/stream_source.py",
        "elif since_ms > self.watermark_ms or since_ms > until_ms:",
        "elif since_ms > until_ms:",
        _STREAM,
    ),
    Mutant(
        "a hole that is filled does not free what was settled beyond it",
        "bus/stream_source.py",
        "        if self.spans:\n            self.watermark_ms = self._reach_ms",
        "        if not self.spans:\n            self.watermark_ms = self._reach_ms",
        _PROMPT,
    ),
    Mutant(
        "a candle that comes again is taken for the next one",
        "bus/stream_source.py",
        "if times[0] <= known_ms or",
        "if times[0] < known_ms or",
        _STREAM,
    ),
    Mutant(
        "candles of a page are taken for ascending",
        "bus/stream_source.py",
        "return all(map(operator.lt, times, islice(times, 1, None)))",
        "return True",
        _STREAM,
    ),
    Mutant(
        "series are taken to open alike as long as the first does",
        "bus/stream_rows.py",
        "if any(source.settled[:length] != run for source in sources):",
        "if any(source.settled[:1] != run[:1] for source in sources):",
        _STREAM,
    ),
    Mutant(
        "of a run in step one candle is decided too many",
        "bus/stream_rows.py",
        "source.decide(known[len(times)] if len(known) > len(times) else source.watermark_ms)",
        "source.decide(source.watermark_ms)",
        _STREAM,
    ),
    Mutant(
        "a stretch is closed though a candle to come can join it",
        "bus/stream_rows.py",
        "if not last_ms or end_ms - max(last_ms) > tolerance_ms:",
        "if True:",
        "bus/test_membership.py::test_rows_of_at_least_so_many_sources_are_those_of_the_definition",
    ),
    Mutant(
        "a source that comes back takes part from a time that others have decided",
        "bus/stream_members.py",
        "from_ms = max(last.from_ms, source.spans.end_ms or 0, source.decided_ms, *known_ms)",
        "from_ms = max(last.from_ms, source.spans.end_ms or 0, source.decided_ms)",
        _MEMBERS,
    ),
    Mutant(
        "a source is left out of rows that are out",
        "bus/stream_members.py",
        "from_ms = max(source.watermark_ms, decided_ms, self.log[0].from_ms)",
        "from_ms = max(source.watermark_ms, self.log[0].from_ms)",
        "bus/test_membership.py::test_a_source_is_left_out_only_after_the_rows_that_are_out",
    ),
    Mutant(
        "a source that never came back is taken for one that left",
        "bus/stream_source.py",
        "if from_ms > self.begin_ms:",
        "if from_ms:",
        "bus/test_membership.py::test_a_source_left_out_again_before_it_was_back_took_no_part_in_between",
    ),
    Mutant(
        "what comes again as it was is late",
        "bus/stream_memory.py",
        "        if kept <= known:\n            return None\n",
        "",
        f"{_LATE}test_an_older_form_of_a_decided_candle_is_not_late",
    ),
    Mutant(
        "a changed candle is late each time it comes",
        "bus/stream_memory.py",
        "        self._kept[at_ms] = kept\n        return",
        "        return",
        f"{_LATE}test_a_changed_candle_is_late_once_and_counted",
    ),
]

#: Of the commit and of who may make it.
COMMIT: Final = [
    Mutant(
        "what waited and is not pending any more is not missed",
        "workers/aligner/backlog.py",
        "return self._awaited > 0",
        "return False",
        "workers/test_aligner_recovery.py::test_it_is_read_again_though_an_owner_ended_in_the_middle_of_that",
    ),
    Mutant(
        "acknowledged entries count as awaited ones",
        "workers/aligner/backlog.py",
        "if self.was_read(entry_id) and not is_decided:",
        "if self.was_read(entry_id):",
        "workers/test_aligner_recovery.py::test_it_is_read_again_though_an_owner_ended_in_the_middle_of_that",
    ),
    Mutant(
        "a former owner may read",
        "bus/scripts/read_owned.lua",
        "if held ~= ARGV[1] then",
        "if not held then",
        "workers/test_aligner_recovery.py::test_a_former_owner_that_goes_on_reading_keeps_nothing_from_its_successor",
    ),
    Mutant(
        "a former owner may commit",
        "bus/scripts/commit_rows.lua",
        "if held[1] ~= ARGV[1] then",
        "if not held[1] then",
        "workers/test_aligner.py::test_a_former_owner_changes_nothing",
    ),
    Mutant(
        "a commit on top of another state than the last is let through",
        "bus/scripts/commit_rows.lua",
        "if (held[2] or '0') ~= ARGV[2] then",
        "if false then",
        "workers/test_aligner_recovery.py::test_an_owner_whose_server_went_back_takes_up_what_the_server_has",
    ),
    Mutant(
        "a row that is there is written again",
        "bus/scripts/commit_rows.lua",
        "if tonumber(open_time) <= last then return end",
        "if false then return end",
        "workers/test_aligner.py::test_the_commit_itself_leaves_out_rows_that_are_there",
    ),
    Mutant(
        "rows are written again where the state was lost",
        "workers/aligner/group.py",
        "if row.open_time > self._written_ms]",
        "if row]",
        "workers/test_aligner.py::test_a_row_that_is_there_is_not_written_again_even_if_the_state_was_lost",
    ),
    Mutant(
        "entries whose candles wait are acknowledged",
        "workers/aligner/backlog.py",
        "while count < len(self._loaded) and is_decided(self._loaded[count].until):",
        "while count < len(self._loaded):",
        "workers/test_aligner_stories.py::test_every_row_is_written_once_whoever_dies_when",
    ),
    Mutant(
        "a successor does not read what was delivered and not acknowledged",
        "workers/aligner/group.py",
        'self._unread: dict[str, str] = dict.fromkeys(self._series, "0-0")',
        "self._unread: dict[str, str] = {}",
        "workers/test_aligner.py::test_what_a_former_owner_had_read_and_not_committed_is_read_again",
    ),
    Mutant(
        "a lease that has run out is kept",
        "bus/scripts/hold_groups.lua",
        "ends <= now or",
        "ends <= 0 or",
        _TAKEOVER,
    ),
    Mutant(
        "the fence stays as it is when the owner changes",
        "bus/scripts/hold_groups.lua",
        "local raised = redis.pcall('HINCRBY', KEYS[i], 'fence', 1)",
        "local raised = tonumber(held[3] or redis.call('HINCRBY', KEYS[i], 'fence', 1))",
        _TAKEOVER,
    ),
]
