"""What an audit says: how much it looked at, and each place where a promise is not kept."""

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a promise is not kept.

    Attributes:
        promise: Its number in docs/reliability.md, such as ``P1``.
        expected, found: In words, with the values.
        stream, entry_id, request_id, group: Where; empty where it does not apply.
        open_ms: Open time of the row that is concerned, ms.
    """

    promise: str
    expected: str
    found: str
    stream: str = ""
    entry_id: str = ""
    request_id: str = ""
    group: str = ""
    open_ms: int | None = None

    @property
    def place(self) -> tuple[str, str, str, str, str, int | None]:
        """The promise and where it is not kept."""
        return self.promise, self.stream, self.entry_id, self.request_id, self.group, self.open_ms

    def __str__(self) -> str:
        parts = (("stream", self.stream), ("entry", self.entry_id), ("request", self.request_id), ("group", self.group))
        where = ", ".join(f"{name} {value}" for name, value in parts if value) or "server"
        return f"{self.promise} not kept: {where}: expected {self.expected}, found {self.found}"


#: What was looked at → how many of it; each check adds to it.
Checked = Counter[str]
#: A check of one stream, request or group, with what it is to look at bound to it.
Check = Callable[[Checked], Iterator[Violation]]


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found.

    Attributes:
        checked: What was looked at → how many of it.
        violations: In the order in which they were found.
    """

    checked: dict[str, int]
    violations: list[Violation]

    @property
    def is_clean(self) -> bool:
        """Whether every promise was found kept."""
        return not self.violations
