"""Runs cases: faults that overlap, then peace, then the audit and the comparison with the truth."""

import heapq
import itertools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bus.audit import audit
from candlebus.sandbox import VENUES
from tests.faults.bench import Bench, Set
from tests.faults.schedule import CASES_AN_EPOCH, Case, Fault
from tests.faults.truth import Counts, compare

#: How long after the last fault all that was asked may take to be there.
RECOVERY_S: Final = 60.0
_TICK_S: Final = 0.02
_MOST_TOLD: Final = 10


class CaseReport(msgspec.Struct, kw_only=True):
    """What became of a case.

    Attributes:
        faults: Faults that took effect, by kind and target.
        in_vain: Those that found nothing to strike; they are not counted.
        failures: How requests failed before they were asked again, by state and error.
        rollbacks: Losses of power that took away something that was written.
        recovery_s: From the end of the last fault until everything asked was there and aligned.
    """

    seed: int
    number: int
    fsync: str
    server: str
    faults: dict[str, int]
    in_vain: dict[str, int]
    requests: int
    counts: Counts
    failures: dict[str, int]
    rollbacks: int
    recovery_s: float
    seconds: float
    violation: str = ""


class Harness:
    """Runs the cases of one seed, with a new bus for every epoch.

    Attributes:
        folder: Where logs and data lie; those of a violation stay.
    """

    def __init__(self, folder: Path, seed: int, how: Set, *, recovery_s: float = RECOVERY_S) -> None:
        self.folder = folder
        self._seed = seed
        self._how = how
        self._recovery_s = recovery_s
        self._bench: Bench | None = None
        self._epoch = -1
        self._seen = Counts()
        self._requests = 0
        self._failures: Counter[str] = Counter()

    def run(self, cases: Iterable[Case], report: Callable[[CaseReport], bool]) -> CaseReport | None:
        """Run cases until ``report`` says that it is enough; the report of the first violation, if there was one."""
        try:
            for case in cases:
                done = self._case(case)
                if not report(done) or done.violation:
                    return done if done.violation else None
        finally:
            self.close()
        return None

    def close(self) -> None:
        """End what runs."""
        if self._bench is not None:
            self._bench.close()
            self._bench = None

    def _case(self, case: Case) -> CaseReport:
        begun_at = time.monotonic()
        bench = self._bench_of(case)
        bench.traffic.more(yes=True)
        cuts = bench.server.cuts
        faults, in_vain = Counter[str](), Counter[str]()
        for fault, took in _struck(bench, case.faults):
            (faults if took else in_vain)[f"{fault.kind} {fault.target}"] += 1
        healed_at = time.monotonic()
        violation, counts = self._checked(bench)
        requests, failures = len(bench.traffic.asked), Counter(bench.traffic.failures)
        failures["forgotten"] = bench.traffic.forgotten
        done = CaseReport(
            seed=self._seed,
            number=case.number,
            fsync=case.fsync,
            server=self._how.program or "embedded",
            faults=dict(faults),
            in_vain=dict(in_vain),
            requests=requests - self._requests,
            counts=_difference(counts, self._seen),
            failures=dict(failures - self._failures),
            rollbacks=bench.server.cuts - cuts,
            recovery_s=round(time.monotonic() - healed_at, 2),
            seconds=round(time.monotonic() - begun_at, 2),
            violation=violation,
        )
        self._seen, self._requests, self._failures = counts, requests, failures
        return done

    def _bench_of(self, case: Case) -> Bench:
        """The bus of the case's epoch."""
        epoch = case.number // CASES_AN_EPOCH
        if self._bench is None or epoch != self._epoch:
            folder = self.folder / f"epoch-{epoch}"
            self.close()
            shutil.rmtree(self.folder / f"epoch-{self._epoch}", ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            self._bench = Bench(folder, self._seed, epoch, case.fsync, self._how)
            self._epoch = epoch
            self._seen, self._requests, self._failures = Counts(), 0, Counter()
        return self._bench

    def _checked(self, bench: Bench) -> tuple[str, Counts]:
        """Wait for peace and check everything; what is wrong, if anything, and what there is."""
        counts = Counts()
        if bench.fleet.misfits:
            raise RuntimeError(bench.fleet.misfits[0])
        missing = bench.quiesce(self._recovery_s)
        asked = list(bench.traffic.asked.values())
        bench.server.start()
        troubles = bench.fleet.too_large() + _violations(bench)
        troubles += compare(bench.server.control, bench.truth, asked, bench.groups, counts)
        troubles += [f"after {self._recovery_s:.0f} s without a fault {missing}"] if missing else []
        troubles += [*_limits_exceeded(bench), *bench.fleet.refused, *bench.traffic.troubles]
        return "\n".join(troubles[:_MOST_TOLD]), counts


def _struck(bench: Bench, faults: Sequence[Fault]) -> list[tuple[Fault, bool]]:
    """Strike, one fault after the other, and end each when its time is over; whether each took effect."""
    order = itertools.count()
    lasting: list[tuple[float, int, Fault, Callable[[], bool]]] = []
    took: list[tuple[Fault, bool]] = []

    def end(until_s: float) -> None:
        while lasting and lasting[0][0] <= until_s:
            _, _, fault, heal = heapq.heappop(lasting)
            took.append((fault, heal()))

    for fault in faults:
        heal = bench.injector.strike(fault)
        heapq.heappush(lasting, (time.monotonic() + fault.hold_s, next(order), fault, heal))
        pause_until = time.monotonic() + fault.pause_s
        while time.monotonic() < pause_until:
            end(time.monotonic())
            time.sleep(_TICK_S)
    while lasting:
        end(time.monotonic())
        time.sleep(_TICK_S)
    bench.server.start()
    return took


def _violations(bench: Bench) -> list[str]:
    """What the audit finds; where the server's clock was set back, keys may outlive what they were given."""
    found = map(str, audit(bench.server.control).violations)
    return [text for text in found if not ("expected a life" in text and bench.injector.has_stepped_server)]


def _limits_exceeded(bench: Bench) -> list[str]:
    """Exchanges that refused for the rate although no fault made them."""
    refusals = {venue: bench.sandbox.stats(venue).refusals for venue in VENUES}
    return [f"{venue} refused {n} requests: its limit was exceeded" for venue, n in refusals.items() if n]


def _difference(now: Counts, before: Counts) -> Counts:
    fields = {name: getattr(now, name) - getattr(before, name) for name in Counts.__struct_fields__}
    return Counts(**fields)
