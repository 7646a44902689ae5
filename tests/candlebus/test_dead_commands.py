"""``candlebus dead``: what its commands print, and their exit codes."""

import json

import msgspec
import pytest
from redis import Redis

from bus.codec import encode
from tests.bus.audit_bus import BINGX, set_aside
from tests.candlebus.conftest import Run
from tests.helpers import batch

NAME = BINGX.removeprefix("candlebus:")


@pytest.fixture(autouse=True)
def _bus(redis: Redis, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)


def test_no_letters(run: Run) -> None:
    assert run("dead", "list") == (0, "no dead letters\n", "")


def test_the_list_tells_which_entry_and_why(run: Run, redis: Redis) -> None:
    letter_id = set_aside(redis, BINGX, "1-0", b"12345", "bad \x1b[31mvalue")
    code, out, _ = run("dead", "list")
    assert code == 0
    assert all(word in out for word in (f"{letter_id}@{NAME}", "1-0", "5", r"bad \x1b[31mvalue"))
    told = json.loads(run("dead", "list", "--json").out)
    assert (told["name"], told["entry_id"], told["bytes"]) == (f"{letter_id}@{NAME}", "1-0", 5)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            encode(batch(5, 9, missing=(6,))),
            ["request_id: r1", "span: 1970-01-01T00:05:00Z", "gap: ", "candle: [300000"],
        ),
        (encode(batch(5, 9)).replace(b"candles.v1", b"candles.v9"), ["as a batch: layout 'candles.v9'", "t: 32 bytes"]),
        (msgspec.msgpack.encode({"evil": "\x1b]0;x\x07"}), [r"evil: '\x1b]0;x\x07'"]),
        (b"\xff\x00\x1b", [r"begins with: b'\xff\x00\x1b'"]),
        (b"", ["bytes: 0"]),
    ],
)
def test_a_letter_is_shown_as_far_as_it_can_be_read(run: Run, redis: Redis, body: bytes, told: list[str]) -> None:
    letter_id = set_aside(redis, BINGX, "1-0", body)
    code, out, _ = run("dead", "show", f"{letter_id}@{NAME}")
    assert code == 0
    assert all(line in out for line in told), out
    assert out.replace("\n", "").isprintable()


def test_retry_puts_one_through_and_says_what_became_of_it(run: Run, redis: Redis) -> None:
    letter_id = set_aside(redis, BINGX, "1-0", encode(batch(0, 1)))
    code, out, _ = run("dead", "retry", f"{letter_id}@{NAME}")
    assert (code, redis.xlen(BINGX)) == (0, 1)
    assert out.startswith(f"{letter_id}@{NAME} is entry ")
    assert run("dead", "retry", f"{letter_id}@{NAME}").code == 2


def test_retry_of_all_goes_on_past_those_that_cannot_be_read(run: Run, redis: Redis) -> None:
    for entry_id, body in (("1-0", encode(batch(0, 1))), ("2-0", b"?"), ("1-0", encode(batch(0, 1)))):
        set_aside(redis, BINGX, entry_id, body)
    code, out, err = run("dead", "retry", "--all")
    assert (code, out.count("\n"), redis.xlen(BINGX)) == (3, 1, 1)
    assert "still cannot be read" in err
    assert run("dead", "retry", "--all").code == 1


def test_drop_needs_a_name_or_all(run: Run, redis: Redis) -> None:
    set_aside(redis, BINGX, "1-0", b"")
    assert run("dead", "drop").code == 2
    assert run("dead", "drop", "--all") == (0, "", "candlebus: 1 dead letter dropped\n")
    assert run("dead", "list").out == "no dead letters\n"
