"""The aligner on a real server: streaming equals batch, each row once, whoever dies or comes twice."""

import itertools
import threading

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.alignment import align_candles
from bus.clock import RedisClock
from bus.connection import connect
from bus.errors import DecodeError, EntriesLost, GroupError
from bus.group_leases import GroupLeases
from bus.group_state import restored, streams_of
from bus.groups import GroupBook
from bus.messages import Group
from bus.streams import follow_aligned
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, Owner, align, candle, publish, written
from workers.aligner.consumer import AlignerProcess
from workers.aligner.group import Commit, GroupAligner
from workers.aligner.rounds import Outcome


@pytest.fixture
def group(redis: Redis) -> Group:
    return GroupBook(redis).add("g", SERIES, "1m", start_ms=0)


def test_rows_come_out_once_both_sources_are_settled(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0, 1, 2], 0, 3)
    align(redis, group)
    assert written(redis) == []
    publish(redis, "kucoinfutures", [0, 2], 0, 3)
    align(redis, group)
    assert [row[SERIES[0]].open_time // MINUTE_MS for row in written(redis)] == [0, 2]
    assert all(row[SERIES[1]] == candle("kucoinfutures", n) for n, row in zip([0, 2], written(redis), strict=True))


def test_the_stream_equals_the_batch_form_in_any_order_of_arrival(redis: Redis, group: Group) -> None:
    pages = [("bingx", k * 10) for k in range(5)] + [("kucoinfutures", k * 10) for k in range(5)]
    for exchange, since in pages[::2] + pages[1::2] + pages[:3]:
        minutes = [m for m in range(since, since + 10) if (m * 7 + len(exchange)) % 11]
        publish(redis, exchange, minutes, since, since + 10)
        align(redis, group)
    data = {
        one: [candle(e, m) for m in range(50) if (m * 7 + len(e)) % 11]
        for one, e in zip(SERIES, ["bingx", "kucoinfutures"], strict=True)
    }
    assert written(redis) == [row.candles for row in align_candles(data, 60_000, MINUTE_MS)]


def test_of_two_versions_the_greater_stands_in_the_row(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1, version=5)
    publish(redis, "bingx", [0], 0, 1, version=3)
    publish(redis, "kucoinfutures", [0], 0, 1)
    align(redis, group)
    assert written(redis)[0][SERIES[0]] == candle("bingx", 0, 5)


def test_what_a_former_owner_had_read_and_not_committed_is_read_again(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1)
    publish(redis, "kucoinfutures", [0], 0, 1)
    for series in SERIES:
        exchange, _, symbol = series.partition(":")
        stream = keys.candles(exchange, "1m", symbol)
        redis.xreadgroup(keys.align_consumer_group("g"), "aligner", {stream: ">"})
    align(redis, group)
    assert len(written(redis)) == 1


def test_a_former_owner_changes_nothing(redis: Redis, group: Group) -> None:
    former = Owner(redis, group, "former")
    former.align()
    publish(redis, "bingx", [0, 1], 0, 2)
    publish(redis, "kucoinfutures", [0, 1], 0, 2)
    former._rounds._read([former.aligner], {})
    former.leases.release(["g"])
    Owner(redis, group, "new").align()
    before = redis.get(keys.group_state("g"))
    outcomes: dict[int, Outcome] = {}
    former._rounds._commit_all([former.aligner], outcomes)
    assert outcomes == {id(former.aligner): "lost"}
    assert redis.get(keys.group_state("g")) == before
    assert len(written(redis)) == 2


def test_an_owner_paused_since_before_its_group_was_removed_and_added_again_changes_nothing(
    redis: Redis, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, commit = Owner(redis, group, "former"), GroupAligner.commit
    former.step()
    publish(redis, "bingx", [0, 1], 0, 2)
    successors: list[Owner] = []

    def paused(aligner: GroupAligner) -> Commit | None:
        """Has read, and wakes after all that."""
        if aligner is former.aligner:
            GroupBook(redis).remove("g")
            other = GroupBook(redis).add("g", [SERIES[0], "bingx:ETH/USDT:USDT"], "1m", start_ms=0)
            successors.append(Owner(redis, other, "new"))
        return commit(aligner)

    monkeypatch.setattr(GroupAligner, "commit", paused)
    assert former.step() == "lost"
    assert redis.get(keys.group_state("g")) is None
    successors[0].align()
    assert GroupBook(redis).status("g").pending == {SERIES[0]: 2, "bingx:ETH/USDT:USDT": 0}


def test_a_state_of_other_series_is_refused_by_their_names(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1)
    align(redis, group)
    swapped = msgspec.structs.replace(group, series=tuple(reversed(SERIES)))
    found = restored(redis, [swapped])[0]
    assert isinstance(found, DecodeError)
    assert f"its state is of {' '.join(SERIES)}; remove the group" in str(found)


@pytest.mark.parametrize("news", [[], [2]])
def test_a_row_that_is_there_is_not_written_again_even_if_the_state_was_lost(
    redis: Redis, group: Group, news: list[int]
) -> None:
    publish(redis, "bingx", [0, 1], 0, 2)
    publish(redis, "kucoinfutures", [0, 1], 0, 2)
    align(redis, group)
    redis.delete(keys.group_state("g"))
    for stream in streams_of(group).values():
        redis.xgroup_setid(stream, keys.align_consumer_group("g"), "0")
    for exchange in ("bingx", "kucoinfutures"):
        publish(redis, exchange, news, 2, 2 + len(news))
    align(redis, group)
    publish(redis, "bingx", [3], 2, 4)
    publish(redis, "kucoinfutures", [3], 2, 4)
    align(redis, group)
    assert [row[SERIES[0]].open_time // MINUTE_MS for row in written(redis)] == [0, 1, *news, 3]


def test_the_commit_itself_leaves_out_rows_that_are_there(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0, 1], 0, 2)
    publish(redis, "kucoinfutures", [0, 1], 0, 2)
    owner = Owner(redis, group)
    owner.align()
    redis.delete(keys.group_state("g"))
    for stream in streams_of(group).values():
        redis.xgroup_setid(stream, keys.align_consumer_group("g"), "0")
    owner.restart()
    owner.aligner._written_ms = -1
    assert (owner.step(), owner.step()) == ("idle", "committed")
    assert (redis.xlen(keys.aligned("g")), redis.get(keys.sequence(keys.aligned("g")))) == (1, b"1")


def test_who_follows_rows_is_told_of_those_that_were_trimmed_before_he_read_them(redis: Redis, group: Group) -> None:
    def row(minute: int) -> None:
        for exchange in ("bingx", "kucoinfutures"):
            publish(redis, exchange, [minute], minute, minute + 1)
        align(redis, group)

    row(0)
    rows = follow_aligned(redis, "g", "start")
    assert next(rows) is not None
    for minute in (1, 2):
        row(minute)
    redis.xtrim(keys.aligned("g"), maxlen=1, approximate=False)
    with pytest.raises(EntriesLost, match=r"1 entries of candlebus:aligned:g before 120000-1 were trimmed"):
        list(itertools.islice(rows, 9))


def test_an_entry_of_an_unknown_version_is_set_aside_and_the_others_go_on(redis: Redis, group: Group) -> None:
    stream = keys.candles("bingx", "1m", "BTC/USDT:USDT")
    redis.xadd(stream, {"s": 1, "b": b"\x81\xa4type\xaacandles.v9"})
    redis.xadd(stream, {"unknown": "field"})
    publish(redis, "bingx", [0], 0, 1)
    publish(redis, "kucoinfutures", [0], 0, 1)
    align(redis, group)
    assert len(written(redis)) == 1
    assert redis.xlen(keys.dead(stream)) == 2
    assert redis.xpending(stream, keys.align_consumer_group("g"))["pending"] == 0


def test_the_process_aligns_what_comes_and_lets_go_when_it_stops(redis: Redis, server: str, group: Group) -> None:
    own = connect(server)
    process = AlignerProcess(own, [])
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        publish(redis, "bingx", [0], 0, 1)
        publish(redis, "kucoinfutures", [0], 0, 1)
        batch = next(found for found in follow_aligned(redis, "g", "start") if found is not None)
        assert batch.n == 1
        assert GroupBook(redis).status("g").owner
    finally:
        process.is_stopping = True
        thread.join()
        own.close()
    status = GroupBook(redis).status("g")
    assert (status.owner, status.rows) == ("", 1)
    assert status.watermarks == dict.fromkeys(SERIES, MINUTE_MS)


def test_one_aligner_at_a_time_owns_a_group(redis: Redis, group: Group) -> None:
    a, b = GroupLeases(redis, "a"), GroupLeases(redis, "b")
    first = a.take(["g"], 1)
    assert first
    assert b.take(["g"], 1) == {}
    assert a.renew(["g"]) == a.take(["g"], 0) == first
    redis.hset(keys.group_lease("g"), "until", 1)
    assert b.take(["g"], 1) == {"g": first["g"] + 1}
    assert a.renew(["g"]) == {}
    a.release(["g"])
    assert b.renew(["g"]) == {"g": first["g"] + 1}


def test_a_removed_group_leaves_nothing_behind(redis: Redis, group: Group) -> None:
    publish(redis, "bingx", [0], 0, 1)
    publish(redis, "kucoinfutures", [0], 0, 1)
    align(redis, group)
    GroupBook(redis).remove("g")
    assert not [key for key in redis.keys("*") if b"g" in key.split(b":")[2:]]
    with pytest.raises(GroupError, match="no group 'g'; known: none"):
        GroupBook(redis).status("g")


@pytest.mark.parametrize(
    ("series", "complaint"),
    [(SERIES[:1], "needs 2 to 64"), ([SERIES[0]] * 2, "needs 2 to 64"), (["x", "y"], "not a series")],
)
def test_series_that_make_no_group_are_refused(redis: Redis, series: list[str], complaint: str) -> None:
    with pytest.raises(Exception, match=complaint):
        GroupBook(redis).add("g", series, "1m", start_ms=0)


def test_a_name_is_given_once(redis: Redis, group: Group) -> None:
    with pytest.raises(GroupError, match="group 'g' exists"):
        GroupBook(redis).add("g", SERIES, "5m", start_ms=0)


def test_what_died_before_the_clock_was_set_back_a_day_holds_nothing_and_counts_for_nobody(redis: Redis) -> None:
    redis.sadd(keys.groups(), "g")
    tomorrow_ms = RedisClock(redis).now_ms() + 86_400_000
    redis.hset(keys.group_lease("g"), mapping={"owner": "dead", "until": tomorrow_ms, "fence": 4})
    redis.zadd(keys.aligners(), {"dead": tomorrow_ms})
    mine = GroupLeases(redis, "mine")
    assert mine.join() == 1
    assert mine.take(["g"], 1) == {"g": 5}
