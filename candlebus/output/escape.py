"""Text from the bus made fit for a terminal: somebody else may have written it."""

from typing import Final

_LONGEST: Final = 2_000


def printable(text: str) -> str:
    """The text in one line, control and invisible characters as escapes; what is very long is cut."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
