"""``candlebus worker`` and ``aligner``: processes kept alive on a shared bus; ``up`` starts that bus as well."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from bus.connection import connect
from bus.errors import SettingsError
from bus.groups import GroupBook
from bus.logs import set_up_logging
from bus.settings import PACES, Settings, child_environment, load
from bus.text import address
from candlebus.commands.ending import UntilInterrupted
from candlebus.commands.options import one_of
from candlebus.commands.shared import checked, say
from candlebus.durable import DurableBus
from workers.exchanges import registry
from workers.supervisor import Supervisor

#: Longer than an answer of an exchange may take (20 s), below the 25 s that are promised.
_GRACE_S = 22.0
_LOOK_S = 0.2
_STANDARD_ERROR = 2


def run_up(exchanges: Sequence[str], processes: int, port: int | None) -> int:
    """Run a durable bus until interrupted."""
    asked, settings = _known(exchanges), load()
    with (
        UntilInterrupted(),
        DurableBus(settings, asked, port=port, say=say) as bus,
        _supervisor(bus.settings) as supervisor,
    ):
        for exchange in asked:
            supervisor.add("worker", exchange, processes=processes)
        supervisor.add("aligner")
        sys.stdout.write(f"{bus.export_line}\n")
        sys.stdout.flush()
        say(
            f"serving {' '.join(asked)}, {processes} workers each, and an aligner, data in {bus.folder}; Ctrl-C ends it"
        )
        return _kept_alive(bus, supervisor)
    return 0


def _kept_alive(bus: DurableBus, supervisor: Supervisor) -> int:
    """Start again what ends, server and processes, until one of these finds its settings wrong; its exit code."""
    while (code := supervisor.look()) is None:
        bus.look()
        time.sleep(_LOOK_S)
    return code


def run_workers(exchanges: Sequence[str], processes: int, pace: str | None) -> int:
    """Run workers of a shared bus until interrupted."""
    asked, settings = _known(exchanges), load()
    if pace is not None:
        settings = msgspec.structs.replace(settings, pace=one_of("--pace", pace, PACES), paces={})
    with UntilInterrupted(), _serving(settings, "a worker") as supervisor:
        for exchange in asked:
            supervisor.add("worker", exchange, processes=processes)
        return supervisor.run()
    return 0


def run_aligner(groups: Sequence[str]) -> int:
    """Run an aligner of a shared bus until interrupted."""
    settings = load()
    with UntilInterrupted(), _serving(settings, "an aligner", groups) as supervisor:
        supervisor.add("aligner", *groups)
        return supervisor.run()
    return 0


def _known(exchanges: Sequence[str]) -> list[str]:
    return sorted({registry.get(name).facts.name for name in exchanges})


def _check_bus(settings: Settings, who: str, groups: Sequence[str] = ()) -> None:
    if settings.redis_url is None:
        raise SettingsError(
            f"{who} needs a server: set CANDLEBUS_REDIS_URL, or start a bus with 'candlebus up EXCHANGE…'"
        )
    with checked(connect(settings.redis_url), settings.redis_url, say) as redis:
        for name in groups:
            GroupBook(redis).get(name)
    say(f"{who} of the bus at {address(settings.redis_url)}; Ctrl-C ends it")


@contextmanager
def _serving(settings: Settings, who: str, groups: Sequence[str] = ()) -> Iterator[Supervisor]:
    set_up_logging(settings.log)
    _check_bus(settings, who, groups)
    with _supervisor(settings) as supervisor:
        yield supervisor


@contextmanager
def _supervisor(settings: Settings) -> Iterator[Supervisor]:
    supervisor = Supervisor(child_environment(settings), output=_STANDARD_ERROR, grace_s=_GRACE_S)
    try:
        yield supervisor
    finally:
        supervisor.stop()
