"""Brings faults about, and takes them away again."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis as redis_library
from redis import Redis

from bus import keys
from candlebus.sandbox import Sandbox
from candlebus.sandbox.faults import FAULTS
from tests.faults.preload import Preload
from tests.faults.processes import Fleet, send
from tests.faults.proxy import Proxy, Toxic
from tests.faults.schedule import Fault, toxic
from tests.faults.server import ServerUnderTest

#: Takes a fault away; whether it had taken effect.
Heal = Callable[[], bool]
_SYNC_S: Final = 0.3
_LOOK_S: Final = 0.05
_TEAR_SYNC_MS: Final = 400
_TEAR_S: Final = 3.0
_FOR_EVER: Final = "while true do end"


class Injector:
    """Strikes the parts of one bus.

    Attributes:
        has_stepped_server: Whether the server's clock ever stepped.
    """

    def __init__(
        self, server: ServerUnderTest, fleet: Fleet, links: dict[str, Proxy], sandbox: Sandbox, preload: Preload
    ) -> None:
        self.has_stepped_server = False
        self._server = server
        self._fleet = fleet
        self._links = links
        self._sandbox = sandbox
        self._preload = preload

    def strike(self, fault: Fault) -> Heal:
        """Begin a fault; what it returns ends it."""
        if (damage := toxic(fault)) is not None:
            return self._link(self._links[fault.target], damage)
        if fault.kind in FAULTS:
            return self._exchange(fault)
        act: Callable[[Fault], Heal] = getattr(self, f"_{fault.kind}")
        if fault.target == "server" and fault.kind != "clock_step":
            self._server.start()  # one that another fault keeps down is wanted now
            try:
                return act(fault)
            except redis_library.RedisError:  # another fault of the server keeps this one from it
                return _in_vain
        return act(fault)

    def _link(self, link: Proxy, toxic: Toxic) -> Heal:
        dose = link.poison(toxic)

        def heal() -> bool:
            link.heal(dose)
            return dose.strikes > 0

        return heal

    def _exchange(self, fault: Fault) -> Heal:
        before = self._sandbox.stats(fault.target).faults
        chance, seed = fault.numbers["chance"], fault.numbers["seed"]
        self._sandbox.plan(fault.target, faults=f"{fault.kind}={chance},seed={seed}")

        def heal() -> bool:
            self._sandbox.plan(fault.target, faults="")
            return self._sandbox.stats(fault.target).faults != before

        return heal

    def _member(self, fault: Fault) -> int:
        if fault.target == "server":
            return self._server.pid
        members = self._fleet.members(fault.target)  # type: ignore[arg-type]
        return members[int(fault.numbers["which"]) % len(members)] if members else 0

    def _signal(self, fault: Fault, number: int) -> Heal:
        pid = self._member(fault)
        struck = bool(pid) and send(pid, number)
        return lambda: struck

    def _kill(self, fault: Fault) -> Heal:
        return self._signal(fault, signal.SIGKILL)

    _kill_supervisor = _kill

    def _terminate(self, fault: Fault) -> Heal:
        return self._signal(fault, signal.SIGTERM)

    def _pause(self, fault: Fault) -> Heal:
        pid = self._member(fault)
        struck = bool(pid) and send(pid, signal.SIGSTOP)
        return lambda: struck and send(pid, signal.SIGCONT)

    def _kill_server(self, _: Fault) -> Heal:
        self._server.kill()
        return self._started

    def _lose_power(self, fault: Fault) -> Heal:
        self._preload.slow_syncs(float(fault.numbers["sync_ms"]))
        time.sleep(_SYNC_S)
        self._server.lose_power(float(fault.numbers["share"]))
        self._preload.slow_syncs(0)
        self._server.start()
        if fault.numbers["twice"]:  # what was written after a torn block is lost at the second start, or not
            time.sleep(_SYNC_S)
            self._server.stop()
            self._server.start()
        return _in_full

    def _tear_page(self, _: Fault) -> Heal:
        self._preload.slow_syncs(_TEAR_SYNC_MS)
        torn = self._server.tear_page(_TEAR_S)
        self._preload.slow_syncs(0)
        self._server.start()
        time.sleep(_SYNC_S)
        self._server.stop()  # what was written after a torn block is lost at the second start, or not
        self._server.start()
        return lambda: torn

    def _kill_in_rewrite(self, fault: Fault) -> Heal:
        self._server.control.bgrewriteaof()
        time.sleep(float(fault.numbers["after_s"]))
        self._server.lose_power(float(fault.numbers["share"]))
        return self._started

    def _started(self) -> bool:
        self._server.start()
        return True

    def _slow_fsync(self, fault: Fault) -> Heal:
        self._preload.slow_syncs(float(fault.numbers["ms"]))

        def heal() -> bool:
            self._preload.slow_syncs(0)
            return self._preload.is_there

        return heal

    def _full_disk(self, fault: Fault) -> Heal:
        self._server.limit_file(int(fault.numbers["room_bytes"]))

        def heal() -> bool:
            self._server.limit_file(None)
            return self._started()  # with `always` it has ended itself

        return heal

    def _full_memory(self, fault: Fault) -> Heal:
        used: dict[str, Any] = self._server.control.info("memory")
        self._server.control.config_set("maxmemory", used["used_memory"] + int(fault.numbers["room_bytes"]))
        return self._configured("maxmemory", "0")

    def _few_clients(self, fault: Fault) -> Heal:
        clients = int(fault.numbers["clients"]) + 1  # the harness's own
        self._server.control.config_set("maxclients", clients)
        self._kill_clients()
        return self._configured("maxclients", "10000")

    def _configured(self, name: str, value: str) -> Heal:
        def heal() -> bool:
            for _ in range(100):
                if self._server.pid:
                    self._server.start()  # it goes on, if another fault has stopped it
                try:
                    return bool(self._server.control.config_set(name, value))
                except redis_library.ResponseError as error:
                    if "max number of clients" not in str(error) and "BUSY" not in str(error):
                        raise
                except (redis_library.ConnectionError, redis_library.TimeoutError):
                    if not self._server.pid:
                        return True  # it went down meanwhile, and its setting with it
                time.sleep(_LOOK_S)
            self._server.stop()  # others take every place there is
            self._server.start()
            return True

        return heal

    def _client_kill(self, fault: Fault) -> Heal:
        for _ in range(int(fault.numbers["times"])):
            self._kill_clients()
            time.sleep(float(fault.numbers["every_s"]))
        return _in_full

    def _kill_clients(self) -> None:
        self._server.control.client_kill_filter(_type="normal", skipme=True)

    def _busy_script(self, _: Fault) -> Heal:
        client = self._server.control
        runs = threading.Thread(target=_run_for_ever, args=(self._server.connection(),), daemon=True)
        runs.start()

        def heal() -> bool:
            killed = False
            while runs.is_alive():
                try:
                    killed = bool(client.script_kill())
                except redis_library.RedisError:  # it has not begun, or its server is away
                    time.sleep(_LOOK_S)
            return killed

        return heal

    def _forget_scripts(self, _: Fault) -> Heal:
        self._server.control.script_flush()
        return _in_full

    def _destroy_group(self, fault: Fault) -> Heal:
        """Destroy a consumer group of the aligner's, as somebody might by hand."""
        streams = sorted(self._server.control.smembers(keys.streams()))
        stream = streams[int(fault.numbers["which"]) % len(streams)] if streams else b""
        groups: Any = self._server.control.xinfo_groups(stream) if streams else []
        for group in groups:
            self._server.control.xgroup_destroy(stream, group["name"])
        return _in_full if groups else _in_vain

    def _clock_step(self, fault: Fault) -> Heal:
        clock = fault.target
        if not self._preload.is_there:
            return _in_vain
        self._preload.step(clock, int(fault.numbers["ms"]))
        self.has_stepped_server = self.has_stepped_server or clock == "server"

        def heal() -> bool:
            self._preload.step(clock, 0)
            return True

        return heal


def _run_for_ever(redis: Redis) -> None:
    with contextlib.suppress(redis_library.RedisError):
        redis.eval(_FOR_EVER, 0)
    redis.close()


def _in_full() -> bool:
    return True


def _in_vain() -> bool:
    return False
