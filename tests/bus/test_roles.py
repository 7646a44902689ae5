"""Who may do what on the server: the table of roles against a real server, cell by cell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.retry import Retry

from bus import keys, roles
from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.requests import RequestBook
from bus.roles import ADMIN, FAMILIES, ROLES, acl_file, allowed
from tests.helpers import request

FILE = Path(__file__).parents[2] / "deploy" / "users.acl"
#: What no role may, whatever the key; those that name no key stand with an empty one.
_NEVER = """
    acl|list acl|setuser acl|whoami bgrewriteaof bgsave client|kill client|list client|pause client|unblock config|get
    config|set
    config|rewrite debug eval eval_ro evalsha_ro failover fcall flushall flushdb function|load keys latency|latest
    memory|doctor module|list monitor psubscribe psync publish replicaof save script|flush script|kill shutdown
    slowlog|get spublish subscribe swapdb wait
    copy dump getdel getset migrate move object|encoding rename restore sort spop unlink xautoclaim xclaim xdel
    xgroup|destroy xsetid append mset setrange lpop blpop lset zpopmin zunionstore sunionstore pfadd
"""
NEVER = _NEVER.split()
#: Everybody may leave, whatever the users say.
ALWAYS = {"quit", "reset"}
NUMKEYS = {"evalsha", "eval", "eval_ro", "evalsha_ro", "fcall"}


@pytest.fixture(scope="module")
def program_server() -> Iterator[Redis]:
    """A server with the users of the file; the tests' own user stays, for it asks on behalf of the others."""
    with EmbeddedServer(program=os.environ.get("CANDLEBUS_TEST_SERVER")) as server:  # noqa: TID251
        client = connect(server.url)
        for line in acl_file().splitlines()[1:]:
            client.execute_command("ACL", "SETUSER", *rules(line))
        yield client
        client.close()


def rules(line: str) -> list[str]:
    """The words of a line of the file, selectors whole."""
    words, rest = [], line.removeprefix("user ")
    while rest:
        end = rest.index(")") + 1 if rest.startswith("(") else (rest + " ").index(" ")
        words.append(rest[:end])
        rest = rest[end:].lstrip()
    return words


def sample(pattern: str) -> str:
    """A key of that pattern, and of no other family's."""
    return pattern.replace("*", "x")


pytestmark = pytest.mark.redis
KEYS = sorted({sample(family.pattern) for family in FAMILIES.values()} | {"candlebus:other", "rq:other", "elsewhere"})


def arguments(command: str, arity: int, key: str) -> list[str]:
    """A command line that the server can read, with that key wherever a key stands."""
    words = command.split("|")
    if words[0] in NUMKEYS:
        return [*words, "0" * 40, *(["1", key] if key else ["0"])]
    if words[0] in ("xread", "xreadgroup"):
        group = ["GROUP", "g", "c"] if words[0] == "xreadgroup" else []
        return [*words, *group, "STREAMS", key, "0"]
    if words[0] in ("blmove", "lmove"):
        return [*words, key, key, "LEFT", "RIGHT", *(["0"] if words[0] == "blmove" else [])]
    if words[0] in ("zunionstore", "sunionstore"):
        return [*words, key, "1", key]
    if command in ("migrate",):
        return [*words, "h", "1", key, "0", "1"]
    more = max(0, abs(arity) - len(words) - (1 if key else 0))
    if words[0] in ("object", "xinfo", "xgroup"):
        return [*words, key, *["1"] * max(0, abs(arity) - 3)]
    return [*words, *([key] if key else []), *["1"] * more]


def arities(client: Redis) -> dict[str, int]:
    """Command → how many words it has, negative where that is the least."""
    plain = Redis(unix_socket_path=client.get_connection_kwargs()["path"], protocol=2)
    plain.response_callbacks.clear()
    told: Any = plain.execute_command("COMMAND")
    plain.close()
    every = [*told, *(sub for command in told if len(command) > 9 for sub in command[9])]
    return {command[0].decode(): command[1] for command in every}


def answers(client: Redis, asked: list[tuple[str, str, list[str]]]) -> list[bool]:
    """Whether the server would let each user send each command line."""
    with client.pipeline(transaction=False) as pipeline:
        for user, _, line in asked:
            pipeline.execute_command("ACL", "DRYRUN", user, *line)
        told = pipeline.execute(raise_on_error=False)
    for (user, _, line), answer in zip(asked, told, strict=True):
        assert not isinstance(answer, ResponseError), (user, line, answer)
    return [answer in (b"OK", "OK", True) for answer in told]


def granted() -> set[str]:
    every = [*roles.COMMANDS.values(), roles.ANY_KIND]
    return {command for levels in every for words in levels.values() for command in words.split()}


def test_every_cell_of_the_table_is_as_the_server_has_it(program_server: Redis) -> None:
    arity = arities(program_server)
    keyed = sorted(granted() | {"evalsha"})
    keyless = sorted({command for role in ROLES.values() for command in role.keyless.split()})
    keyless += [command for command in arity if command.startswith("client|")]
    cells = [(command, key) for command in keyed for key in KEYS] + [(command, "") for command in keyless]
    asked = [
        (role, (command, key), arguments(command, arity.get(command, 2), key))
        for role in [*ROLES, ADMIN]
        for command, key in cells
    ]
    told = answers(program_server, [(role, "", line) for role, _, line in asked])
    wrong = [(role, cell, may) for (role, cell, _), may in zip(asked, told, strict=True) if may != allowed(role, *cell)]
    assert not wrong, wrong[:20]
    assert len(asked) > 10_000
    assert 500 < sum(told) - len(cells) < len(asked) / 2  # neither everything nor nothing


def test_what_is_not_in_the_table_nobody_but_admin_may(program_server: Redis) -> None:
    arity = arities(program_server)
    commands = [command for command in NEVER if command in arity]
    assert len(commands) > 60
    lines = [
        (command, key, arguments(command, arity[command], key))
        for command in commands
        for key in ("", "rq:job:x", "candlebus:candles:x", "candlebus:request:x")
    ]
    for role in ROLES:
        told = answers_or_unreadable(program_server, role, [line for *_, line in lines])
        assert [line for line, may in zip(lines, told, strict=True) if may] == []
    admin = answers_or_unreadable(program_server, ADMIN, [line for *_, line in lines])
    assert {command for (command, *_), may in zip(lines, admin, strict=True) if may} == set(commands)


def answers_or_unreadable(client: Redis, user: str, lines: list[list[str]]) -> list[bool]:
    """As :func:`answers`; a line that the server cannot read, with too many words, is one that is not let through."""
    with client.pipeline(transaction=False) as pipeline:
        for line in lines:
            pipeline.execute_command("ACL", "DRYRUN", user, *line)
        told = pipeline.execute(raise_on_error=False)
    return [answer in (b"OK", "OK", True) for answer in told]


def test_no_role_may_send_any_other_command_of_the_server(program_server: Redis) -> None:
    arity = arities(program_server)
    known = granted() | {"evalsha"} | {word for role in ROLES.values() for word in role.keyless.split()}
    containers = {name.split("|")[0] for name in arity if "|" in name}
    others = [name for name in arity if name not in known | containers | ALWAYS and not name.startswith("client|")]
    assert len(others) > 150
    for role in ROLES:
        for key in ("candlebus:request:x", "rq:job:x"):
            lines = [arguments(name, arity[name], key) for name in others]
            told = answers_or_unreadable(program_server, role, lines)
            assert [name for name, may in zip(others, told, strict=True) if may] == []


def keys_of_the_bus() -> list[str]:
    """One of each, as ``bus/keys.py`` spells them."""
    makers = [one for one in vars(keys).values() if getattr(one, "__module__", "") == keys.__name__]
    stream = keys.candles("x", "1m", "y")
    given = {"sequence": [stream], "dead": [stream]}
    made = [make(*given.get(make.__name__, ["x"] * make.__code__.co_argcount)) for make in makers]
    return [key for key in made if key.startswith(keys.PREFIX)]


def test_every_key_of_the_bus_is_in_the_table() -> None:
    assert len(keys_of_the_bus()) > 25
    assert [key for key in keys_of_the_bus() if not any(allowed(role, "type", key) for role in ROLES)] == []


def test_the_file_for_deployment_is_that_of_the_table_and_lets_nobody_in() -> None:
    assert FILE.read_text() == acl_file()
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "bus.roles"], input="", capture_output=True, text=True, check=True
    )
    assert printed.stdout == acl_file()


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedServer, dict[str, str]]]:
    """A server that knows only the users of the file, each with a password."""
    passwords = {role: f"{role}'s own" for role in [*ROLES, ADMIN]}
    lines = "".join(f"{role} {word}\n" for role, word in passwords.items())
    made = subprocess.run(
        [sys.executable, "-P", "-m", "bus.roles"], input=lines, capture_output=True, text=True, check=True
    )
    with EmbeddedServer(program=os.environ.get("CANDLEBUS_TEST_SERVER")) as server:  # noqa: TID251
        client = connect(server.url)
        for line in [*made.stdout.splitlines()[1:], made.stdout.splitlines()[0]]:
            client.execute_command("ACL", "SETUSER", *rules(line))
        client.close()
        yield server, passwords


def as_user(locked: tuple[EmbeddedServer, dict[str, str]], role: str) -> Redis:
    server, passwords = locked
    return Redis(unix_socket_path=server.url.removeprefix("unix://"), username=role, password=passwords[role])


def test_nobody_comes_in_without_a_user_or_with_a_wrong_password(
    locked_server: tuple[EmbeddedServer, dict[str, str]],
) -> None:
    path = locked_server[0].url.removeprefix("unix://")
    for credentials in ({}, {"password": "x"}, {"username": "worker", "password": "x"}, {"username": "worker"}):
        client = Redis(unix_socket_path=path, retry=Retry(NoBackoff(), 0), **credentials)
        with pytest.raises((AuthenticationError, ResponseError)):
            client.ping()
        client.close()


def test_a_producer_s_scripts_are_loaded_by_workers_and_not_by_itself(
    locked_server: tuple[EmbeddedServer, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, worker, admin = (as_user(locked_server, role) for role in ("producer", "worker", "admin"))
    admin.script_flush()
    with pytest.raises(NoPermissionError):
        producer.script_load("return 1")
    with pytest.raises(NoPermissionError):
        producer.eval("return 1", 0)
    monkeypatch.setattr("time.sleep", lambda _: RequestBook(worker).overdue("bingx"))
    assert RequestBook(producer).accept(request()) == (True, 1)
    for client in (producer, worker, admin):
        client.close()
