"""The start script of a durable server: what a power loss tore is cut off, what is damaged otherwise is refused."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Refused

from bus.embedded import SERVE_SCRIPT, EmbeddedServer, find_server

SERVERS = {"wheel": find_server(), "debian": shutil.which("redis-server")}
APPEND = "redis.call('XADD', KEYS[1], '*', 'b', ARGV[1]) redis.call('INCR', KEYS[2]) redis.call('RPUSH', KEYS[3], 'x')"
BLOCKS = 20


class Server:
    """One server program on one data folder, started by the script or, to show what it is for, without."""

    def __init__(self, program: str, data: Path) -> None:
        self.program = program
        self.data = data
        self.said = ""
        folder = tempfile.gettempdir()  # the kernel takes short paths only
        self.socket = f"{folder}/candlebus-serve-{os.getpid()}.sock"
        self._log = data.parent / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def arguments(self) -> list[str]:
        listen = ["--port", "0", "--unixsocket", self.socket]
        return [*listen, "--dir", str(self.data), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]

    def start(self, *, script: bool = True) -> Redis:
        command = [*([str(SERVE_SCRIPT)] if script else []), self.program, *self.arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        client = Redis(unix_socket_path=self.socket)
        deadline = time.monotonic() + 60
        while True:
            try:
                client.ping()
            except Refused:
                assert time.monotonic() < deadline
                assert self.process.poll() is None, self._log.read_text(errors="replace")
                time.sleep(0.01)
            else:
                self.said = self._log.read_text(errors="replace")
                return client

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)

    def refused(self) -> str:
        """What the script says that starts nothing."""
        done = subprocess.run(
            [str(SERVE_SCRIPT), self.program, *self.arguments], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 78, done.stderr
        assert done.stderr.startswith(b"serve.sh: refused: ")
        assert done.stderr.count(b"\n") == 1
        return done.stderr.decode()

    @property
    def log_file(self) -> Path:
        """The file that is written now."""
        return max((self.data / "appendonlydir").glob("*.incr.aof"), key=lambda file: int(file.name.split(".")[-3]))


@pytest.fixture(params=SERVERS)
def server_on_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that has written a key and twenty blocks, and was killed."""
    program = SERVERS[request.param]
    if program is None:
        pytest.skip("no redis-server on PATH")
    data = tmp_path / "a folder"
    data.mkdir()
    server = Server(program, data)
    client = server.start()
    client.set("first", 1)
    for _ in range(BLOCKS):
        append(client)
    server.end(signal.SIGKILL)
    yield server
    if server.process is not None:
        server.process.kill()
        server.process.wait()
    Path(server.socket).unlink(missing_ok=True)


def append(client: Redis) -> None:
    client.eval(APPEND, 3, "stream", "number", "list", "x" * 20)


def lengths(client: Redis) -> tuple[int, int, int]:
    return client.xlen("stream"), int(client.get("number") or 0), client.llen("list")


def tear(server: Server, bytes_lost: int) -> None:
    os.truncate(server.log_file, server.log_file.stat().st_size - bytes_lost)


def last_block(server: Server) -> int:
    return server.log_file.read_bytes().rindex(b"*1\r\n$5\r\nMULTI\r\n")


def without_server(server: Server, folder: Path) -> Server:
    """The same check tool beside a server that ends at once: all that the script does, and nothing of what follows."""
    name = "redis" if server.program.endswith("redis-server") else "valkey"
    program = folder / f"{name}-server"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    tool = shutil.which(f"{name}-check-aof") or server.program
    (folder / f"{name}-check-aof").symlink_to(tool)
    return Server(str(program), server.data)


def run(server: Server) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(SERVE_SCRIPT), server.program, *server.arguments], capture_output=True, timeout=60, check=False
    )


def plain_writes_after_a_tear(server: Server, bytes_lost: int, *, script: bool) -> int:
    """A tear, a start, a thousand acknowledged writes, a clean end and a second start: how many of them are left."""
    tear(server, bytes_lost)
    client = server.start(script=script)
    for number in range(1_000):
        client.xadd("plain", {"n": number})
    server.end()
    return server.start(script=script).xlen("plain")


@pytest.mark.parametrize("bytes_lost", [3, 10, 40])
def test_after_a_tear_inside_a_block_a_second_start_loses_nothing(server_on_file: Server, bytes_lost: int) -> None:
    assert plain_writes_after_a_tear(server_on_file, bytes_lost, script=True) == 1_000


def test_without_the_script_redis_7_loses_every_write_after_such_a_tear(server_on_file: Server) -> None:
    if b"v=7.0." not in subprocess.check_output([server_on_file.program, "--version"]):
        pytest.skip("the fault of Redis 7.0's loader; Valkey 9.1 has none")
    assert plain_writes_after_a_tear(server_on_file, 3, script=False) == 0


def test_a_torn_block_is_gone_whole_and_kept_in_a_copy(server_on_file: Server) -> None:
    whole = last_block(server_on_file)
    lost = server_on_file.log_file.read_bytes()[whole:-5]
    tear(server_on_file, 5)
    client = server_on_file.start()
    assert lengths(client) == (BLOCKS - 1,) * 3
    [copy] = server_on_file.data.glob("cut-*")
    assert copy.read_bytes() == lost
    [line] = [line for line in server_on_file.said.splitlines() if line.startswith("serve.sh")]
    assert f"cut {len(lost)} bytes" in line
    assert f"at byte {whole}" in line
    assert str(copy) in line


def test_a_file_torn_at_any_of_its_last_bytes_ends_where_a_block_ends(server_on_file: Server, tmp_path: Path) -> None:
    alone = without_server(server_on_file, tmp_path)
    file, bytes_written, whole = alone.log_file, alone.log_file.read_bytes(), last_block(alone)
    for lost in range(1, 31):
        file.write_bytes(bytes_written[:-lost])
        assert run(alone).returncode == 0
        assert file.read_bytes() == bytes_written[:whole]


def test_a_whole_file_is_left_as_it_is(server_on_file: Server) -> None:
    before = server_on_file.log_file.read_bytes()
    client = server_on_file.start()
    assert server_on_file.log_file.read_bytes() == before
    assert lengths(client) == (BLOCKS,) * 3
    assert "serve.sh" not in server_on_file.said
    assert client.config_get("aof-load-truncated") == {"aof-load-truncated": "no"}


def damaged(bytes_written: bytes) -> Iterator[tuple[str, bytes]]:
    """Files with one byte of their structure damaged, somewhere before their last block."""
    for what, old, new in [
        ("a name", b"EXEC", b"EXEB"),
        ("a count", b"*3\r\n", b"*1\r\n"),
        ("a size", b"$20\r\n", b"$30\r\n"),
        ("a head", b"*1\r\n", b"j1\r\n"),
        ("a size that swallows the rest", b"$20\r\n", b"$20000000\r\n"),
    ]:
        yield what, bytes_written.replace(old, new, 1)


def test_damage_in_the_middle_is_refused_and_nothing_is_cut(server_on_file: Server, tmp_path: Path) -> None:
    alone = without_server(server_on_file, tmp_path)
    for what, bytes_damaged in damaged(alone.log_file.read_bytes()):
        alone.log_file.write_bytes(bytes_damaged)
        assert "which is no torn end" in alone.refused(), what
        assert alone.log_file.read_bytes() == bytes_damaged
    assert not list(alone.data.glob("cut-*"))


def test_damage_within_the_base_is_refused(server_on_file: Server) -> None:
    client = server_on_file.start()
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.01)
    server_on_file.end()
    [base] = (server_on_file.data / "appendonlydir").glob("*.base.rdb")
    flipped = bytearray(base.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    base.write_bytes(flipped)
    assert run(server_on_file).returncode != 0  # the server's own checksum says so


@pytest.mark.parametrize("pattern", ["*.base.rdb", "*.incr.aof", "*.manifest"])
def test_a_missing_file_is_refused_by_name(server_on_file: Server, pattern: str) -> None:
    [file] = (server_on_file.data / "appendonlydir").glob(pattern)
    file.unlink()
    said = server_on_file.refused()
    assert file.name in said
    assert "missing" in said


def test_a_folder_without_a_file_is_begun_and_one_whose_first_start_was_cut_short_too(
    server_on_file: Server, tmp_path: Path
) -> None:
    fresh = Server(server_on_file.program, tmp_path / "fresh")
    fresh.data.mkdir()
    fresh.start()
    fresh.end(signal.SIGKILL)
    next((fresh.data / "appendonlydir").glob("*.manifest")).unlink()
    assert fresh.start().ping()
    fresh.end()


@pytest.mark.slow
def test_a_second_server_on_the_same_folder_is_refused_while_the_first_lives(server_on_file: Server) -> None:
    client = server_on_file.start()
    second = Server(server_on_file.program, server_on_file.data)
    assert "a server runs on" in second.refused()
    server_on_file.end()
    client = server_on_file.start(script=False)  # one that holds no lock, but has the file open
    assert "a server runs on" in second.refused()
    assert lengths(client) == (BLOCKS,) * 3


def test_a_server_killed_while_it_rewrites_its_file_comes_back_with_everything(server_on_file: Server) -> None:
    client = server_on_file.start()
    client.config_set("rdb-key-save-delay", 2_000)  # µs a key: the rewrite is under way when the kill comes
    for number in range(500):
        client.set(f"key {number}", number)
    client.bgrewriteaof()
    append(client)
    server_on_file.end(signal.SIGKILL)
    assert len(list((server_on_file.data / "appendonlydir").glob("*.incr.aof"))) == 2
    client = server_on_file.start()
    assert lengths(client) == (BLOCKS + 1,) * 3
    assert client.dbsize() == 504


def test_options_are_also_read_from_a_configuration_file(server_on_file: Server, tmp_path: Path) -> None:
    alone = without_server(server_on_file, tmp_path)
    whole = last_block(alone)
    tear(alone, 5)
    config = tmp_path / "server.conf"
    config.write_text(f'port 0\n  dir "{alone.data}"\nappendonly yes\n')
    subprocess.run([str(SERVE_SCRIPT), alone.program, str(config)], check=True, capture_output=True)
    assert alone.log_file.stat().st_size == whole


def test_no_room_for_the_copy_means_no_cut(server_on_file: Server, tmp_path: Path) -> None:
    alone = without_server(server_on_file, tmp_path)
    tear(alone, 5)
    torn = alone.log_file.read_bytes()
    full = ["/bin/sh", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "sh", str(SERVE_SCRIPT), alone.program]
    done = subprocess.run([*full, *alone.arguments], capture_output=True, check=False)
    assert done.returncode == 78
    assert alone.log_file.read_bytes() == torn


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the server's program"),
        (["no-such-server"], "there is no program no-such-server"),
        (["/bin/true", "--dir", "/no/such/folder"], "there is no folder /no/such/folder"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: list[str], said: str) -> None:
    done = subprocess.run([str(SERVE_SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_embedded_durable_server_is_started_by_it_and_says_what_was_cut(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with EmbeddedServer(data=data) as server:
        append(Redis.from_url(server.url))
        assert server.repaired == []
    [file] = (data / "appendonlydir").glob("*.incr.aof")
    os.truncate(file, file.stat().st_size - 3)
    with EmbeddedServer(data=data) as server:
        [line] = server.repaired
        assert line.startswith("cut ")
        assert lengths(Redis.from_url(server.url)) == (0, 0, 0)
    file.write_bytes(b"nonsense")
    with pytest.raises(Exception, match=r"does not start: serve\.sh: refused: .* no torn end"):
        EmbeddedServer(data=data)
