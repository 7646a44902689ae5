"""``candlebus doctor``: everything that is checked at a start, and more, each finding with its cure."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from redis import Redis

from bus import keys
from bus.connection import connect, readable_errors
from bus.embedded import find_server
from bus.errors import CandleBusError
from bus.groups import GroupBook
from bus.server_findings import Finding, findings
from bus.server_look import server_facts
from bus.settings import Settings, load, unknown_variables
from bus.text import address, printable
from candlebus.commands.shared import bus_url
from producers.look import ExchangeLook, exchanges_of, look_at
from workers.desk import Desk
from workers.exchanges import registry

#: A day of full streams and an append-only file that is being rewritten fit.
_ENOUGH_BYTES: Final = 2 * 2**30
_LONGEST: Final = 200


def examined(*, as_json: bool, exchanges: bool) -> int:
    """Show the findings; 1 where one of them keeps a promise from being kept."""
    settings = load()
    found = [*_environment(settings), *_home(settings.home), *_bus(settings, exchanges=exchanges)]
    if as_json:
        sys.stdout.write(msgspec.json.encode({"findings": found}).decode() + "\n")
    else:
        for finding in found:
            sys.stdout.write(f"{finding.severity:6}  {finding.about}: {finding.line}\n")
    return 1 if any(finding.severity == "refuse" for finding in found) else 0


def _environment(settings: Settings) -> Iterator[Finding]:
    for name, meant in unknown_variables().items():
        cure = f"did you mean {meant}?" if meant else "unset it; docs: README, section on several bots"
        yield Finding(about="environment", severity="warn", says=f"nobody reads {name}", cure=cure)
    for exchange in sorted({*settings.paces, *settings.urls}):
        try:
            registry.get(exchange)
        except CandleBusError as error:
            cure = "correct the name at the end of the variable"
            yield Finding(about="environment", severity="warn", says=str(error), cure=cure)
    egress = f"all workers here share the budget of the address named {settings.egress!r}"
    yield Finding(about="egress", severity="ok", says=egress)


def _home(home: Path) -> Iterator[Finding]:
    """Whether durable data and locks can lie where they must; asks the nearest folder that is there."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        says = f"cannot write {home}"
        yield Finding(about="home", severity="refuse", says=says, cure="set CANDLEBUS_HOME to a folder of yours")
        return
    free = shutil.disk_usage(there).free
    says = f"{free / 2**30:.1f} GiB free for {home}"
    if free < _ENOUGH_BYTES:
        cure = "make room, or set CANDLEBUS_HOME elsewhere: a full disk stops a durable server"
        yield Finding(about="home", severity="warn", says=says, cure=cure)
    else:
        yield Finding(about="home", severity="ok", says=says)


def _bus(settings: Settings, *, exchanges: bool) -> Iterator[Finding]:
    url = bus_url(settings)
    if url is None:
        yield from _local_mode()
        return
    try:
        with closing(connect(url)) as redis, readable_errors(url):
            facts = server_facts(redis)
            yield Finding(about="bus", severity="ok", says=address(url))
            yield from findings(facts)
            yield from _strays(GroupBook(redis))
            names = exchanges_of(redis, registry.names())
            yield from _workers(look_at(redis, names))
            if exchanges:
                yield from _exchanges(redis, settings, names)
    except CandleBusError as error:
        yield Finding(about="bus", severity="refuse", says=str(error))


def _strays(groups: GroupBook) -> Iterator[Finding]:
    known = groups.names()
    for name, streams in groups.strays().items():
        first, reader = printable(streams[0], _LONGEST), printable(keys.align_consumer_group(name), _LONGEST)
        more = f" and {len(streams) - 1} more" if len(streams) > 1 else ""
        says = f"{reader} holds what no group reads in {first}{more}, which is never trimmed"
        cure = f"run candlebus group remove {printable(name, _LONGEST)}"
        if name in known:  # what it does read it goes on with
            cure = f"send the server XGROUP DESTROY {first} {reader}"
        yield Finding(about="groups", severity="warn", says=says, cure=cure)


def _local_mode() -> Iterator[Finding]:
    try:
        says = f"none; each fetch starts one of its own with {find_server()}"
        yield Finding(about="bus", severity="ok", says=says)
    except CandleBusError as error:
        yield Finding(about="bus", severity="refuse", says=str(error))


def _workers(looks: Sequence[ExchangeLook]) -> Iterator[Finding]:
    for look in looks:
        cure = f"candlebus worker {look.exchange}"
        if look.is_deserted:
            says = f"requests wait for {look.exchange} and nobody serves it"
            yield Finding(about="workers", severity="warn", says=says, cure=cure)
        elif not look.workers:
            says = f"nobody serves {look.exchange}, and nobody asks it"
            yield Finding(about="workers", severity="ok", says=says)
        else:
            yield Finding(about="workers", severity="ok", says=f"{look.workers} of {look.exchange}")
        for pause in look.pauses:
            says = f"{look.exchange} is left alone for another {pause.left_ms / 1000:.0f} s: {pause.reason}"
            yield Finding(about="workers", severity="warn", says=says, cure="wait; workers go on by themselves")


def _exchanges(redis: Redis, settings: Settings, names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        with closing(Desk(name, redis, settings)) as desk:
            try:
                desk.exchange.server_time(desk.http)
            except CandleBusError as error:
                cure = "see that this machine reaches it (proxy, firewall, CANDLEBUS_URL_…)"
                yield Finding(about="exchange", severity="warn", says=str(error), cure=cure)
            else:
                yield Finding(about="exchange", severity="ok", says=f"{name} answers")
