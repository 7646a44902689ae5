"""Questions side by side: answers in order, no more under way than allowed, none left behind."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from workers.flight import answers


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def test_answers_come_in_the_order_of_the_questions_whichever_is_ready_first(executor: ThreadPoolExecutor) -> None:
    later = threading.Event()

    def ask(question: int) -> int:
        if question == 0:
            later.wait(5)  # the first answer is ready last
        elif question == 2:
            later.set()
        return question * 10

    assert list(answers(executor, ask, range(5), 3)) == [0, 10, 20, 30, 40]


def test_no_more_questions_are_under_way_than_allowed(executor: ThreadPoolExecutor) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def ask(question: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.005)
        with lock:
            under_way -= 1
        return question

    assert list(answers(executor, ask, range(20), 3)) == list(range(20))
    assert most <= 3


def test_a_question_is_taken_only_when_there_is_a_place_for_it(executor: ThreadPoolExecutor) -> None:
    taken = []

    def questions() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    with closing(answers(executor, lambda question: question, questions(), 4)) as found:
        assert next(found) == 0
        assert taken == [0, 1, 2, 3]
        assert next(found) == 1
        assert taken == [0, 1, 2, 3, 4]


def test_a_question_that_raises_does_so_in_its_turn(executor: ThreadPoolExecutor) -> None:
    def ask(question: int) -> int:
        if question == 2:
            raise ValueError(question)
        return question

    found = answers(executor, ask, range(5), 4)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="2"):
        next(found)


def test_nothing_is_under_way_any_more_once_the_caller_has_stopped(executor: ThreadPoolExecutor) -> None:
    ended = []

    def ask(question: int) -> int:
        threading.Event().wait(0.02)
        ended.append(question)
        return question

    with closing(answers(executor, ask, range(10), 4)) as found:
        next(found)
    count = len(ended)
    threading.Event().wait(0.1)
    assert len(ended) == count
