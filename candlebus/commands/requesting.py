"""``candlebus request``: what its commands do."""

import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from redis import Redis

from bus.clock import RedisClock
from bus.errors import CandleBusError, DecodeError, RequestError
from bus.instants import duration, iso
from bus.requests import RequestStatus
from bus.settings import load
from bus.text import printable
from candlebus.commands.shared import say, shared_bus
from candlebus.output.tables import show, table_of
from producers.look import exchanges_of
from producers.requests import cancel, open_requests, status_of
from workers.exchanges import registry

_COLUMNS: Final = ("id", "series", "timeframe", "state", "published until", "of it", "candles", "age", "worker")
_LONGEST: Final = 500


def listed(exchanges: list[str], *, as_json: bool) -> int:
    """Show the open requests; the exit code: 3 where some cannot be read."""
    for exchange in exchanges:
        registry.get(exchange)
    with shared_bus(load(), exchanges) as redis:
        readable, damaged = _open(redis, exchanges or exchanges_of(redis, registry.names()))
        now_ms = RedisClock(redis).now_ms()
    if as_json:
        sys.stdout.writelines(_line(one) for one in readable)
    elif readable:
        show(sys.stdout, table_of("", _COLUMNS, [_cells(one, now_ms) for one in readable]))
    else:
        sys.stdout.write("no open requests\n")
    for error in damaged:
        say(str(error))
    return 3 if damaged else 0


def _open(redis: Redis, exchanges: list[str]) -> tuple[list[RequestStatus], list[DecodeError]]:
    """The open requests of these exchanges, and what is wrong with those that cannot be read."""
    found = [one for exchange in exchanges for one in open_requests(redis, exchange)]
    readable = [one for one in found if isinstance(one, RequestStatus)]
    return readable, [one for one in found if isinstance(one, DecodeError)]


def _line(status: RequestStatus) -> str:
    told: dict[str, Any] = {"request_id": status.request.request_id, "series": str(status.request.series)}
    fields: dict[str, Any] = msgspec.to_builtins(status)
    told |= {"timeframe": status.request.timeframe, "asked": _asked(status)}
    told |= {name: value for name, value in fields.items() if name not in ("request", "failure")}
    told["error"] = str(status.error) if status.error else None
    return msgspec.json.encode(told).decode() + "\n"


def _asked(status: RequestStatus) -> dict[str, int | None]:
    request = status.request
    return {"since": request.since, "until": request.until, "limit": request.limit}


def _cells(status: RequestStatus, now_ms: int) -> list[str]:
    request = status.request
    age = duration(max(0, now_ms - status.created_ms) / 1000)
    reached = "-" if status.next_ms is None else iso(status.next_ms)
    known = [request.request_id, str(request.series), request.timeframe, status.state, reached, _share(status)]
    return [printable(text, _LONGEST) for text in [*known, str(status.candles), age, status.worker or "-"]]


def _share(status: RequestStatus) -> str:
    """How much of its span a request has settled."""
    if status.since is None or status.until is None or status.next_ms is None or status.until <= status.since:
        return "-"
    return f"{(status.next_ms - status.since) / (status.until - status.since):.0%}"


def shown(request_id: str, *, as_json: bool) -> int:
    """Show one request; the exit code."""
    with shared_bus(load()) as redis:
        status = status_of(redis, request_id)
    if as_json:
        sys.stdout.write(_line(status))
    else:
        sys.stdout.writelines(f"{name}: {printable(text, _LONGEST)}\n" for name, text in _lines(status))
    return 0


def _lines(status: RequestStatus) -> Iterator[tuple[str, str]]:
    request = status.request
    yield "id", request.request_id
    yield "series", f"{request.series} {request.timeframe}"
    yield "asked", ", ".join(f"{name} {value}" for name, value in _words(status))
    yield "state", f"{status.state}, turn {status.turn}, attempt {status.attempt}"
    if status.since is not None and status.until is not None:
        yield "span", f"{iso(status.since)} to {iso(status.until)}"
    if status.next_ms is not None:
        yield "published until", f"{iso(status.next_ms)}, {_share(status)} of it"
    for name in ("pages", "candles", "gap_slots", "quarantined", "long_decimals", "requests", "refusals"):
        yield name.replace("_", " "), str(getattr(status, name))
    yield "worker", status.worker or "-"
    yield "accepted", iso(status.created_ms)
    if status.ended_ms is not None:
        yield "ended", iso(status.ended_ms)
    if status.error is not None:
        yield "error", f"{type(status.error).__name__}: {status.error}"


def _words(status: RequestStatus) -> Iterator[tuple[str, str]]:
    for name, value in _asked(status).items():
        if value is not None:
            yield name, str(value) if name == "limit" else iso(value)


def cancelled(request_ids: list[str], exchange: str | None) -> int:
    """End requests and say what became of each; the exit code: 3 where some could not be ended."""
    if bool(request_ids) == (exchange is not None):
        raise RequestError("name requests to cancel, or --all EXCHANGE; see: candlebus request list")
    if exchange is not None:
        return _all_cancelled(registry.get(exchange).facts.name)
    with shared_bus(load()) as redis:
        if len(request_ids) == 1:
            _tell(request_ids[0], cancel(redis, request_ids[0]))
            return 0
        done = sum(_cancelled(redis, one) for one in request_ids)
    return 0 if done == len(request_ids) else 3 if done else 1


def _all_cancelled(exchange: str) -> int:
    with shared_bus(load()) as redis:
        readable, damaged = _open(redis, [exchange])
        done = sum(_cancelled(redis, one.request.request_id) for one in readable)
    for error in damaged:
        say(str(error))
    if not readable and not damaged:
        say(f"no open requests for {exchange}")
    return 0 if done == len(readable) + len(damaged) else 3 if done else 1


def _cancelled(redis: Redis, request_id: str) -> bool:
    try:
        _tell(request_id, cancel(redis, request_id))
    except CandleBusError as error:
        say(str(error))
        return False
    return True


def _tell(request_id: str, state: str) -> None:
    sys.stdout.write(f"{request_id}: {state if state == 'cancelled' else f'had ended before, {state}'}\n")
