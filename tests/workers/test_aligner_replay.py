"""The same raw streams give the same rows, byte by byte, however they are read: P22 of docs/reliability.md."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

import workers.aligner.group
import workers.aligner.rounds
from bus import keys
from bus.codec import decode
from bus.connection import connect
from bus.groups import GroupBook
from bus.messages import AlignedBatch
from tests.workers.aligner_helpers import SERIES, Owner, publish

VENUES = ("bingx", "kucoinfutures")


def entries(redis: Redis, name: str) -> list[Any]:
    found: Any = redis.xrange(keys.aligned(name))
    return [(entry_id, fields) for entry_id, fields in found]


def columns_of(redis: Redis, name: str) -> list[bytes]:
    """Open times, spreads and every column of every series, of all entries put together."""
    batches = [decode(fields[b"b"], AlignedBatch) for _, fields in entries(redis, name)]
    parts = [b"".join(batch.t for batch in batches), b"".join(batch.spread for batch in batches)]
    for series, column in itertools.product(SERIES, "tohlcv"):
        parts.append(b"".join(getattr(batch.sources[series], column) for batch in batches))
    return parts


def fill(redis: Redis, chance: random.Random, *, revised: bool) -> None:
    """Pages of both series, in any order, some of them twice; a minute in seven has no candle."""
    pages = [(exchange, since) for exchange in VENUES for since in range(0, 60, 6)]
    pages += chance.choices(pages, k=6)
    chance.shuffle(pages)
    for number, (exchange, since) in enumerate(pages):
        minutes = [minute for minute in range(since, since + 6) if (minute * 5 + len(exchange)) % 7]
        publish(redis, exchange, minutes, since, since + 6, number + 1, price_of=number if revised else 0)


def align(redis: Redis, name: str, *, count: int, restarts: random.Random | None) -> None:
    """What owners of a group do who read so many entries at once, and die now and then."""
    for module in (workers.aligner.group, workers.aligner.rounds):
        module.READ_COUNT = count  # type: ignore[attr-defined]
    owner = Owner(redis, GroupBook(redis).add(name, SERIES, "1m", start_ms=0))
    deaths = sorted(restarts.sample(range(40), 4)) if restarts is not None else []
    for number in range(2_000):
        if number in deaths:
            owner.restart()
        if owner.step() != "committed" and not owner.aligner.wants_more:
            break


@pytest.fixture(autouse=True)
def _read_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (workers.aligner.group, workers.aligner.rounds):
        monkeypatch.setattr(module, "READ_COUNT", module.READ_COUNT)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 9))
@settings(deadline=None, max_examples=20)
def test_rows_are_the_same_byte_by_byte_whatever_is_read_at_once_and_whoever_dies(
    server: str, seed: int, count: int
) -> None:
    redis = connect(server)
    redis.flushall()
    fill(redis, random.Random(seed), revised=False)  # noqa: S311
    align(redis, "one", count=100, restarts=None)
    align(redis, "other", count=count, restarts=random.Random(seed))  # noqa: S311
    assert columns_of(redis, "one") == columns_of(redis, "other")
    assert len(columns_of(redis, "one")[0]) > 8 * 30
    redis.close()


def test_entries_are_the_same_byte_by_byte_where_one_owner_reads_all_of_it(redis: Redis) -> None:
    fill(redis, random.Random(7), revised=True)  # noqa: S311
    for name in ("one", "two"):
        align(redis, name, count=8, restarts=None)
    one = [
        (entry_id, fields[b"s"], fields[b"b"].replace(b"\xa3one", b"\xa3two"))
        for entry_id, fields in entries(redis, "one")
    ]
    assert one == [(entry_id, fields[b"s"], fields[b"b"]) for entry_id, fields in entries(redis, "two")]


def test_of_a_candle_in_two_forms_the_row_has_the_one_that_was_read_first_and_the_other_is_told_as_late(
    redis: Redis,
) -> None:
    publish(redis, "bingx", [0], 0, 1, version=1)
    publish(redis, "kucoinfutures", [0], 0, 1, version=1)
    publish(redis, "bingx", [0], 0, 1, version=2)
    for name, count in (("narrow", 1), ("wide", 8)):
        align(redis, name, count=count, restarts=None)
    assert columns_of(redis, "narrow") != columns_of(redis, "wide")
    assert (redis.xlen(keys.late("narrow")), redis.xlen(keys.late("wide"))) == (1, 0)
