"""The image: its Dockerfile read line by line, and the wheel built from exactly the files that it copies."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.containers import ROOT, stages

BUILD, FINAL = stages()


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().split()


def copied_into_build() -> list[tuple[str, str]]:
    """(source, target) of what the build stage copies."""
    return [(source, words[-1]) for words in map(str.split, BUILD.all("COPY")) for source in words[:-1]]


def test_the_image_is_built_in_a_stage_of_its_own_whose_tools_stay_behind() -> None:
    assert BUILD.name == "build"
    assert FINAL.all("RUN") == []
    assert "--from=build /opt/candlebus /opt/candlebus" in FINAL.all("COPY")
    assert "/opt/candlebus/bin/python install ." in BUILD.all("RUN")[0]
    assert FINAL.env()["PATH"].startswith("/opt/candlebus/bin:")


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    sources = [source for source, _ in copied_into_build()] + ["bus/scripts/serve.sh"]
    assert "bus/scripts/serve.sh /usr/local/bin/serve.sh" in FINAL.all("COPY")
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if source.partition("/")[0] in ignored()] == []


def test_nobody_in_the_image_is_root_and_it_writes_only_where_it_may() -> None:
    user, _, group = FINAL.all("USER")[-1].partition(":")
    assert int(user) > 0, "a number, so that an orchestrator can see that it is not root"
    assert int(group) > 0
    assert FINAL.env()["CANDLEBUS_HOME"].startswith("/tmp/")
    assert FINAL.env()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_image_runs_the_command_line_and_checks_the_bus() -> None:
    assert FINAL.argv("ENTRYPOINT") + FINAL.argv("CMD") == ["candlebus", "--help"]
    assert FINAL.argv("HEALTHCHECK") == ["candlebus", "alive"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of exactly what the build stage copies, made without a network, unpacked."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name, target in copied_into_build():
        place = source / target / (name if target.endswith("/") else "")
        found = ROOT / name
        files = [found] if found.is_file() else [one for one in found.rglob("*") if "__pycache__" not in one.parts]
        for one in filter(Path.is_file, files):
            to = place if found.is_file() else source / target / one.relative_to(found)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(one.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", str(out), str(source)], check=True, timeout=120, capture_output=True)
    built = next(out.glob("candlebus-*.whl"))
    with zipfile.ZipFile(built) as packed:
        packed.extractall(out / "unpacked")
    return out / "unpacked"


@pytest.mark.slow
def test_the_wheel_holds_every_script_and_nothing_but_our_packages(wheel: Path) -> None:
    scripts = {path.name for path in (ROOT / "bus/scripts").iterdir() if path.suffix in (".lua", ".sh")}
    assert {path.name for path in (wheel / "bus/scripts").iterdir()} - {"__init__.py"} == scripts
    tops = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"bus", "producers", "workers", "candlebus"}
    assert {path.name for top in tops for path in (wheel / top).glob("py.typed")} == {"py.typed"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["worker", "--help"], ["exchanges"]])
def test_the_command_line_runs_from_the_wheel(wheel: Path, tmp_path: Path, arguments: list[str]) -> None:
    code = "import bus, sys; from candlebus.cli import main; print(bus.__file__, file=sys.stderr); sys.exit(main())"
    env = {"PATH": os.defpath, "PYTHONPATH": str(wheel), "CANDLEBUS_HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-c", code, *arguments]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, str(wheel / "bus/__init__.py"))
    assert done.stdout
