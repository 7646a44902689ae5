"""Asking again: only what passes, a few times, by chance, and within the budget of all workers."""

import pytest

from bus.errors import AccessRefused, ExchangeUnavailable, MalformedPage, OutOfService
from workers.retries import tried


class Asked:
    """Fails as often as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def down() -> ExchangeUnavailable:
    return ExchangeUnavailable("venue", "HTTP 503")


def test_what_passes_is_asked_again() -> None:
    naps: list[float] = []
    assert tried(Asked(down(), MalformedPage("venue", "html")), sleep=naps.append) == "answer"
    assert len(naps) == 2


def test_never_more_than_three_times() -> None:
    asked = Asked(*(down() for _ in range(9)))
    with pytest.raises(ExchangeUnavailable, match=r"^HTTP 503 after 3 tries$"):
        tried(asked, sleep=lambda _: None)
    assert asked.count == 3


@pytest.mark.parametrize("error", [AccessRefused("venue", "HTTP 451"), OutOfService("venue", "down for an hour")])
def test_what_does_not_pass_is_not_asked_again(error: Exception) -> None:
    asked = Asked(error)
    with pytest.raises(type(error)) as caught:
        tried(asked, sleep=lambda _: None)
    assert caught.value is error
    assert asked.count == 1


def test_waits_are_drawn_anew_each_time_from_nothing_to_a_bound_that_doubles() -> None:
    naps: list[float] = []
    for _ in range(200):
        tried(Asked(down(), down()), sleep=naps.append)
    first, second = naps[::2], naps[1::2]
    assert 0 <= min(first) < 0.1 < 0.4 < max(first) <= 0.5
    assert 0 <= min(second) < 0.2 < 0.8 < max(second) <= 1.0


def test_a_try_waits_for_room_in_the_budget() -> None:
    answers = iter([False, False, True])
    naps: list[float] = []
    assert tried(Asked(down()), sleep=naps.append, may_retry=lambda: next(answers)) == "answer"
    assert naps[:2] == [2.0, 2.0]


def test_without_room_in_the_budget_the_error_says_so() -> None:
    asked, naps = Asked(down()), []
    with pytest.raises(ExchangeUnavailable, match="HTTP 503 after 1 try; the workers' budget of further tries is used"):
        tried(asked, sleep=naps.append, may_retry=lambda: False)
    assert asked.count == 1
    assert sum(naps) < 50
