"""What a fetch will take, and how far it is."""

import io
from typing import Any

import pytest

from bus.fetch_request import FetchRequest
from bus.requests import RequestStatus, State
from bus.series import Series
from bus.timeframes import TIMEFRAMES
from candlebus import progress as progress_module
from candlebus.estimate import estimates, slots_of, total_seconds
from candlebus.progress import Progress, state_words, tally

MINUTE = TIMEFRAMES["1m"]
BTC, ETH, KUCOIN = (
    Series("bingx", "BTC/USDT:USDT"),
    Series("bingx", "ETH/USDT:USDT"),
    Series("kucoinfutures", "BTC/USDT:USDT"),
)


def status(state: State = "running", *, done: int = 0, candles: int = 0, total: int | None = 100) -> RequestStatus:
    request = FetchRequest(request_id="r1", exchange="bingx", symbol="BTC/USDT:USDT", timeframe="1m", limit=100)
    span: dict[str, Any] = {"since": 0, "until": total * 60_000, "next_ms": done * 60_000} if total is not None else {}
    return RequestStatus(request=request, state=state, turn=1, attempt=1, candles=candles, pages=done // 10, **span)


def test_pages_follow_the_rows_of_the_pace() -> None:
    full = estimates([BTC, ETH, KUCOIN], 1440, lambda _: "full")
    slow = estimates([BTC], 1440, lambda _: "conservative")
    assert [(one.exchange, one.pages, one.requests) for one in full] == [("bingx", 2, 6), ("kucoinfutures", 3, 7)]
    assert [(one.pages, one.requests) for one in slow] == [(3, 7)]
    assert slow[0].seconds == pytest.approx(7 * 0.7, rel=0.01)
    assert total_seconds(full) == max(one.seconds for one in full)


def test_a_span_counts_the_slots_that_have_closed() -> None:
    now_ms = 1_000 * 60_000 + 30_000
    assert slots_of(MINUTE, None, None, 500, now_ms) == 500
    assert slots_of(MINUTE, 900 * 60_000, None, None, now_ms) == 100
    assert slots_of(MINUTE, 900 * 60_000, 950 * 60_000, None, now_ms) == 50
    assert slots_of(MINUTE, 2_000 * 60_000, None, None, now_ms) == 0


def test_a_tally_tells_speed_and_time_left_from_the_first_look_on() -> None:
    at = tally(status(done=60, candles=55), MINUTE, status(done=20, candles=15), 4.0)
    assert (at.done, at.total, at.rate, at.left_s) == (60, 100, 10.0, 4.0)
    assert tally(status(total=None), MINUTE, status(total=None), 4.0).left_s is None


def test_states_are_said_in_words() -> None:
    assert state_words(status("queued"), 0, 0) == "waiting"
    assert state_words(status("running"), 0, 0) == "running"
    assert state_words(status("queued"), 30_000, 0) == "refused until 1970-01-01T00:00:30Z"
    assert state_words(status("done"), 30_000, 0) == "done"


def test_progress_without_a_terminal_is_a_few_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    with Progress(MINUTE, out=out) as progress:
        progress({"bingx:BTC/USDT:USDT": status()})
        assert out.getvalue() == ""
        monkeypatch.setattr(progress_module, "_LINE_EVERY_S", 0.0)
        progress({"bingx:BTC/USDT:USDT": status(done=50, candles=48)})
    assert out.getvalue().startswith("bingx:BTC/USDT:USDT: 50 of 100 slots, 48 candles, 5 pages")


def test_progress_on_a_terminal_is_a_bar_a_series() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    with Progress(MINUTE, out=out) as progress:
        progress.pause_of = lambda _: 60_000
        progress({"bingx:BTC/USDT:USDT": status("queued")})
        progress.say("waiting for somebody")
    assert "refused until" in out.getvalue()
    assert "candlebus: waiting for somebody" in out.getvalue()
