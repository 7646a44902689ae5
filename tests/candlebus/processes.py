"""Commands as processes, and what is left of them."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

BTC = "bingx:BTC/USDT:USDT"
Start = Callable[..., "subprocess.Popen[str]"]


def left_of(home: Path) -> list[str]:
    """Command lines of the processes that were started with that home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def gone(home: Path, within_s: float = 15) -> bool:
    deadline = time.monotonic() + within_s
    while left_of(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_until(happened: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
