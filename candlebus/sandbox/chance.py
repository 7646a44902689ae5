"""Chance without state: the same numbers in every process, on every machine."""

import hashlib
from functools import lru_cache
from typing import Final

_MASK: Final = (1 << 64) - 1


@lru_cache(maxsize=1024)
def seed_of(*words: str) -> int:
    """A 64-bit seed that depends on every word."""
    digest = hashlib.blake2b("\x00".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def mix(seed: int, number: int) -> int:
    """64 well-mixed bits of a seed and a number, by the splitmix64 finalizer."""
    z = (seed + number * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(seed: int, number: int) -> float:
    """A number in ``[0, 1)`` made of a seed and a number."""
    return (mix(seed, number) >> 11) / (1 << 53)
