"""Text from elsewhere: one line, bounded, and without the secrets of an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import CandleBusError, from_record, to_record
from bus.text import address, printable


@given(st.text(), st.integers(0, 50))
def test_any_text_becomes_printable_and_no_longer_than_allowed(text: str, most: int) -> None:
    out = printable(text, most)
    assert out.isprintable()
    assert len(out) <= most


def test_what_is_printable_stays_as_it_is() -> None:
    assert printable("币安人生 é 'quoted' \\n", 99) == "币安人生 é 'quoted' \\n"
    assert printable("a\nb\x1b[31m\u202e\ud800", 99) == "a\\nb\\x1b[31m\\u202e\\ud800"


@given(st.text(max_size=20))
def test_an_error_is_one_line_whatever_it_quotes(quoted: str) -> None:
    error = from_record(to_record(CandleBusError(f"no {quoted}")))
    assert str(error).isprintable()
    assert len(str(CandleBusError(quoted * 10_000))) <= 4_000


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://user:SECRET@host:6379/0", "redis://…@host:6379/0"),
        ("redis://:SEC@RET@host/0", "redis://…@host/0"),
        ("redis://:SEC?RET@host/0", "redis://…@host/0"),
        ("redis://host/0?password=SECRET", "redis://host/0"),
        ("https://host/path?token=SECRET@x", "https://…@x"),
        ("unix://user:SECRET@/run/bus.sock?db=1", "unix://…@/run/bus.sock"),
        ("https://host/\n#SECRET", "https://host/\\n"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert address(url) == shown
