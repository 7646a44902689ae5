"""The aligner keeps contract maps warm: ahead of their expiry, at most one fetch, within the shared budget."""

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import SettingsError
from bus.groups import GroupBook
from bus.messages import ContractMap
from bus.settings import Settings
from candlebus.sandbox import Sandbox
from workers.aligner.consumer import AlignerProcess
from workers.aligner.warmer import ContractWarmer

PATHS = {"bingx": "/openApi/swap/v2/quote/contracts", "kucoinfutures": "/api/v1/contracts/active"}


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[Sandbox]:
    with Sandbox(limit="off") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(stand_ins: Sandbox) -> Iterator[Sandbox]:
    yield stand_ins
    stand_ins.plan(faults="")


def fetches(sandbox: Sandbox) -> dict[str, int]:
    return {name: sandbox.stats(name).by_path.get(path, 0) for name, path in PATHS.items()}


def settings(server: str, sandbox: Sandbox) -> Settings:
    return Settings(redis_url=server, pace="full", urls=sandbox.urls)


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def age(redis: Redis, exchange: str, minutes: int) -> None:
    """Make the shared map so old, with what is left of its hour to live."""
    cache = Cache(redis, RedisClock(redis))
    found = cache.get(keys.contracts(exchange), ContractMap)
    assert found is not None
    older = msgspec.structs.replace(found, fetched_ms=found.fetched_ms - minutes * 60_000)
    cache.put(keys.contracts(exchange), older, (60 - minutes) * 60_000)


def test_the_maps_of_the_groups_exchanges_are_fetched_ahead_and_once(
    redis: Redis, server: str, sandbox: Sandbox
) -> None:
    before = fetches(sandbox)
    warmers = [
        ContractWarmer(settings(server, sandbox), lambda: {"bingx"}, look_every_s=0.05) for _ in range(3)
    ]  # as many aligners
    for warmer in warmers:
        warmer.__enter__()
    try:
        wait_for(lambda: bool(redis.exists(keys.contracts("bingx"))))
        age(redis, "bingx", minutes=40)
        time.sleep(0.3)
        assert fetches(sandbox)["bingx"] - before["bingx"] == 1
        age(redis, "bingx", minutes=9)
        wait_for(lambda: redis.pttl(keys.contracts("bingx")) > 3_500_000)
        time.sleep(0.3)
    finally:
        for warmer in warmers:
            warmer.__exit__(None, None, None)
    assert fetches(sandbox)["bingx"] - before["bingx"] == 2
    assert fetches(sandbox)["kucoinfutures"] == before["kucoinfutures"]
    assert redis.exists(keys.limit("bingx", "default"))  # it asked through the shared budget


def test_an_aligner_looks_after_the_exchanges_of_the_groups_that_it_holds(
    redis: Redis, server: str, sandbox: Sandbox
) -> None:
    process = AlignerProcess(redis, [])
    assert process.exchanges() == set()
    GroupBook(redis).add("g", ["bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"], "1m", start_ms=0)
    process.step()
    assert process.exchanges() == {"bingx", "kucoinfutures"}
    with ContractWarmer(settings(server, sandbox), process.exchanges, look_every_s=0.05):
        wait_for(lambda: all(redis.exists(keys.contracts(name)) for name in PATHS))


def test_what_fails_is_said_once_and_tried_again(
    redis: Redis, server: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with ContractWarmer(settings(server, sandbox), lambda: {"nowhere", "bingx"}, look_every_s=0.05):
        wait_for(lambda: bool(redis.exists(keys.contracts("bingx"))))
        time.sleep(0.3)
    assert [(r.message, r.exchange) for r in caplog.records] == [("contract map not kept warm", "nowhere")]  # type: ignore[attr-defined]


def test_without_a_server_there_is_nothing_to_keep_warm() -> None:
    with pytest.raises(SettingsError):
        ContractWarmer(Settings(), set)
