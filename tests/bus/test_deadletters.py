"""Dead letters on a real server: listed, named, put through again once, dropped."""

from typing import Any

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.codec import decode, encode
from bus.deadletters import DeadLetters
from bus.errors import BusError, DecodeError, EntriesLost, RequestError, UnknownVersion
from bus.groups import GroupBook
from bus.messages import CandleBatch
from tests.bus.audit_bus import BINGX, PAGE, fetch, found, set_aside
from tests.helpers import batch
from tests.workers.aligner_helpers import SERIES, align, written

TORN = encode(batch(0, PAGE)).replace(b"candles.v1", b"candles.v9")


def test_letters_are_listed_with_what_they_say(redis: Redis) -> None:
    set_aside(redis, BINGX, "1-0", b"body", "why")
    set_aside(redis, keys.candles("okx", "1m", "A/B:B"), "2-0", b"", "other")
    found = list(DeadLetters(redis).all())
    assert [(one.stream, one.entry_id, one.reason, one.body) for one in found] == [
        (BINGX, "1-0", "why", b"body"),
        (keys.candles("okx", "1m", "A/B:B"), "2-0", "other", b""),
    ]
    assert DeadLetters(redis).get(found[0].name) == found[0]


def test_a_letter_that_cannot_be_read_itself_is_listed_too(redis: Redis) -> None:
    redis.xadd(keys.dead(BINGX), {"b": b"?"})
    (only,) = DeadLetters(redis).all()
    assert only.reason.startswith("the letter itself cannot be read")


@pytest.mark.parametrize("name", ["", "1-0", "x@candles:a", f"1-0@{BINGX}", "*@?"])
def test_a_name_that_is_none_is_refused(redis: Redis, name: str) -> None:
    with pytest.raises(RequestError, match=r"no dead letter .*see: candlebus dead list"):
        DeadLetters(redis).get(name)


def test_what_can_be_read_by_now_goes_through_and_makes_its_rows(redis: Redis) -> None:
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0)
    entry_id: Any = redis.xadd(BINGX, {"s": redis.incr(keys.sequence(BINGX)), "b": TORN})
    redis.sadd(keys.streams(), BINGX)
    fetch(redis, "k1", "kucoinfutures", pages=1)
    align(redis, group)
    (letter,) = DeadLetters(redis).all()
    assert (letter.entry_id, letter.body, written(redis)) == (entry_id.decode(), TORN, [])
    readable = msgspec.structs.replace(letter, body=encode(batch(0, PAGE)))
    DeadLetters(redis).retry(readable)
    align(redis, group)
    assert len(written(redis)) == PAGE
    assert list(DeadLetters(redis).all()) == []


def test_a_retried_page_is_a_request_of_its_own_and_breaks_no_promise(redis: Redis) -> None:
    fetch(redis, "b1", "bingx")
    entries: Any = redis.xrange(BINGX)
    first_id, fields = entries[1]
    set_aside(redis, BINGX, first_id.decode(), fields[b"b"])
    again = DeadLetters(redis).retry(next(DeadLetters(redis).all()))
    ((_, copied),) = redis.xrange(BINGX, again, again)
    batch = decode(copied[b"b"], CandleBatch)
    assert (batch.request_id, batch.page, copied[b"s"]) == (f"dead-{first_id.decode()}", 0, b"4")
    assert found(redis) == []


def test_letters_of_one_entry_by_several_groups_go_through_once(redis: Redis) -> None:
    body = encode(batch(0, 1))
    for _ in range(3):
        set_aside(redis, BINGX, "1-0", body)
    letters = DeadLetters(redis)
    one, other, _ = letters.all()
    letters.retry(one)
    with pytest.raises(BusError, match="is gone"):
        letters.retry(other)
    assert (redis.xlen(BINGX), list(letters.all())) == (1, [])


def test_what_still_cannot_be_read_stays(redis: Redis) -> None:
    for number, body in enumerate((b"", TORN, b"?", encode(batch(0, 1)).replace(b"BTC", b"XTC"))):
        set_aside(redis, BINGX, f"{number}-0", body)
    letters = DeadLetters(redis)
    for letter, error in zip(letters.all(), (EntriesLost, UnknownVersion, DecodeError, DecodeError), strict=True):
        with pytest.raises(error):
            letters.retry(letter)
    assert (redis.xlen(BINGX), len(list(letters.all()))) == (0, 4)


def test_a_full_stream_takes_no_letter(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    set_aside(redis, BINGX, "1-0", encode(batch(0, 1)))
    monkeypatch.setattr(keys, "STREAM_HIGH_WATER", 0)
    with pytest.raises(BusError, match="holds 0 entries, as many as it may"):
        DeadLetters(redis).retry(next(DeadLetters(redis).all()))


def test_a_dropped_letter_is_gone(redis: Redis) -> None:
    set_aside(redis, BINGX, "1-0", b"")
    letters = DeadLetters(redis)
    letter = next(letters.all())
    assert (letters.drop(letter), letters.drop(letter)) == (True, False)
