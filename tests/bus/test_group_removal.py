"""A group is removed whole or not at all, and what an older version left of one is found and removed."""

from typing import Any

import pytest
from redis import ConnectionError as Cut
from redis import Redis

from bus import keys
from bus.connection import connect
from bus.errors import GroupError
from bus.groups import GroupBook

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def stream_of(symbol: str) -> str:
    return keys.candles("bingx", "1m", symbol)


@pytest.fixture
def book(redis: Redis) -> GroupBook:
    """Of one group, whose streams were published to."""
    book = GroupBook(redis)
    book.add("g", [f"bingx:{BTC}", f"bingx:{ETH}"], "1m", start_ms=0)
    redis.sadd(keys.streams(), stream_of(BTC), stream_of(ETH))
    return book


def readers(redis: Redis) -> list[bytes]:
    found: Any = [redis.xinfo_groups(stream_of(symbol)) for symbol in (BTC, ETH)]
    return [group["name"] for groups in found for group in groups]


@pytest.mark.parametrize("trips", range(8))
def test_a_removal_that_is_cut_off_after_any_trip_can_be_repeated(
    redis: Redis, server: str, book: GroupBook, monkeypatch: pytest.MonkeyPatch, trips: int
) -> None:
    mortal = connect(server)
    send, left = mortal.execute_command, iter(range(trips))

    def cut(*args: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise Cut("cut off")
        return send(*args, **options)

    monkeypatch.setattr(mortal, "execute_command", cut)
    try:
        GroupBook(mortal).remove("g")
    except Cut:
        book.remove("g")
    mortal.close()
    assert (readers(redis), book.names(), redis.exists(keys.group("g"))) == ([], [], 0)


def test_consumer_groups_that_were_left_without_a_definition_are_strays_until_removed(
    redis: Redis, book: GroupBook
) -> None:
    assert book.strays() == {}
    redis.delete(keys.group("g"))
    redis.srem(keys.groups(), "g")
    assert book.strays() == {"g": [stream_of(BTC), stream_of(ETH)]}
    book.remove("g")
    assert (readers(redis), book.strays()) == ([], {})
    with pytest.raises(GroupError, match="no group 'g'"):
        book.remove("g")


def test_one_on_a_stream_that_its_group_does_not_read_is_a_stray_too(redis: Redis, book: GroupBook) -> None:
    other = stream_of("SOL/USDT:USDT")
    redis.xgroup_create(other, keys.align_consumer_group("g"), id="0", mkstream=True)
    redis.xgroup_create(other, "my:own", id="0")
    redis.sadd(keys.streams(), other, "candlebus:candles:bingx:1m:GONE")
    assert book.strays() == {"g": [other]}


def test_a_group_whose_definition_cannot_be_read_is_removed_with_its_consumer_groups(
    redis: Redis, book: GroupBook
) -> None:
    redis.set(keys.group("g"), b"no group")
    assert book.strays() == {}  # nobody knows what it reads
    book.remove("g")
    assert (readers(redis), book.names()) == ([], [])
