"""Adds up the cases, on paper too, so that a run can be stopped and continued."""

from collections import Counter
from pathlib import Path

import msgspec

from tests.faults.harness import CaseReport

_TOTALS = ("pages", "candles", "rows", "lost", "duplicated", "out_of_order")


class Tally:
    """The sums of a seed's cases.

    Attributes:
        faults: Faults that took effect.
        next_case: The first case that has not run.
    """

    def __init__(self, file: Path | None, seed: int) -> None:
        """Read what ran before, if there is a file of it."""
        self._file = file
        self._cases: list[CaseReport] = []
        if file is not None and file.exists():
            reports = [msgspec.json.decode(line, type=CaseReport) for line in file.read_bytes().splitlines()]
            self._cases = [one for one in reports if one.seed == seed]
        self.next_case = max((one.number + 1 for one in self._cases), default=0)

    def add(self, case: CaseReport) -> None:
        """Add a case, and write it down."""
        self._cases.append(case)
        self.next_case = case.number + 1
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(case) + b"\n")

    @property
    def faults(self) -> int:
        return sum(sum(one.faults.values()) for one in self._cases)

    def line(self, case: CaseReport) -> str:
        """One line about a case."""
        return (
            f"case {case.number:>4} {case.fsync:<8} {sum(case.faults.values()):>3} faults (total {self.faults}), "
            f"{case.requests} requests, {case.counts.pages} pages, recovered in {case.recovery_s:.1f} s, "
            f"{case.seconds:.0f} s in all{'  VIOLATION' if case.violation else ''}"
        )

    def table(self) -> str:
        """All sums, as Markdown."""
        kinds: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        for case in self._cases:
            kinds.update(case.faults)
            failures.update(case.failures)
        totals = {name: sum(getattr(one.counts, name) for one in self._cases) for name in _TOTALS}
        slowest = max((one.recovery_s for one in self._cases), default=0.0)
        hours = sum(one.seconds for one in self._cases) / 3600
        lines = ["| fault | times |", "| --- | ---: |"]
        lines += [f"| {kind} | {count:,} |" for kind, count in sorted(kinds.items())]
        lines += [f"| **all** | **{self.faults:,}** |", ""]
        sums = {"cases": len(self._cases), "requests": sum(one.requests for one in self._cases), **totals}
        sums["rollbacks"] = sum(one.rollbacks for one in self._cases)
        lines += [_listed(sums)]
        lines += [f"asked again after: {_listed(dict(sorted(failures.items()))) or 'nothing'}"]
        lines += [f"slowest recovery {slowest:.1f} s, {hours:.2f} hours"]
        if self.faults and not any(one.violation for one in self._cases):
            bound = 3 / self.faults
            lines += [f"no violation in {self.faults:,} faults: at 95 % fewer than {bound:.2%} of such faults violate"]
        return "\n".join(lines)


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in numbers.items())
