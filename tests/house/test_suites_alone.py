"""The two suites of the original run by themselves, as the original's did, and count honestly."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def alone(file: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(file)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "told"),
    [
        ("test_bingx_ultimate_integration.py", "Results: 9/9 tests passed (BingX)"),
        ("test_kucoin_futures_integration.py", "Results: 6/6 tests passed (KuCoin)"),
    ],
)
def test_a_suite_runs_alone_from_any_folder_whatever_the_environment(
    suite: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", "redis://127.0.0.1:1/0")
    done = alone(ROOT / "tests" / suite, tmp_path)
    assert done.stdout.splitlines()[-1] == told, done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("tests", "told", "code"),
    [
        ("def test_a(): pass\ndef test_b(): assert 0\n", "Results: 1/2 tests passed (here)", 1),
        ("import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip()\n", "Results: 1/2 tests passed (here)", 1),
        ("", "Results: 0/0 tests passed (here)", 1),
        ("def test_a(): pass\n", "Results: 1/1 tests passed (here)", 0),
    ],
)
def test_what_fails_or_is_left_out_does_not_count_as_passed(tests: str, told: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    start = f"import sys\nsys.path[0] = {str(ROOT)!r}\nfrom tests.alone import run_alone\n"
    end = "if __name__ == '__main__':\n    sys.exit(run_alone(__file__, 'here'))\n"
    file.write_text(start + tests + end)
    done = alone(file, tmp_path)
    assert (done.stdout.splitlines()[-1], done.returncode) == (told, code)
