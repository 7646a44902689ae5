"""A pause lasts as long as the exchange asked, by a clock that never steps, whatever becomes of the server's."""

import pytest
from redis import ConnectionError as ServerAway
from redis import Redis

from bus import keys
from bus.errors import Paused
from tests.workers.conftest import SteppedServer
from workers.limiter import Budget, Limiter
from workers.pause_memory import PauseMemory

FAST = Budget(interval_us=5_000, max_ahead_us=1_000_000, late_us=1_000_000, rows=500)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BEGAN_MS = 1_800_000_000_000
KEY = keys.pause("bingx", "default")


class Process:
    """A worker's process as far as pauses go, with a monotonic clock of the test's."""

    def __init__(self, redis: Redis) -> None:
        self.passed_s = 1_000.0
        self.limiter = Limiter(redis, "bingx", "default", FAST, monotonic=lambda: self.passed_s)

    def asks(self) -> str:
        try:
            self.limiter.acquire(1)
        except Paused as error:
            return str(error)
        return "went through"


def noted(left_ms: int) -> PauseMemory:
    """A memory of a pause that was set at second 0 of the process, and at ``BEGAN_MS`` of the server."""
    memory = PauseMemory()
    memory.note(0, left_ms, "ban", ends_ms=BEGAN_MS + left_ms)
    return memory


def test_a_pause_is_over_when_its_own_length_has_passed_and_not_later() -> None:
    memory = noted(HOUR_MS)
    assert [memory.left_ms(now_s) for now_s in (0, 3_599, 3_600, 9_999)] == [HOUR_MS, 1_000, 0, 0]
    assert PauseMemory().left_ms(0) == 0


def test_a_shorter_pause_changes_nothing_and_a_longer_one_is_remembered_instead() -> None:
    memory = noted(HOUR_MS)
    memory.note(60, MINUTE_MS, "refusal", ends_ms=BEGAN_MS + 2 * MINUTE_MS)
    assert (memory.left_ms(60), memory.reason) == (59 * MINUTE_MS, "ban")
    memory.note(60, 2 * HOUR_MS, "longer ban", ends_ms=BEGAN_MS + MINUTE_MS + 2 * HOUR_MS)
    assert (memory.left_ms(60), memory.reason) == (2 * HOUR_MS, "longer ban")


def test_a_pause_that_is_known_lasts_no_longer_though_the_servers_clock_was_set_back_meanwhile() -> None:
    memory = noted(HOUR_MS)
    memory.note(1_800, 50 * MINUTE_MS, "ban", ends_ms=BEGAN_MS + HOUR_MS)  # half of it has passed
    assert memory.left_ms(1_800) == 30 * MINUTE_MS


@pytest.mark.parametrize(
    ("ahead_ms", "told_ms", "again_ms"),
    [
        (0, 30 * MINUTE_MS, 0),
        (0, 0, 0),  # ended by hand
        (-25 * MINUTE_MS, 0, 0),  # as well
        (25 * MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS),
        (61 * MINUTE_MS, 0, 30 * MINUTE_MS),
        (61 * MINUTE_MS, 30 * MINUTE_MS, 0),  # another process has told the server
    ],
)
def test_the_server_is_told_anew_of_a_pause_that_its_clock_cut_short(
    ahead_ms: int, told_ms: int, again_ms: int
) -> None:
    server_ms = BEGAN_MS + 30 * MINUTE_MS + ahead_ms
    assert noted(HOUR_MS).cut_short_ms(1_800, told_ms, server_ms) == again_ms


def test_a_ban_holds_though_the_servers_clock_was_set_ahead_of_its_end(stepped: SteppedServer) -> None:
    process, told, fresh = (Process(stepped.redis) for _ in range(3))
    process.limiter.pause(HOUR_MS, "HTTP 418", refusals=1)
    assert "another 3600 s: HTTP 418" in told.asks()
    stepped.step(61 * MINUTE_MS)
    assert stepped.redis.get(KEY) is None
    told.passed_s += 600
    assert "another 3000 s: HTTP 418" in told.asks(), "it noted no pause itself"
    assert "another 3000 s: HTTP 418" in fresh.asks(), "the server knows it again"
    assert "another 3600 s: HTTP 418" in process.asks()
    assert process.limiter.rest_ms() == HOUR_MS, "no job is taken either"


def test_a_ban_that_was_cut_short_is_made_whole_before_it_ends(stepped: SteppedServer) -> None:
    process, fresh = Process(stepped.redis), Process(stepped.redis)
    process.limiter.pause(HOUR_MS, "HTTP 418")
    stepped.step(25 * MINUTE_MS)
    assert process.limiter.paused_ms() == HOUR_MS
    assert fresh.limiter.paused_ms() == pytest.approx(HOUR_MS, abs=5_000)


def test_a_ban_that_was_made_whole_ends_when_its_length_has_passed(stepped: SteppedServer) -> None:
    process = Process(stepped.redis)
    process.limiter.pause(HOUR_MS, "HTTP 418")
    stepped.step(61 * MINUTE_MS)
    process.asks()
    stepped.step(2 * 61 * MINUTE_MS)
    process.passed_s += 3_600
    assert process.asks() == "went through"
    assert stepped.redis.exists(KEY) == 0


def test_a_pause_that_is_ended_by_hand_is_over_for_who_remembers_it(redis: Redis) -> None:
    process = Process(redis)
    process.limiter.pause(HOUR_MS, "HTTP 418")
    redis.delete(KEY)
    assert process.asks() == "went through"
    assert redis.exists(KEY) == 0


def test_a_pause_that_the_server_could_not_be_told_is_told_when_it_is_back(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ServerAway("away")

    process = Process(redis)
    with monkeypatch.context() as broken:
        broken.setattr(process.limiter, "_pause", away)
        with pytest.raises(ServerAway):
            process.limiter.pause(HOUR_MS, "HTTP 418")
    assert "another 3600 s: HTTP 418" in process.asks()
    assert redis.pttl(KEY) == pytest.approx(HOUR_MS, abs=5_000)


def test_who_remembers_no_pause_asks_the_server_no_more_often_than_before(redis: Redis) -> None:
    process = Process(redis)
    redis.set(KEY, "150 ms: HTTP 429", px=150)
    process.asks()
    process.passed_s += 1
    calls = []
    redis.set_response_callback("EVALSHA", lambda answer, **_: calls.append(answer) or answer)
    process.limiter._sleep = lambda _: None
    process.asks()
    assert [answer[0] for answer in calls] in ([b"go"], [b"wait", b"go"])
