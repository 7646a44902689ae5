"""``candlebus audit``: its words, its JSON and its exit codes."""

import json

import pytest
from redis import Redis

from bus import keys
from tests.bus.audit_bus import BINGX, healthy, ids
from tests.candlebus.conftest import Run


@pytest.fixture(autouse=True)
def _bus(redis: Redis, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)
    healthy(redis)


def test_a_clean_bus_is_said_in_one_line(run: Run) -> None:
    code, out, err = run("audit")
    assert (code, err) == (0, "")
    assert out.startswith("no violation: 2 streams, ")
    assert out.count("\n") == 1
    assert json.loads(run("audit", "--json").out)["clean"] is True


def test_the_first_violation_ends_it_with_1(run: Run, redis: Redis) -> None:
    redis.xdel(BINGX, ids(redis, BINGX)[1])
    code, out, err = run("audit")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (1, "", 2)
    assert lines[0] == (f"P1 not kept: stream {BINGX}, entry {ids(redis, BINGX)[1]}: expected number 2, found number 3")
    assert lines[1] == "1 violation; see all with --all"


def test_all_violations_are_told_where_asked(run: Run, redis: Redis) -> None:
    redis.xdel(BINGX, ids(redis, BINGX)[1])
    code, out, _ = run("audit", "--all", "--json")
    told = json.loads(out)
    assert code == 1
    assert not told["clean"]
    assert {one["request_id"] for one in told["violations"]} == {"", "b1"}
    assert len(run("audit", "--all").out.splitlines()) == len(told["violations"]) + 1


def test_what_somebody_else_wrote_reaches_no_terminal_as_it_is(run: Run, redis: Redis) -> None:
    redis.hset(keys.request("\x1b[31mred\n"), "state", "lost")
    code, out, _ = run("audit")
    assert (code, "\x1b" in out) == (1, False)
    assert r"request \x1b[31mred\n" in out
