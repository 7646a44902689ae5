"""The house holds what it says: names, walls, packages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("bus", "producers", "workers", "candlebus") for path in (ROOT / room).rglob("*.py")]


def test_redis_names_are_spelled_in_one_file() -> None:
    spelled = re.compile(r"""["']candlebus:[a-z{]""")
    offenders = [str(path) for path in SOURCES if path.name != "keys.py" and spelled.search(path.read_text())]
    assert offenders == []


def test_every_script_that_is_named_exists_and_every_script_is_named() -> None:
    named = {name for path in SOURCES for name in re.findall(r'Script\(\w+, "(\w+)"\)', path.read_text())}
    assert named == {path.stem for path in (ROOT / "bus/scripts").glob("*.lua")}


def test_every_module_says_in_one_sentence_what_lives_there() -> None:
    silent = [str(path) for path in SOURCES if not path.read_text().lstrip().startswith('"""')]
    assert silent == []


@pytest.mark.parametrize("name", ["bus", "producers", "workers"])
def test_a_module_of_the_name_of_ours_is_reported_with_its_path(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import candlebus"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"candlebus needs its own package '{name}'" in last
    assert str(tmp_path / f"{name}.py") in last


def test_a_native_worker_does_not_pay_for_ccxt() -> None:
    code = "import sys, workers.worker, workers.exchanges.registry; print('ccxt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_constraints_pin_names_and_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
