"""Following a stream and reading its entries by id, on a real server."""

import pytest
from redis import Redis

from bus import keys
from bus.codec import encode
from bus.errors import DecodeError, EntriesLost, UnknownVersion
from bus.requests import Claim, RequestBook
from bus.streams import Publisher, fetch_entries, follow
from tests.helpers import MINUTE_MS, batch, request

STREAM = keys.candles("bingx", "1m", "BTC/USDT:USDT")


def put(redis: Redis, number: int, body: bytes | None = None) -> str:
    entry_id = redis.xadd(STREAM, {"s": number, "b": body or encode(batch(number, number + 1))})
    return str(entry_id.decode())  # type: ignore[union-attr]


def test_a_follower_from_the_start_sees_every_batch_in_order(redis: Redis) -> None:
    for number in (1, 2, 3):
        put(redis, number)
    batches = follow(redis, STREAM, "start")
    assert [next(batches).since // 60_000 for _ in range(3)] == [1, 2, 3]  # type: ignore[union-attr]


def test_a_follower_goes_on_after_the_entry_that_it_names(redis: Redis) -> None:
    first = put(redis, 1)
    put(redis, 2)
    found = next(follow(redis, STREAM, first))
    assert found is not None
    assert found.since == 120_000


def test_a_follower_from_now_sees_only_what_comes(redis: Redis) -> None:
    put(redis, 1)
    batches = follow(redis, STREAM, "now")
    assert next(batches) is None
    put(redis, 2)
    found = next(batches)
    assert found is not None
    assert found.since == 120_000


def test_entries_that_were_trimmed_unread_are_reported_with_their_number(redis: Redis) -> None:
    put(redis, 1)
    batches = follow(redis, STREAM, "start")
    next(batches)
    for number in (2, 3, 4):
        put(redis, number)
    redis.xtrim(STREAM, maxlen=1, approximate=False)
    with pytest.raises(EntriesLost, match="2 entries of"):
        next(batches)


def published(redis: Redis, count: int) -> list[str]:
    """The ids of the pages of a request, of a minute each."""
    book, publisher = RequestBook(redis), Publisher(redis)
    book.accept(request(limit=count))
    claim = book.claim(request(limit=count), 1, "w")
    assert isinstance(claim, Claim)
    book.fix_span(claim, 0, count * MINUTE_MS)
    return [publisher.publish(claim, batch(page, page + 1, page=page)).entry_id for page in range(count)]


@pytest.mark.parametrize("read", [0, 1])
def test_a_follower_that_comes_back_is_told_of_entries_that_went_meanwhile(redis: Redis, read: int) -> None:
    ids = published(redis, 4)
    redis.xtrim(STREAM, minid=ids[3], approximate=False)
    with pytest.raises(EntriesLost, match=f"entries of {STREAM} after {ids[read]}, up to {ids[2]}, were trimmed"):
        next(follow(redis, STREAM, ids[read]))


@pytest.mark.parametrize(("oldest", "read"), [(0, 0), (1, 0), (1, 1), (2, 1), (3, 2), (3, 3)])
def test_a_follower_that_missed_nothing_goes_on_whatever_was_trimmed_of_what_it_had_read(
    redis: Redis, oldest: int, read: int
) -> None:
    ids = published(redis, 4)
    redis.xtrim(STREAM, minid=ids[oldest], approximate=False)
    found = next(follow(redis, STREAM, ids[read]))
    assert (found and found.page) == (read + 1 if read < 3 else None)


def test_it_is_told_too_where_all_was_trimmed_before_the_next_entry_came(redis: Redis) -> None:
    read, lost = published(redis, 2)
    redis.xtrim(STREAM, maxlen=0, approximate=False)
    redis.delete(keys.request("r1"))
    (new,) = published(redis, 1)
    with pytest.raises(EntriesLost, match=f"up to {lost}, were trimmed before they were read; the next one is {new}"):
        next(follow(redis, STREAM, read.removesuffix("-0")))
    found = next(follow(redis, STREAM, lost))
    assert found is not None
    assert found.page == 0


def test_a_follower_from_the_start_or_from_now_misses_nothing_that_was_there_before_it(redis: Redis) -> None:
    ids = published(redis, 3)
    redis.xtrim(STREAM, minid=ids[2], approximate=False)
    found = next(follow(redis, STREAM, "start"))
    assert found is not None
    assert found.page == 2
    redis.xtrim(STREAM, maxlen=0, approximate=False)
    batches = follow(redis, STREAM, "now")
    assert next(batches) is None
    redis.delete(keys.request("r1"))
    published(redis, 1)
    assert next(batches) is not None


def test_an_entry_of_a_later_version_is_refused_by_name(redis: Redis) -> None:
    put(redis, 1, encode(batch(1, 2)).replace(b"candles.v1", b"candles.v9"))
    with pytest.raises(UnknownVersion, match=r"entry .* of .*: layout 'candles.v9' is unknown here"):
        next(follow(redis, STREAM, "start"))


def test_an_entry_of_somebody_else_is_refused_by_name(redis: Redis) -> None:
    redis.xadd(STREAM, {"price": "1"})
    with pytest.raises(DecodeError, match="is no candlebus entry"):
        next(follow(redis, STREAM, "start"))


def test_entries_are_fetched_by_id_in_the_order_asked(redis: Redis) -> None:
    first, second = put(redis, 1), put(redis, 2)
    found = fetch_entries(redis, [(STREAM, second), (STREAM, first)])
    assert [one.since for one in found] == [120_000, 60_000]


def test_fetching_a_trimmed_entry_says_so(redis: Redis) -> None:
    with pytest.raises(EntriesLost, match="trimmed before it was read"):
        fetch_entries(redis, [(STREAM, "1-1")])
