"""Faults of the rule itself and of its batch form on lists and arrays."""

from typing import Final

from tests.mutants.mutant import Mutant

_RULE: Final = "bus/test_alignment_properties.py::test_the_rows_are_those_of_the_definition"
_STREAM: Final = "bus/test_stream_alignment_properties.py::test_the_rows_of_the_stream_are_the_rows_of_the_batch"
_COLUMNS: Final = "bus/test_alignment_columns.py::test_dense_series_have_the_rows_of_the_lists"
_SPACED: Final = "bus/test_alignment_columns.py::test_spaced_series_have_the_rows_of_the_lists"
_BARS: Final = "bus/test_alignment_columns.py::test_bars_have_the_rows_of_the_lists"
_ARRAYS: Final = "bus/test_alignment_arrays.py::test_the_rows_on_arrays_are_the_rows_on_lists"

#: Of the walk, which both forms share.
WALK: Final = [
    Mutant(
        "no look for a tighter row",
        "bus/closest_first.py",
        "elif self._next_instant(instants.index(earliest)) - latest >= latest - earliest:",
        "elif True:",
        _RULE,
    ),
    Mutant(
        "a row as tight as the one before is preferred to it",
        "bus/closest_first.py",
        "            if reach - earliest < least:",
        "            if reach - earliest <= least:",
        "bus/test_alignment_properties.py::test_the_rows_are_those_of_the_definition_where_candles_are_dense",
    ),
    Mutant(
        "the tolerance is exclusive",
        "bus/closest_first.py",
        "if earliest < latest - self._tolerance and self._drop_before(latest - self._tolerance):",
        "if earliest <= latest - self._tolerance and self._drop_before(latest - self._tolerance + 1):",
        _RULE,
    ),
    Mutant(
        "the part left of the tightest row is not solved",
        "bus/closest_first.py",
        "        if not self._chain:\n            self._emit(row)",
        "        if row:\n            self._chain.clear()\n            self._emit(row)",
        _RULE,
    ),
    Mutant(
        "the walk stays within a part that is solved",
        "bus/closest_first.py",
        "self._emit(self._accepted.pop())\n        self._enter_part()",
        "self._emit(self._accepted.pop())",
        _RULE,
    ),
    Mutant(
        "a run of exact matches ends one candle late",
        "bus/closest_first.py",
        "return length + sum(1 for _ in agreeing)",
        "return length + sum(1 for _ in agreeing) + 1",
        _RULE,
    ),
    Mutant(
        "the chase does not wait for what may come",
        "bus/closest_first.py",
        "                if not complete:\n                    return None\n",
        "",
        _STREAM,
    ),
    Mutant(
        "the bound of an unknown candle is off",
        "bus/closest_first.py",
        "return self._times[series][k] if k < self._limits[series] else self._beyond[series]",
        "return self._times[series][k] if k < self._limits[series] else self._beyond[series] + 9",
        _STREAM,
    ),
    Mutant(
        "an unknown head is taken for one that never comes",
        "bus/closest_first.py",
        "self._beyond = self._never if inner else self._settled",
        "self._beyond = self._never",
        _STREAM,
    ),
    Mutant(
        "spans beyond a hole count as settled, so unsafe candles are used",
        "bus/spans.py",
        "at = bisect_right(self._since, start_ms) - 1",
        "at = len(self._since) - 1",
        "bus/test_stream_alignment.py::test_a_hole_in_what_is_settled_holds_every_later_row",
    ),
]

#: Of the batch form on lists.
LISTS: Final = [
    Mutant(
        "the tolerance is clamped to half a timeframe instead of below it",
        "bus/alignment_options.py",
        "(timeframe_ms - 1) // 2",
        "timeframe_ms // 2",
        "bus/test_alignment.py::test_the_effective_tolerance_is_below_half_a_timeframe",
    ),
    Mutant(
        "of two rows with one open time the earlier holds",
        "bus/list_columns.py",
        "held = dict(zip(times, rows, strict=True))",
        "held = dict(zip(reversed(times), reversed(rows), strict=True))",
        "bus/test_alignment.py::test_of_two_rows_with_one_open_time_the_later_in_the_list_holds",
    ),
    Mutant(
        "a source stamped with the close is not corrected",
        "bus/list_columns.py",
        "[t + offset_ms for t in times] if offset_ms else times",
        "times",
        "bus/test_alignment.py::test_a_series_stamped_with_the_close_is_matched_by_its_corrected_times",
    ),
    Mutant(
        "small partial rows come before large ones",
        "bus/partial_alignment.py",
        "for size in range(len(times), max(min_sources, 1) - 1, -1):",
        "for size in range(max(min_sources, 1), len(times) + 1):",
        "bus/test_alignment_partial.py::test_complete_rows_are_the_same_as_without_partial_ones",
    ),
    Mutant(
        "a bool passes for an open time",
        "bus/list_columns.py",
        "chain((1,), times)",
        "chain((-(2**99),), times)",
        "bus/test_alignment_arrays.py::test_an_open_time_that_is_no_int_is_refused_with_its_place",
    ),
]

#: Of the batch form on arrays.
ARRAYS: Final = [
    Mutant(
        "bars are cut where a row can cross",
        "bus/column_bars.py",
        "bars.width_ms + tolerance_ms >= step_ms",
        "bars.width_ms >= step_ms",
        _BARS,
    ),
    Mutant(
        "two candles of a series in one bar go unnoticed",
        "bus/column_bars.py",
        "if self.width_ms and (",
        "if self.width_ms < 0 and (",
        _BARS,
    ),
    Mutant(
        "two candles of a bar go unnoticed where blocks meet",
        "bus/column_bars.py",
        "bar[0] == before or ",
        "",
        "bus/test_alignment_columns.py::test_two_candles_of_a_bar_are_seen_where_blocks_meet",
    ),
    Mutant(
        "the candles of a bar are a row however far apart",
        "bus/column_bars.py",
        "taken if bars.width_ms <= tolerance_ms else",
        "taken if taken else",
        _BARS,
    ),
    Mutant(
        "the search is used where candles compete",
        "bus/column_rows.py",
        "if 2 * tolerance_ms < spacing_ms:",
        "if tolerance_ms < spacing_ms:",
        _SPACED,
    ),
    Mutant(
        "partners of one candle are not compared with one another",
        "bus/column_rows.py",
        "return close_enough(times, ordered, tolerance_ms)",
        "return ordered",
        _SPACED,
    ),
    Mutant(
        "an exact match does not part the islands beside it",
        "bus/column_islands.py",
        "(merged[1:] - merged[:-1] > tolerance_ms) | (part[1:] != part[:-1])",
        "(merged[1:] - merged[:-1] > tolerance_ms)",
        _COLUMNS,
    ),
    Mutant(
        "islands are put so close together that they touch",
        "bus/column_islands.py",
        "(length_ms + reach_ms + 1) if counts",
        "(length_ms + reach_ms) if counts",
        _COLUMNS,
    ),
    Mutant(
        "of two candles in columns the earlier holds",
        "bus/column_input.py",
        "np.append(ascending[1:] != ascending[:-1], values=True)",
        "np.append(True, ascending[1:] != ascending[:-1])",
        "bus/test_alignment_columns.py::test_unsorted_columns_are_put_in_order_and_of_two_candles_the_later_holds",
    ),
    Mutant(
        "a row that is left out comes back",
        "bus/array_columns.py",
        "start = left_out + 1",
        "start = left_out",
        _ARRAYS,
    ),
]
