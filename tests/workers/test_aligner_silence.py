"""The aligner on a real server: series that stall, are left out and come back, and rows of fewer series."""

from typing import Any

from redis import Redis

from bus.group_status import members_of
from bus.groups import GroupBook
from bus.membership import align_pieces
from bus.messages import Candle, Group
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, VENUES, Owner, align, candle, minutes, publish, written


def regroup(redis: Redis, series: list[str], **options: Any) -> Group:
    book = GroupBook(redis)
    book.remove("g")
    return book.add("g", series, "1m", start_ms=0, **options)


def test_a_series_that_stalls_holds_the_group_and_is_named(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1, version=60_000)
    publish(redis, "kucoinfutures", [0], 0, 1, version=60_000)
    publish(redis, "bingx", [1], 1, 2, version=120_000)
    publish(redis, "bingx", range(2, 60), 2, 60, version=3_600_000)
    align(redis, group)
    status = GroupBook(redis).status("g")
    assert (status.held_by, status.held_ms) == (SERIES[1], 3_480_000)
    assert status.lags_ms == {SERIES[0]: 0, SERIES[1]: 59 * MINUTE_MS}
    assert minutes(written(redis)) == [0]


def test_with_detach_rows_go_on_without_a_stalled_series_until_it_is_back(redis: Redis) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0, detach_after_s=90)
    owner = Owner(redis, group)
    final: dict[str, list[Candle]] = {one: [] for one in SERIES}
    for minute in range(12):
        for one, exchange in zip(SERIES, VENUES, strict=True):
            if exchange == "kucoinfutures" and 4 <= minute < 8:
                continue
            publish(redis, exchange, [minute], minute, minute + 1, version=(minute + 1) * MINUTE_MS, price_of=1)
            final[one].append(candle(exchange, minute, 1))
        owner.align()
        if minute % 3 == 0:
            owner.restart()
        # The first page that was fetched 90 s after minute 4 of the other series decides.
        assert len(written(redis)) == (minute + 1 if minute not in (4, 5) else 4)
    log = members_of(redis, group)
    assert [row.candles for row in align_pieces(final, 60_000, MINUTE_MS, log)] == written(redis)
    assert [piece.members for piece in log] == [tuple(SERIES), (SERIES[0],), tuple(SERIES)]
    assert [len(row) for row in written(redis)] == [2] * 4 + [1] * 5 + [2] * 3


def test_an_aligner_that_was_away_does_not_take_a_series_for_silent(redis: Redis) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0, detach_after_s=60)
    for minute in range(100):
        publish(redis, "bingx", [minute], minute, minute + 1, version=(minute + 1) * MINUTE_MS)
    for minute in range(100):
        publish(redis, "kucoinfutures", [minute], minute, minute + 1, version=(minute + 1) * MINUTE_MS)
    align(redis, group)
    assert [len(row) for row in written(redis)] == [2] * 100


def test_rows_of_fewer_series_come_in_batches_of_their_own(redis: Redis) -> None:
    third = "bingx:ETH/USDT:USDT"
    group = GroupBook(redis).add("g", [*SERIES, third], "1m", start_ms=0, min_sources=1)
    publish(redis, "bingx", [0, 1], 0, 3)
    publish(redis, "kucoinfutures", [0, 2], 0, 3)
    align(redis, group)
    assert written(redis) == []  # nobody knows yet whether the third has a candle
    group = regroup(redis, [*SERIES], min_sources=1)
    align(redis, group)
    assert [list(row) for row in written(redis)] == [SERIES, SERIES[:1], SERIES[1:]]
