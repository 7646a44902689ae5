"""All properties under Atheris, one after another, as a table: ``python -m tests.fuzz.run [EXECUTIONS]``.

Each process may use 512 MiB and 5 s for one execution; more is a failure like an exception. The corpus that is kept
in the repository is the beginning; what is found on the way stays in a folder of its own and is thrown away.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.properties import PROPERTIES

CORPUS: Final = Path(__file__).parent / "corpus"
_MEMORY_MIB: Final = 512
_TIMEOUT_S: Final = 5
_LONGEST_BYTES: Final = 4_096
_LINE: Final = "{:<14} {:>11} {:>9} {:>8} {:>9} {:>10}\n"


class Outcome(NamedTuple):
    """What became of a property: executions, CPU and peak memory, and what libFuzzer said if it failed."""

    executions: int
    seconds: float
    peak_mib: int
    failure: str


def fuzz(name: str, executions: int, seed: int = 1) -> Outcome:
    """Try a property so often."""
    with tempfile.TemporaryDirectory() as found:
        options = [f"-runs={executions}", f"-seed={seed}", f"-rss_limit_mb={_MEMORY_MIB}", f"-timeout={_TIMEOUT_S}"]
        options += [f"-max_len={_LONGEST_BYTES}", "-print_final_stats=1", f"-artifact_prefix={found}/"]
        argv = [sys.executable, "-m", "tests.fuzz.target", name, *options, found, str(CORPUS / name)]
        began = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    took_s = time.monotonic() - began
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    failure = "" if done.returncode == 0 else done.stderr[-3_000:]
    return Outcome(int(stats.get("number_of_executed_units", 0)), took_s, int(stats.get("peak_rss_mb", 0)), failure)


def main(executions: int) -> int:
    """Try every property, the executions shared out equally; 1 where one failed."""
    sys.stdout.write(_LINE.format("property", "executions", "seconds", "per s", "peak MiB", "outcome"))
    failures, total, began = 0, 0, time.monotonic()
    for name in PROPERTIES:
        outcome = fuzz(name, -(-executions // len(PROPERTIES)))
        failures += bool(outcome.failure)
        total += outcome.executions
        figures = (outcome.executions, f"{outcome.seconds:.0f}", f"{outcome.executions / outcome.seconds:.0f}")
        sys.stdout.write(_LINE.format(name, *figures, outcome.peak_mib, "FAILED" if outcome.failure else "ok"))
        sys.stdout.write(outcome.failure)
        sys.stdout.flush()
    sys.stdout.write(f"{total} executions in {time.monotonic() - began:.0f} s, {failures} properties failed\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 140_000))
