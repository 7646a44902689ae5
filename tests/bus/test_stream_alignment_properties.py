"""The rows of the stream are the rows of the batch, whatever way the candles arrive."""

import itertools
import math
import random
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.alignment import AlignedRow
from bus.closest_first import closest_first
from bus.messages import Candle
from bus.stream_alignment import StreamAligner
from tests.bus.alignment_oracle import oracle
from tests.bus.thoroughness import cases

thorough = cases(full=6_000)

TIMEFRAME = 20
#: Up to so many combinations of candles, the rows are looked up in the definition itself.
FEW = 2_000


class Page(NamedTuple):
    source: str
    version: int
    since_ms: int
    until_ms: int
    candles: list[Candle]


class Story(NamedTuple):
    """Final candles of each source, and the pages in which they arrive: the order is any order."""

    final: dict[str, dict[int, Candle]]
    pages: list[Page]
    start_ms: int
    tolerance_ms: int

    def aligner(self, remember: int = 256, min_sources: int | None = None) -> StreamAligner:
        options: dict[str, Any] = {"remember": remember, "min_sources": min_sources}
        return StreamAligner(list(self.final), TIMEFRAME, self.tolerance_ms, self.start_ms, **options)

    def batch(self) -> list[AlignedRow]:
        series = {name: sorted(t for t in each if t >= self.start_ms) for name, each in self.final.items()}
        times = list(series.values())
        if math.prod(map(len, times)) <= FEW:
            rows = oracle(times, self.tolerance_ms)
        else:
            indices = closest_first(times, self.tolerance_ms)
            rows = [tuple(each[k] for each, k in zip(times, row, strict=True)) for row in indices]
        picked = [zip(series, row, strict=True) for row in rows]
        return [AlignedRow.of({name: self.final[name][at_ms] for name, at_ms in row}) for row in picked]


def candle(open_time: int, version: int, extra: float = 0.0) -> Candle:
    return Candle(open_time, 1.0, 2.0, 0.5, version + extra, 10.0)


def versions_of(name: str, times: list[int], since: int, until: int, chance: random.Random) -> list[Page]:
    """The page that settles ``[since, until)``, once or twice, and older forms of some of its candles."""
    version = chance.randint(1, 9)
    final = Page(name, version, since, until, [candle(t, version) for t in times])
    pages = [final] * chance.choice([1, 1, 1, 2])
    for age in range(chance.choice([0, 0, 1, 2])):
        some = [t for t in times if chance.random() < 0.7]
        chance.shuffle(some)
        older = version - age
        # Of one version, the greater candle holds.
        pages.append(Page(name, older, since, since, [candle(t, older, extra=-0.5) for t in some]))
    return pages


def story(seed: int, *, even: bool = False, whole_bars: bool = True) -> Story:
    """Off the grid and too dense for the timeframe, or one candle a bar with gaps; ``even``: the latter.

    In half of the latter, all sources open their candles at the same times.
    """
    chance = random.Random(seed)  # noqa: S311 - the same story for one seed
    tolerance = chance.randrange(TIMEFRAME // 2)
    has_bars, is_in_step = even or chance.random() < 0.3, chance.random() < 0.5
    start, end = chance.choice([-TIMEFRAME, 0, TIMEFRAME]), 10 * TIMEFRAME
    final: dict[str, dict[int, Candle]] = {}
    pages: list[Page] = []
    for name in "abc"[: chance.choice([1, 2, 2, 3, 3])]:
        if has_bars:
            phase = 0 if is_in_step else chance.randint(0, tolerance)
            times = [k * TIMEFRAME + phase for k in range(-2, 10) if chance.random() < 0.8]
        else:
            times = sorted(chance.sample(range(-30, end - TIMEFRAME), chance.choice([0, 5, 12, 40])))
        grid = range(-2 * TIMEFRAME, end + 1, TIMEFRAME if even and whole_bars else 1)
        cuts = sorted({grid[0], grid[-1], *chance.sample(grid, 4)})
        for since, until in itertools.pairwise(cuts):
            pages += versions_of(name, [t for t in times if since <= t < until], since, until, chance)
        final[name] = {c.open_time: c for p in sorted(p for p in pages if p.source == name) for c in p.candles}
    chance.shuffle(pages)
    return Story(final, pages, start, tolerance)


seeds = st.integers(0, 2**32)
#: Whatever a test itself leaves to chance.
chances = seeds.map(random.Random)


class Reader:
    """An aligner and the pages that a successor must take again."""

    def __init__(self, aligner: StreamAligner) -> None:
        self.aligner = aligner
        self.pages: list[Page] = []

    def push(self, page: Page) -> None:
        self.aligner.push(*page)
        self.pages.append(page)

    def restarted(self, chance: random.Random | None = None) -> "Reader":
        """The successor, which takes the pages again in whatever order."""
        successor = Reader(StreamAligner.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(self.aligner.state()))))
        successor.pages = [page for page in self.pages if not self.aligner.is_decided(page.source, end_of(page))]
        if chance is not None:
            chance.shuffle(successor.pages)
        for page in successor.pages:
            successor.aligner.push(*page, is_replay=True)
        return successor


def end_of(page: Page) -> int:
    return max([page.until_ms, *(candle.open_time + 1 for candle in page.candles)])


def settled_ms(pages: list[Page], start_ms: int) -> int:
    """The first instant from the start on that no page of a source settled."""
    settled = {instant for page in pages for instant in range(page.since_ms, page.until_ms)}
    return next(instant for instant in itertools.count(start_ms) if instant not in settled)


def waiting(aligner: StreamAligner) -> list[int]:
    return [at_ms for source in aligner._sources.values() for at_ms in source.pending]


def seen(aligner: StreamAligner, names: str | dict[str, Any]) -> list[Any]:
    return [
        aligner.decided_ms,
        [(aligner.settled_ms(name), aligner.pending(name), aligner.late_count(name)) for name in names],
        aligner.take_late(),
    ]


@pytest.mark.slow
@cases(full=15_000)
@given(seeds.map(story), chances)
def test_the_rows_of_the_stream_are_the_rows_of_the_batch(told: Story, chance: random.Random) -> None:
    reader, batch, out = Reader(told.aligner(remember=chance.choice([0, 3, 256]))), told.batch(), list[AlignedRow]()
    for page in told.pages:
        reader.push(page)
        if chance.random() < 0.5:
            out += reader.aligner.poll()
            assert out == batch[: len(out)]
        if chance.random() < 0.3:
            reader = reader.restarted(chance)
    aligner = reader.aligner
    out += aligner.poll()
    assert out == batch
    assert aligner.take_late() == []
    assert all(aligner.pending(name) == 0 for name in told.final)


@thorough
@given(seeds.map(partial(story, even=True)), st.booleans())
def test_every_row_that_the_watermarks_allow_is_out(told: Story, restarts: bool) -> None:
    reader, batch, out = Reader(told.aligner()), told.batch(), list[AlignedRow]()
    for k, page in enumerate(told.pages, start=1):
        reader.push(page)
        reader = reader.restarted() if restarts else reader
        out += reader.aligner.poll()
        read = {name: [page for page in told.pages[:k] if page.source == name] for name in told.final}
        until_ms = {name: settled_ms(pages, told.start_ms) for name, pages in read.items()}
        assert {name: reader.aligner.settled_ms(name) for name in told.final} == until_ms
        least_ms = min(until_ms.values())
        assert out == [row for row in batch if max(c.open_time for c in row.candles.values()) < least_ms]


@pytest.mark.slow
@thorough
@given(seeds.map(story), chances)
def test_a_restart_changes_nothing_that_can_be_seen(told: Story, chance: random.Random) -> None:
    one = Reader(told.aligner(remember=chance.choice([0, 3, 256])))
    for page in [*told.pages, *chance.choices(told.pages, k=5)]:
        odd = page._replace(candles=[c._replace(volume=chance.choice([9.0, 10.0, 11.0])) for c in page.candles])
        given_page = chance.choice([page, odd, odd._replace(version=page.version + 3)])
        other = one.restarted(chance)
        one.push(given_page)
        other.push(given_page)
        other = other.restarted(chance)
        if chance.random() < 0.6:
            assert one.aligner.poll() == other.aligner.poll()
        assert one.aligner.state() == other.aligner.state()
        assert sorted(waiting(one.aligner)) == sorted(waiting(other.aligner))
        assert seen(one.aligner, told.final) == seen(other.aligner, told.final)


@thorough
@given(seeds.map(partial(story, even=True)))
def test_what_is_pending_can_still_stand_in_a_row(told: Story) -> None:
    aligner, decided = told.aligner(), told.start_ms
    for page in told.pages:
        aligner.push(*page)
        aligner.poll()
        least_ms = min(aligner.settled_ms(name) for name in told.final)
        assert all(t >= least_ms - 2 * told.tolerance_ms for t in waiting(aligner))
        assert len(waiting(aligner)) == sum(aligner.pending(name) for name in told.final)
        assert aligner.decided_ms >= max(decided, least_ms - 2 * told.tolerance_ms)
        decided = aligner.decided_ms


@thorough
@given(seeds.map(story), chances)
def test_no_row_begins_before_the_decided_instant_once_that_is_said(told: Story, chance: random.Random) -> None:
    aligner = told.aligner()
    for page in told.pages:
        aligner.push(*page)
        said = aligner.decided_ms
        if chance.random() < 0.5:
            assert all(row.open_time >= said for row in aligner.poll())
