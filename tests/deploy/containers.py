"""Containers without an engine: their files are read, and their commands run here, on this machine's own programs."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bus.embedded import find_server

ROOT = Path(__file__).parents[2]
END_S = 25.0


class Stage(NamedTuple):
    """One stage of a Dockerfile."""

    base: str
    name: str
    instructions: list[tuple[str, str]]

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == instruction]

    def argv(self, instruction: str) -> list[str]:
        """The list that is the last such instruction."""
        found: list[str] = json.loads("[" + self.all(instruction)[-1].partition("[")[2])
        return found

    def env(self) -> dict[str, str]:
        return dict(part.split("=", 1) for line in self.all("ENV") for part in shlex.split(line))


def stages() -> list[Stage]:
    """The stages of the Dockerfile, comments dropped and continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Stage] = []
    for line in filter(None, "\n".join(lines).replace("\\\n", " ").splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name, []))
        else:
            found[-1].instructions.append((instruction, rest.strip()))
    return found


class Machine:
    """This machine as the host of containers: programs of the images are those that are here.

    Args:
        folder: Where containers write.
        environment: What the containers are told beside their own environment, such as where the exchanges are.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._running: list[subprocess.Popen[bytes]] = []
        self.bus_port, self.metrics_port = free_port(), free_port()
        self._programs = folder / "programs"
        self._programs.mkdir()
        (self._programs / "valkey-server").symlink_to(find_server())
        self._write("candlebus", f'exec {sys.executable} -P -m candlebus "$@"')
        self._write("python", f'exec {sys.executable} "$@"')
        stand_in = Path(__file__).with_name("valkey_cli.py")
        self._write("valkey-cli", f'exec {sys.executable} {stand_in} {self.bus_port} "$@"')

    def _write(self, name: str, line: str) -> None:
        (self._programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (self._programs / name).chmod(0o755)

    def argv(self, command: list[str], mounts: dict[str, str] | None = None) -> list[str]:
        """A container's command with its paths and ports replaced by ours."""
        found = []
        for part in command:
            for inside, outside in (mounts or {}).items():
                part = outside if part == inside else part.replace(f"{inside}/", f"{outside}/")
            found.append(part.replace("9464", str(self.metrics_port)))
        return found

    def env(self, told: dict[str, str]) -> dict[str, str]:
        path = f"{self._programs}:{os.defpath}"
        url = told.get("CANDLEBUS_REDIS_URL", "").replace("bus:6379", f"127.0.0.1:{self.bus_port}")
        ours = {"PATH": path, "CANDLEBUS_HOME": str(self._folder / "home"), "PYTHONWARNINGS": "ignore"}
        return ours | told | self._environment | ({"CANDLEBUS_REDIS_URL": url} if url else {})

    def start(self, command: list[str], told: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Run a container's command with what it is told."""
        program = shutil.which(command[0], path=self.env({})["PATH"])
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(command, executable=program, env=self.env(told), stdout=log, stderr=log)
        self._running.append(process)
        return process

    def check(self, command: list[str], told: dict[str, str]) -> int:
        """Exit code of a health check."""
        return self.start(command, told).wait(timeout=30)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def becomes_healthy(machine: Machine, check: list[str], told: dict[str, str], within_s: float = 40) -> bool:
    deadline = time.monotonic() + within_s
    while machine.check(check, told):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def ends_when_asked(process: "subprocess.Popen[bytes]") -> bool:
    """Whether the container ends on SIGTERM in the time that is promised, and by itself."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=END_S) in (0, 128 + signal.SIGTERM)


def arguments_after(command: list[str], option: str) -> str:
    """The value of an option."""
    return command[command.index(option) + 1]


def documents(path: Path) -> list[Any]:
    """What a YAML file holds."""
    return [found for found in yaml.safe_load_all(path.read_text()) if found]
