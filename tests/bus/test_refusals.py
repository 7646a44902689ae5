"""Which refusals of a server pass by themselves, by what it says."""

import pytest
import redis as redis_library
from redis import Redis, RedisError, ResponseError
from redis.exceptions import BusyLoadingError, NoPermissionError, OutOfMemoryError, ReadOnlyError

from bus.refusals import may_pass, wait_until_writable


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), True),
        (ReadOnlyError("You can't write against a read only replica."), True),
        (BusyLoadingError("Redis is loading the dataset in memory"), True),
        (redis_library.ConnectionError("max number of clients reached"), True),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), True),
        (ResponseError("Command # 1 (HSET a b c) of pipeline caused error: NOREPLICAS Not enough good replicas"), True),
        (ResponseError("BUSY Redis is busy running a script."), True),
        (NoPermissionError("this user has no permissions"), False),
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), False),
        (ResponseError("ERR MISCONF is not the first word"), False),
        (ValueError("BUSY"), False),
    ],
)
def test_a_refusal_passes_by_its_kind(error: Exception, passes: bool) -> None:
    assert may_pass(error) == passes


def test_a_server_that_takes_writes_is_not_waited_for_and_keeps_nothing_of_the_question(redis: Redis) -> None:
    wait_until_writable(redis, lambda: False)
    assert redis.dbsize() == 0


def test_the_wait_ends_when_it_is_no_longer_wanted(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False, False, True])
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    limit = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", "1mb")
    try:
        wait_until_writable(redis, lambda: next(looks))
    except RedisError as error:
        pytest.fail(f"it was not waited for: {error}")
    finally:
        redis.config_set("maxmemory", limit)
    assert len(slept) == 2
