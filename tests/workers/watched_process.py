"""A process of ours under watch: its log, its memory, whether it is the one that was started."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class WatchedProcess:
    """Ends with the ``with`` block."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._path = folder / "log"
        with self._path.open("wb") as out:
            self._process = subprocess.Popen(list(argv), env=dict(env), stdout=out, stderr=out)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self._path.read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def peak_mib(self) -> int:
        """The most memory that it ever used, MiB; 0 where the system does not say."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)

    def wait(self, timeout_s: float) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(timeout=timeout_s)

    def __enter__(self) -> "WatchedProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
