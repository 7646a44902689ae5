"""Runs the test of every mutant against it and prints which were noticed: ``python tests/mutants/run.py``.

Exits with 1 where a mutant survives or no longer fits the source. Works on a copy; the source stays as it is.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.mutants import ARRAYS, LISTS, WALK
from tests.mutants.stream_mutants import COMMIT, STREAM

ALL: Final = [*WALK, *STREAM, *COMMIT, *LISTS, *ARRAYS]
_COPIED: Final = ("bus", "producers", "workers", "candlebus", "tests", "pyproject.toml")
#: A test that takes so much longer, s, than all of them took without a fault hangs for the fault: that is noticed too.
_SPARE_S: Final = 60
_HANGS: Final = -1
_SAYS: Final = {0: "SURVIVED", 1: "killed", _HANGS: "killed"}


def main() -> int:
    """Runs them all; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _copy(copy)
        begun_at = time.monotonic()
        code, said = _pytest(copy, sorted({mutant.test_id for mutant in ALL}), None)
        if code != 0:
            sys.stdout.write(f"{said}\nthe tests fail without any mutant\n")
            return 1
        limit_s = time.monotonic() - begun_at + _SPARE_S
        verdicts = [_verdict(copy, mutant, limit_s) for mutant in ALL]
    killed = verdicts.count("killed")
    sys.stdout.write(f"{killed} of {len(ALL)} killed\n")
    return 0 if killed == len(ALL) else 1


def _copy(folder: Path) -> None:
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def _verdict(copy: Path, mutant: Mutant, limit_s: float) -> str:
    file = copy / mutant.file
    source, begun_at = file.read_text(), time.monotonic()
    try:
        file.write_text(mutant.applied(source))
        code, _ = _pytest(copy, [mutant.test_id], limit_s)
        verdict = _SAYS.get(code, f"BROKEN, pytest ends with {code}")
    except ValueError as error:
        verdict = f"BROKEN, {error}"
    finally:
        file.write_text(source)
    seconds, test = time.monotonic() - begun_at, mutant.test.rpartition("::")[2]
    sys.stdout.write(f"{verdict:<10}{seconds:>4.0f} s  {mutant.fault:<68}{test}\n")
    sys.stdout.flush()
    return verdict


def _pytest(copy: Path, tests: Sequence[str], limit_s: float | None) -> tuple[int, str]:
    """The exit code of those tests in the copy, 0 where they pass, 1 where one fails; and what they say."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=first")
    command = [sys.executable, "-B", "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return _HANGS, ""
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
