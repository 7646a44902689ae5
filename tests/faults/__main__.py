"""``python -m tests.faults --seed N``: faults until enough, then the table; exits with 1 at the first violation."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from tests.faults.bench import Set
from tests.faults.harness import RECOVERY_S, CaseReport, Harness
from tests.faults.schedule import names, schedule
from tests.faults.tally import Tally


def main() -> int:
    """Run; the exit code."""
    given = _arguments()
    seed = SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    tally = Tally(given.state, seed)
    folder = Path(tempfile.mkdtemp(prefix="candlebus-chaos-"))
    _say(f"seed {seed}, logs and data in {folder}, from case {max(given.first, tally.next_case)} on")
    ends_at = time.monotonic() + given.minutes * 60

    def report(done: CaseReport) -> bool:
        tally.add(done)
        _say(tally.line(done))
        return time.monotonic() < ends_at and tally.faults < given.faults

    how = Set(program=given.server, brisk=not given.production_waits)
    harness = Harness(folder, seed, how, recovery_s=RECOVERY_S * (3 if given.production_waits else 1))
    first = max(given.first, tally.next_case)
    cases = (case.without(given.without) for case in schedule(seed) if case.number >= first)
    violation = harness.run(cases, report)
    _say(tally.table())
    if violation:
        _say(f"VIOLATION in case {violation.number} of seed {seed}:\n{violation.violation}\nkept: {folder}")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the schedule; one drawn by chance is printed")
    parser.add_argument("--first", type=int, default=0, help="case to begin with")
    parser.add_argument("--minutes", type=float, default=60, help="begin no case after so long")
    parser.add_argument("--faults", type=int, default=10**9, help="begin no case after so many")
    parser.add_argument("--state", type=Path, help="file of the cases that ran; the same seed goes on after them")
    leave_out = {"action": "append", "default": [], "type": _name, "metavar": "'KIND TARGET'"}
    parser.add_argument("--without", help="faults to leave out, as in 'clock_step server'", **leave_out)
    parser.add_argument("--server", help="server program instead of the embedded one")
    parser.add_argument("--production-waits", action="store_true", help="leases and page sizes as in production")
    return parser.parse_args()


def _name(text: str) -> str:
    if text not in names():
        raise argparse.ArgumentTypeError(f"{text!r} is none of: {', '.join(sorted(names()))}")
    return text


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
