"""TLS, passwords and client certificates against a real server with an authority of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis

from bus.connection import check_server, connect, readable_errors
from bus.embedded import EmbeddedServer
from bus.errors import BusUnavailable, CandleBusError, SettingsError
from bus.roles import ADMIN, ROLES
from bus.server_look import server_facts
from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from tests.certificates import Authority
from workers.supervisor import Supervisor

SECRET = "canary-7f3a"


class Locked(NamedTuple):
    """A server that takes TLS only, from the users of ``deploy/users.acl``; ``mutual`` asks for certificates too."""

    folder: Path
    port: int
    mutual_port: int
    certificate: Path
    key: Path

    def url(self, user: str = "worker", *, ca: str = "ca.pem", host: str = "127.0.0.1", mutual: bool = False) -> str:
        port = self.mutual_port if mutual else self.port
        return f"rediss://{user}:{SECRET}@{host}:{port}/0?ssl_ca_certs={self.folder / ca}"


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def program_with_tls() -> str:
    for program in (os.environ.get("CANDLEBUS_TEST_SERVER"), shutil.which("redis-server")):  # noqa: TID251
        if program and b"tls" not in _said_to_tls(program):
            return program
    pytest.skip("no server program here is built with TLS; Debian's redis-server is")


def _said_to_tls(program: str) -> bytes:
    """What a server says to a setting of TLS that is in order: nothing of it where it knows them."""
    with subprocess.Popen(
        [program, "--port", "0", "--tls-session-caching", "no"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        time.sleep(0.3)
        process.terminate()
        assert process.stdout is not None
        return process.stdout.read().lower()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    program = program_with_tls()
    folder = tmp_path_factory.mktemp("tls")
    (folder / "stranger").mkdir()
    authority = Authority(folder)
    Authority(folder / "stranger")
    certificate, key = authority.issue("127.0.0.1")
    words = "".join(f"{role} {SECRET}\n" for role in [*ROLES, ADMIN])
    made = [sys.executable, "-P", "-m", "bus.roles"]
    users = subprocess.run(made, input=words, capture_output=True, text=True, check=True).stdout
    (folder / "users.acl").write_text(users)
    ports = free_port(), free_port()
    servers = []
    for port, clients in zip(ports, ("no", "yes"), strict=True):
        tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
        tls += ["--tls-ca-cert-file", str(authority.path), "--tls-auth-clients", clients]
        command = [
            program,
            "--port",
            "0",
            *tls,
            "--aclfile",
            str(folder / "users.acl"),
            "--save",
            "",
            "--bind",
            "127.0.0.1",
        ]
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder))
    at = Locked(folder, *ports, *authority.issue("client"))
    for port in ports:
        wait_for_port(port)
    yield at
    for server in servers:
        server.terminate()
        server.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def ping(url: str) -> bool:
    client = connect(url)
    try:
        with readable_errors(url):
            return bool(client.ping())
    finally:
        client.close()


def test_the_right_authority_and_password_are_let_in(locked: Locked) -> None:
    assert ping(locked.url())


def test_a_client_certificate_is_given_where_the_server_asks_for_one(locked: Locked) -> None:
    own = f"&ssl_certfile={locked.certificate}&ssl_keyfile={locked.key}"
    assert ping(locked.url(mutual=True) + own)
    with pytest.raises(CandleBusError, match="certificate") as refused:
        ping(locked.url(mutual=True))
    assert SECRET not in str(refused.value)


def refusals(locked: Locked) -> dict[str, tuple[str, type[CandleBusError], str]]:
    at = f"127.0.0.1:{locked.port}/0"
    trusted = f"?ssl_ca_certs={locked.folder / 'ca.pem'}"
    return {
        "another authority": (locked.url(ca="stranger/ca.pem"), SettingsError, "name the file of its authority"),
        "no authority": (f"rediss://worker:{SECRET}@{at}", SettingsError, "name the file of its authority"),
        "another host": (locked.url(host="localhost"), SettingsError, "not valid for 'localhost'"),
        "no TLS": (f"redis://worker:{SECRET}@{at}", BusUnavailable, "rediss://"),
        "no password": (f"rediss://{at}{trusted}", SettingsError, "refuses the login"),
        "another password": (f"rediss://worker:{SECRET}x@{at}{trusted}", SettingsError, "refuses the login"),
    }


@pytest.mark.parametrize(
    "what", ["another authority", "no authority", "another host", "no TLS", "no password", "another password"]
)
def test_whoever_is_not_as_agreed_is_refused_in_one_line_without_the_password(locked: Locked, what: str) -> None:
    url, kind, words = refusals(locked)[what]
    with pytest.raises(kind, match=words) as refused:
        ping(url)
    line = str(refused.value)
    assert "\n" not in line
    assert SECRET not in line


def test_a_port_that_speaks_no_tls_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.connection.CONNECT_TIMEOUT_S", 0.3)  # the server waits for the rest of a command
    port = free_port()
    with EmbeddedServer(port=port), pytest.raises(BusUnavailable, match="if it speaks no TLS, write redis://"):
        ping(f"rediss://127.0.0.1:{port}/0")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss://h/0?ssl_cert_reqs=none", "unknown option 'ssl_cert_reqs'; known here: ssl_ca_certs"),
        ("redis://h/0?retry_on_timeout=true", "unknown option 'retry_on_timeout'; known here: none"),
        ("redis://h/0?password=x", "unknown option 'password'"),
        ("rediss://h/0?ssl_ca_certs=/no/such.pem", "ssl_ca_certs names no file that can be read: /no/such.pem"),
    ],
)
def test_an_option_that_would_weaken_a_connection_is_refused(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        connect(url)


def test_the_findings_know_of_the_encryption_and_the_login(locked: Locked) -> None:
    client = connect(locked.url("admin"))
    facts = server_facts(client)
    assert (facts.is_encrypted, facts.user, facts.has_password) == (True, "admin", True)
    assert facts.config is not None
    worker = connect(locked.url("worker"))
    assert server_facts(worker).config is None
    assert not [one for one in check_server(worker) if one.about in ("login", "encryption", "config")]
    client.close()
    worker.close()


@pytest.mark.slow
def test_the_whole_way_over_tls_shows_the_password_nowhere(locked: Locked, tmp_path: Path) -> None:
    with Sandbox() as sandbox, (tmp_path / "log").open("wb") as log:
        of = {
            role: child_environment(
                Settings(redis_url=locked.url(role), urls=sandbox.urls, home=tmp_path, pace="full", log="json")
            )
            for role in ROLES
        }
        supervisors = [Supervisor(of[role], output=log, grace_s=5) for role in ("worker", "aligner")]
        supervisors[0].add("worker", "bingx")
        supervisors[1].add("aligner")
        fetch = [sys.executable, "-P", "-m", "candlebus", "fetch", "bingx:BTC/USDT:USDT", "-t", "1m", "-n", "20"]
        done = subprocess.run(fetch, env=of["producer"], capture_output=True, text=True, timeout=60, check=False)
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        for supervisor in supervisors:
            supervisor.stop()
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 20
    admin: Redis = connect(locked.url("admin"))
    kept = b"".join(admin.dump(key) or b"" for key in admin.scan_iter())
    admin.close()
    for written in (*lines, done.stderr.encode(), (tmp_path / "log").read_bytes(), kept):
        assert SECRET.encode() not in written
