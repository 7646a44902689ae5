"""Every record is exactly one line, whatever it holds and whoever wrote it."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.logs import formatter

JSON, TEXT = formatter("json"), formatter("text")
NASTY = st.text(st.characters() | st.sampled_from("\n\r\x00\x1b\x85\u2028\u202e\ud800\"'{}\\= "), max_size=60)
VALUES = st.one_of(
    NASTY, st.integers(), st.floats(), st.none(), st.booleans(), st.binary(max_size=40), st.lists(NASTY, max_size=3),
    st.dictionaries(NASTY, NASTY, max_size=3), st.sampled_from(["x" * 100_000, 10**5_000, 2**63, {"a": {"b": [1]}}]),
)  # fmt: skip
FIELDS = st.dictionaries(st.sampled_from(["exchange", "count", "cause", "request_id"]), VALUES)


def record(message: Any, fields: dict[str, Any], error: Exception | None = None) -> logging.LogRecord:
    trace = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("workers.x", logging.WARNING, "x.py", 1, message, None, trace)
    vars(made).update(fields)
    return made


@given(NASTY | st.just("x" * 100_000), FIELDS, NASTY | st.none())
def test_a_record_is_one_line_of_json_that_says_what_was_logged(
    message: str, fields: dict[str, Any], failure: str | None
) -> None:
    line = JSON.format(record(message, fields, None if failure is None else ValueError(failure)))
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line, parse_constant=pytest.fail)
    assert {*fields, "event", "level", "logger", "timestamp"} <= set(found)
    assert ("trace" in found) == (failure is not None)
    assert all(len(value) <= 1_024 for key, value in found.items() if isinstance(value, str) and key != "trace")
    assert len(found.get("trace", "")) <= 8_192
    for name, value in fields.items():
        if isinstance(value, str) and value.isprintable() and len(value) <= 1_024:
            assert found[name] == value


@given(NASTY, FIELDS, NASTY | st.none())
def test_the_form_for_people_is_one_line_too(message: str, fields: dict[str, Any], failure: str | None) -> None:
    line = TEXT.format(record(message, fields, None if failure is None else ValueError(failure)))
    assert line.isprintable()
    assert "[workers.x]" in line


def test_a_field_whose_text_fails_is_named() -> None:
    class Bad:
        def __str__(self) -> str:
            raise ValueError("no text")

    found = json.loads(JSON.format(record("hello", {"cause": Bad()})))
    assert found["cause"] == "Bad that cannot be shown (ValueError)"


def test_an_exception_is_one_field_without_the_values_of_variables() -> None:
    def fail(password: str) -> None:
        raise ValueError("no luck")

    try:
        fail("CANARY")
    except ValueError as error:
        found = json.loads(JSON.format(record("failed", {}, error)))
    assert found["trace"].startswith("Traceback")
    assert found["trace"].endswith("ValueError: no luck")
    assert "password" not in found["trace"].split("in fail")[1]


SCRIPT = """
import logging, warnings
from bus.logs import set_up_logging
set_up_logging("json")
for name in ("rq.worker", "urllib3.connectionpool", "redis.client"):
    logging.getLogger(name).info("quiet")
    logging.getLogger(name).warning("loud\\nforged")
logging.getLogger("workers.x").info("ours")
warnings.warn("old")
raise RuntimeError("nobody caught me\\n{}")
"""


def test_other_libraries_warnings_and_the_last_words_go_through_the_same_pipe() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["logger"] for one in found] == [
        "rq.worker", "urllib3.connectionpool", "redis.client", "workers.x", "py.warnings", "candlebus",
    ]  # fmt: skip
    assert found[0]["event"] == "loud\\nforged"
    assert (found[-1]["level"], found[-1]["event"]) == ("critical", "uncaught error")
