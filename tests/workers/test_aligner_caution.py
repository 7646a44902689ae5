"""An entry that ends whoever takes it is set aside after five attempts; it delays its group and nobody else's."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
import redis as redis_library
from redis import Redis

import workers.aligner.group
from bus import keys
from bus.codec import candles_of, decode
from bus.connection import connect
from bus.groups import GroupBook
from bus.messages import Candle, CandleBatch, DeadLetter, LateCandles
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, publish, stream_of, written
from workers.aligner.caution import CAREFUL_FROM, MOST_TRIES, Caution
from workers.aligner.consumer import AlignerProcess

POISON = 666
DEAD = keys.dead(stream_of("bingx"))


class Killed(BaseException):
    """What ends a process, whatever it catches."""


@pytest.fixture(params=[ValueError, Killed], ids=["a fault of ours", "a crash of the process"])
def poison(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of that version cannot be taken."""

    def taken(batch: CandleBatch | LateCandles) -> list[Candle]:
        if batch.version == POISON:
            raise request.param("poison")
        return candles_of(batch)

    monkeypatch.setattr(workers.aligner.group, "candles_of", taken)


@pytest.fixture
def clients(server: str) -> Iterator[list[Redis]]:
    opened = [connect(server) for _ in range(20)]
    yield opened
    for client in opened:
        client.close()


def run(redis: Redis, clients: Sequence[Redis], until: int = 20) -> int:
    """Processes one after the other, each until it has nothing to do or dies; how many died or failed."""
    ended = 0
    for client in clients[:until]:
        process = AlignerProcess(client)
        try:
            process.step()
            while process.is_busy:
                process.step()
        except Killed:
            ended += 1
        else:
            ended += not process.held
            if process.held and redis.xlen(DEAD):
                break
        for name in GroupBook(redis).names():
            redis.hset(keys.group_lease(name), "until", 1)  # its lease runs out
    return ended


def settle(redis: Redis, since: int, until: int, version: int = 1) -> None:
    publish(redis, "kucoinfutures", range(since, until), since, until)
    publish(redis, "bingx", range(since, until), since, until, version)


@pytest.mark.usefixtures("poison")
def test_it_is_set_aside_unchanged_and_the_rows_go_on(redis: Redis, clients: list[Redis]) -> None:
    GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    settle(redis, 0, 3)
    publish(redis, "bingx", [3], 3, 4, POISON)
    settle(redis, 3, 6)
    assert run(redis, clients) == CAREFUL_FROM + MOST_TRIES
    ((_, fields),) = redis.xrange(DEAD)
    letter = decode(fields[b"b"], DeadLetter)
    assert letter.reason == "5 attempts to take it ended without a commit"
    assert decode(letter.body, CandleBatch).version == POISON
    assert [row[SERIES[0]].open_time // MINUTE_MS for row in written(redis)] == [0, 1, 2, 3, 4, 5]
    assert not redis.exists(keys.group_tries("g"))


@pytest.mark.usefixtures("poison")
def test_entries_taken_beside_it_are_not_blamed(redis: Redis, clients: list[Redis]) -> None:
    GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    for minute in range(12):
        publish(redis, "bingx", [minute], minute, minute + 1, POISON if minute == 5 else 1)
        publish(redis, "kucoinfutures", [minute], minute, minute + 1)
    run(redis, clients)
    assert redis.xlen(DEAD) == 1
    publish(redis, "bingx", [5], 5, 6)
    run(redis, clients)
    assert len(written(redis)) == 12


def test_a_fault_in_one_group_does_not_stop_the_others_of_the_process(
    redis: Redis, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("g", "other"):
        GroupBook(redis).add(name, SERIES, "1m", start_ms=0)
    took = workers.aligner.group.GroupAligner._load_or_defer

    def fails(self: workers.aligner.group.GroupAligner, stream: str, entry_id: str, batch: CandleBatch) -> None:
        if self.group.name == "g":
            raise ZeroDivisionError
        took(self, stream, entry_id, batch)

    monkeypatch.setattr(workers.aligner.group.GroupAligner, "_load_or_defer", fails)
    settle(redis, 0, 3)
    process = AlignerProcess(clients[0])
    process.step()
    while process.is_busy:
        process.step()
    assert process.held == ["other"]
    assert redis.xlen(keys.aligned("other")) == 1


def test_groups_that_are_handed_on_in_peace_are_taken_without_caution(redis: Redis, clients: list[Redis]) -> None:
    GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    for number, client in enumerate(clients[: 2 * CAREFUL_FROM]):
        settle(redis, number, number + 1)
        process = AlignerProcess(client)
        process.step()
        while process.is_busy:
            process.step()
        assert process._held["g"]._caution is None
        process._leases.leave(["g"])
    assert len(written(redis)) == 2 * CAREFUL_FROM


def test_a_server_that_goes_away_over_an_entry_again_and_again_makes_no_poison_of_it(
    redis: Redis, clients: list[Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    settle(redis, 0, 3)
    former = {"owner": "dead", "until": 1, "fence": 1, "taken": int(time.time() * 1000), "ended": CAREFUL_FROM}
    redis.hset(keys.group_lease("g"), mapping=former)  # type: ignore[arg-type]
    process = AlignerProcess(clients[0])
    cuts = iter(range(3 * MOST_TRIES))
    noted = Caution.may_take

    def cut(self: Caution, stream: str, entry_id: str) -> bool:
        may = noted(self, stream, entry_id)
        if next(cuts, None) is not None:
            raise redis_library.ConnectionError("reply lost")
        return may

    monkeypatch.setattr(Caution, "may_take", cut)
    monkeypatch.setattr("workers.aligner.consumer._RECONNECT_S", 0)
    runs = threading.Thread(target=process.run)
    runs.start()
    deadline = time.monotonic() + 30
    while not redis.xlen(keys.aligned("g")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.is_stopping = True
    runs.join()
    assert next(cuts, None) is None
    assert (len(written(redis)), redis.xlen(DEAD)) == (3, 0)
