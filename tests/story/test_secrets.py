"""A password in an address goes to the one who asks for it and nowhere else: nothing that is written down holds it."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bus.connection import connect
from bus.embedded import EmbeddedServer
from candlebus.sandbox import Sandbox
from producers.client import Producer, workers_of

pytestmark = pytest.mark.slow

#: Of the server, of an exchange that answers, of one that does not.
SERVER, ANSWERS, SILENT, WRONG = "CANARY-server-7f3a", "CANARY-answers-7f3a", "CANARY-silent-7f3a", "CANARY-wrong-7f3a"
BTC = "BTC/USDT:USDT"


class House:
    """A durable server that wants a password, workers and an aligner, and everything that any of them wrote."""

    def __init__(self, folder: Path, server: EmbeddedServer, sandbox: Sandbox) -> None:
        self.folder = folder
        host = sandbox.urls["bingx"].removeprefix("http://")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("CANDLEBUS_")}  # noqa: TID251
        self.env |= {
            "CANDLEBUS_REDIS_URL": server.url.replace("unix://", f"unix://default:{SERVER}@"),
            "CANDLEBUS_URL_BINGX": f"http://user:{ANSWERS}@{host}",
            "CANDLEBUS_URL_KUCOINFUTURES": f"http://user:{SILENT}@127.0.0.1:9",
            "CANDLEBUS_HOME": str(folder / "home"),
            "CANDLEBUS_LOG": "json",
            "CANDLEBUS_PACE": "full",
        }
        self.redis: Redis = connect(self.env["CANDLEBUS_REDIS_URL"])
        self.seen: list[str] = []

    def run(self, *arguments: str, **env: str) -> int:
        """A command to its end; what it says is kept."""
        argv = [sys.executable, "-m", "candlebus", *arguments]
        done = subprocess.run(argv, env=self.env | env, capture_output=True, text=True, timeout=120, check=False)
        self.seen += [done.stdout, done.stderr]
        return done.returncode

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command that goes on; its log lies in the folder."""
        with (self.folder / f"{arguments[0]}.log").open("wb") as out:
            argv = [sys.executable, "-m", "candlebus", *arguments]
            return subprocess.Popen(argv, env=self.env, stdout=out, stderr=out)

    def look_at_processes(self) -> None:
        """The arguments of every process of this machine, as ``ps`` shows them."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.seen.append(path.read_bytes().decode(errors="replace"))
            except OSError:
                continue

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that was written down anywhere, by where."""
        yield from ((f"output {number}", text.encode()) for number, text in enumerate(self.seen))
        yield from ((str(path), path.read_bytes()) for path in self.folder.rglob("*") if path.is_file())
        for name in self.redis.scan_iter(count=1_000):
            yield repr(name), name + (self.redis.dump(name) or b"")
            yield repr(name), repr(value_of(self.redis, name)).encode()


def value_of(redis: Redis, name: bytes) -> object:
    match redis.type(name):
        case b"hash":
            return redis.hgetall(name)
        case b"list":
            return redis.lrange(name, 0, -1)
        case b"stream":
            return redis.xrange(name)
        case b"string":
            return redis.get(name)
    return None


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tmp_path = tmp_path_factory.mktemp("secrets")
    data = tmp_path / "data"
    with EmbeddedServer(data=data) as server, Sandbox() as sandbox:
        with closing(connect(server.url)) as first:
            first.config_set("requirepass", SERVER)
        house = House(tmp_path, server, sandbox)
        running = [house.start("worker", "bingx", "kucoinfutures"), house.start("aligner")]
        try:
            until = time.monotonic() + 30
            while not workers_of(house.redis, "kucoinfutures") and time.monotonic() < until:
                time.sleep(0.1)
            yield house
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait(30)
            house.redis.close()


def test_no_password_is_written_down_whatever_happens(house: House) -> None:
    assert house.run("group", "add", "g", f"bingx:{BTC}", f"kucoinfutures:{BTC}", "-t", "1m") == 0
    assert house.run("fetch", f"bingx:{BTC}", "-t", "1m", "-n", "100", "--report", str(house.folder / "report")) == 0
    house.look_at_processes()
    silent = Producer(house.redis).enqueue(f"kucoinfutures:{BTC}", "1m", limit=10)
    assert house.run("fetch", f"kucoinfutures:{BTC}", "-t", "1m", "-n", "10", "--timeout", "1") != 0
    queue = Queue("fetch.bingx", connection=house.redis, serializer=JSONSerializer)
    for arguments in ((1, 2), ("x",)):  # a traceback, kept by RQ
        queue.enqueue("candlebus.fetch_candles", *arguments)
    queue.enqueue("os.system", "true")
    for command in (["status"], ["group", "show", "g"], ["contracts", "bingx"], ["doctor"]):
        house.run(*command)
    wrong = house.env["CANDLEBUS_REDIS_URL"].replace(SERVER, WRONG)
    for url in (
        wrong,
        f"redis://:{WRONG}@127.0.0.1:9/0",
        f"redis://:{WRONG}@[/0",
        f"http://:{WRONG}@x",
        f"redis://u:{WRONG}/x@h",
    ):
        assert house.run("status", CANDLEBUS_REDIS_URL=url) != 0
    assert house.run("worker", "bingx", CANDLEBUS_REDIS_URL=wrong) == 2
    for url in (f"http://u:{WRONG}@[", f"ftp://u:{WRONG}@host", f"http://host/?key={WRONG}", f"http://host/#{WRONG}"):
        assert house.run("worker", "bingx", CANDLEBUS_URL_BINGX=url) == 2
    status = silent.wait(60)
    assert status.state == "failed"
    assert "127.0.0.1:9" in str(status.error)
    assert any(b"exc_info" in name or b"rq:results" in name for name, _ in keys_and_texts(house.redis))
    leaks = [where for where, text in house.written() for secret in secrets() if secret in text]
    assert leaks == []


def secrets() -> list[bytes]:
    plain = [one.encode() for one in (SERVER, ANSWERS, SILENT, WRONG)]
    return plain + [base64.b64encode(b"user:" + one) for one in plain]


def keys_and_texts(redis: Redis) -> list[tuple[bytes, object]]:
    return [(name, value_of(redis, name)) for name in redis.scan_iter(count=1_000)]


def test_the_search_itself_finds_what_is_there(house: House) -> None:
    house.redis.set("leak", f"x {SILENT} x")
    house.seen.append(f"redis://:{WRONG}@host")
    found = {where for where, text in house.written() for secret in secrets() if secret in text}
    assert "b'leak'" in found
    assert any(where.startswith("output") for where in found)
    assert any("appendonly" in where for where in found)
