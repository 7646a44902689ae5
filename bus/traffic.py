"""What all workers have sent to an exchange from one address lately, how it went, and whether its breaker is open."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from redis import Redis, ResponseError

from bus import keys
from bus.errors import DecodeError
from bus.refusals import may_pass

#: The scripts count in steps of so many seconds of the server's clock.
STEP_S: Final = 10
_STEPS: Final = 6
#: Keys that one step of a walk looks at: about a millisecond of the server.
_AT_ONCE: Final = 5_000
_LENGTH: Final = re.compile(r"^[0-9]+ ms: ")


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that has answered nothing but errors: one request at a time asks whether it is back.

    Attributes:
        open_ms: For how long nobody else has asked, ms.
        probe_ms: When the next one may ask, ms from now.
        probes: How many have asked in vain.
        reason: What the last one met.
    """

    open_ms: int
    probe_ms: int
    probes: int
    reason: str


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What left for an exchange from one address within ``span_ms`` until now, all workers together.

    Attributes:
        span_ms: Fifty to sixty seconds.
        sent: Requests, retries included.
        refused: Those that the exchange refused for the rate.
        failed: Those that it did not answer, or with trouble of its own.
        retried: Those that asked once more for what had failed.
        budget_share: How much of what the pace allows they used, in [0, 1] but for a request at its edge.
        breaker: None while it is closed.
    """

    egress: str
    span_ms: int
    sent: int
    refused: int
    failed: int
    retried: int
    budget_share: float
    breaker: Breaker | None


def addresses(redis: Redis, key: Callable[[str, str], str]) -> dict[str, list[str]]:
    """Exchange → the addresses for which there is such a key, :func:`bus.keys.traffic` or :func:`bus.keys.pause`.

    One walk through all keys of the server, in steps that keep nobody waiting.
    """
    prefix, found = key("", "")[:-1], sorted(name.decode() for name in redis.scan_iter(key("*", "*"), count=_AT_ONCE))
    by_exchange: dict[str, list[str]] = {}
    for exchange, _, egress in (name.removeprefix(prefix).partition(":") for name in found):
        by_exchange.setdefault(exchange, []).append(egress)
    return by_exchange


def pause_reason(value: object) -> str:
    """Why an exchange is left alone, by what stands at :func:`bus.keys.pause`; empty where there is nothing.

    There stands also how long the pause was to be, ``<ms> ms: <reason>``: if more is left of it than that, the server's
    clock was set back, and whoever looks next (`reserve.lua`, `pause.lua`) cuts it to its length.
    """
    text = value.decode(errors="replace") if isinstance(value, bytes) else ""
    return _LENGTH.sub("", text)


def traffic(redis: Redis, exchange: str, egress: str) -> Traffic:
    """The traffic of the last minute to an exchange from one address.

    Raises:
        DecodeError: What stands on the server is no count of ours.
    """
    try:
        return _traffic(redis, exchange, egress)
    except (ResponseError, ValueError, KeyError) as error:
        if may_pass(error):
            raise
        where = f"{keys.traffic(exchange, egress)} and {keys.breaker(exchange, egress)}"
        raise DecodeError(f"the traffic to {exchange} cannot be read ({error}); delete {where}") from error


def _traffic(redis: Redis, exchange: str, egress: str) -> Traffic:
    with redis.pipeline(transaction=False) as pipeline:  # Redis 7.0 opens none when memory has run out
        pipeline.time()
        pipeline.hgetall(keys.traffic(exchange, egress))
        pipeline.hgetall(keys.breaker(exchange, egress))
        (seconds, micros), counted, opened = pipeline.execute()
    now_us = seconds * 1_000_000 + micros
    counts = _counts(counted, seconds // STEP_S)
    span_ms = (_STEPS - 1) * STEP_S * 1000 + now_us // 1000 % (STEP_S * 1000)
    return Traffic(
        egress=egress,
        span_ms=span_ms,
        sent=counts.get("sent", 0),
        refused=counts.get("refused", 0),
        failed=counts.get("failed", 0),
        retried=counts.get("retried", 0),
        budget_share=round(counts.get("used_us", 0) / (span_ms * 1000), 4),
        breaker=_breaker(opened, now_us),
    )


def _counts(counted: dict[bytes, bytes], step: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for field, value in counted.items():
        number, _, what = field.decode().partition(":")
        if step - _STEPS < int(number) <= step:
            counts[what] = counts.get(what, 0) + int(value)
    return counts


def _breaker(opened: dict[Any, bytes], now_us: int) -> Breaker | None:
    if b"probe_us" not in opened:
        return None
    ahead_us = int(opened[b"probe_us"]) - now_us
    # Further ahead than any probe is put: the server's clock was set back, and reserve.lua lets the next one through.
    probe_us = ahead_us if 0 < ahead_us <= int(opened[b"most_us"]) else 0
    return Breaker(
        open_ms=max(0, now_us - int(opened[b"opened_us"])) // 1000,
        probe_ms=probe_us // 1000,
        probes=int(opened[b"probes"]),
        reason=opened[b"reason"].decode(errors="replace"),
    )
