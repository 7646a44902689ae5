"""What a mutant is."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Mutant(NamedTuple):
    """A fault: one exact replacement in one file, and the test that must fail with it.

    Attributes:
        fault: What is wrong then, in a few words.
        file: The file, from the root of the repository.
        right: The source as it is; stands there exactly once.
        wrong: What takes its place.
        test: File of the test, from ``tests/``, and its name.
    """

    fault: str
    file: str
    right: str
    wrong: str
    test: str

    @property
    def test_id(self) -> str:
        """The test as pytest names it."""
        return f"tests/{self.test}"

    def applied(self, source: str) -> str:
        """The source with the fault.

        Raises:
            ValueError: What is to be replaced does not stand there exactly once.
        """
        count = source.count(self.right)
        if count != 1:
            raise ValueError(f"{self.fault!r}: {self.right!r} stands {count} times in {self.file}, not once")
        return source.replace(self.right, self.wrong)
