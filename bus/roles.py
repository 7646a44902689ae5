"""Who may do what on the server: a role's commands on a role's keys, and the ACL file that says so.

Run as ``python -m bus.roles`` this prints the file; lines ``ROLE PASSWORD`` on standard input give it passwords.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from bus import keys

Kind = Literal["string", "hash", "list", "set", "sorted set", "stream"]
#: ``consume``: read a stream through a consumer group, and acknowledge; append nothing.
Level = Literal["read", "consume", "write"]

#: What a level may do to keys of a kind; each level may do what the ones before it may.
COMMANDS: Final[dict[Kind, dict[Level, str]]] = {
    "string": {"read": "get mget strlen", "write": "set incr"},
    "hash": {"read": "hget hmget hgetall hlen hstrlen hexists hkeys", "write": "hset hdel hincrby hincrbyfloat"},
    "list": {"read": "llen lrange lpos lindex", "write": "rpush lpush lrem lmove blmove ltrim"},
    "set": {"read": "smembers sismember scard sscan", "write": "sadd srem"},
    "sorted set": {"read": "zscore zrange zrangebyscore zcard zcount", "write": "zadd zrem zremrangebyscore"},
    "stream": {
        "read": "xread xrange xrevrange xlen xpending xinfo|groups xinfo|stream",
        "consume": "xreadgroup xack xgroup|create xgroup|setid",
        "write": "xadd xtrim",
    },
}
#: What a level may do to keys of any kind.
ANY_KIND: Final[dict[Level, str]] = {"read": "exists type ttl pttl", "write": "del expire pexpire persist watch"}
#: Streams that may be deleted whole, or end by themselves, by those who write them: only RQ's.
_MORTAL_STREAMS: Final = ("results",)
_LEVELS: Final[tuple[Level, ...]] = ("read", "consume", "write")


class Family(NamedTuple):
    """Keys of one kind and purpose, as a pattern of the server's."""

    pattern: str
    kind: Kind


_ANY: Final = "*"
FAMILIES: Final[dict[str, Family]] = {
    "candles": Family(f"{keys.PREFIX}candles:*", "stream"),
    "streams": Family(keys.streams(), "set"),
    "candles sequence": Family(keys.sequence(f"{keys.PREFIX}candles:*"), "string"),
    "aligned": Family(keys.aligned(_ANY), "stream"),
    "aligned sequence": Family(keys.sequence(keys.aligned(_ANY)), "string"),
    "late": Family(keys.late(_ANY), "stream"),
    "late sequence": Family(keys.sequence(keys.late(_ANY)), "string"),
    "dead": Family(keys.dead(_ANY), "stream"),
    "quarantine": Family(keys.quarantine(_ANY), "stream"),
    "contracts": Family(keys.contracts(_ANY), "string"),
    "contracts last": Family(keys.contracts_last_good(_ANY), "string"),
    "clock": Family(keys.clock(_ANY), "string"),
    "clock last": Family(keys.clock_last(_ANY), "string"),
    "loading": Family(keys.load_lease(_ANY), "string"),
    "limit": Family(keys.limit(_ANY, _ANY), "sorted set"),
    "pause": Family(keys.pause(_ANY, _ANY), "string"),
    "breaker": Family(keys.breaker(_ANY, _ANY), "hash"),
    "traffic": Family(keys.traffic(_ANY, _ANY), "hash"),
    "request": Family(keys.request(_ANY), "hash"),
    "pages": Family(keys.pages(_ANY), "list"),
    "open": Family(keys.open_requests(_ANY), "sorted set"),
    "schedule": Family(keys.schedule(), "sorted set"),
    "schedule asked": Family(keys.schedule_asked(), "hash"),
    "schedulers": Family(keys.schedulers(), "sorted set"),
    "counters": Family(keys.counters(_ANY), "hash"),
    "groups": Family(keys.groups(), "set"),
    "group": Family(keys.group(_ANY), "string"),
    "group state": Family(keys.group_state(_ANY), "string"),
    "group tries": Family(keys.group_tries(_ANY), "hash"),
    "group members": Family(keys.group_members(_ANY), "list"),
    "group lease": Family(keys.group_lease(_ANY), "hash"),
    "aligners": Family(keys.aligners(), "sorted set"),
    # RQ's own, by its default prefix.
    "job": Family("rq:job:*", "hash"),
    "job dependents": Family("rq:job:*:dependents", "set"),
    "job queue": Family(f"rq:queue:{keys.QUEUE_PREFIX}*", "list"),
    "queues": Family("rq:queues", "set"),
    "queue workers": Family("rq:workers*", "set"),
    "worker": Family("rq:worker:*", "hash"),
    "worker executions": Family("rq:worker:*:executions", "set"),
    "execution": Family("rq:execution:*", "hash"),
    "executions": Family("rq:executions:*", "sorted set"),
    "running": Family("rq:wip:*", "sorted set"),
    "finished": Family("rq:finished:*", "sorted set"),
    "failed": Family("rq:failed:*", "sorted set"),
    "ready": Family("rq:ready:*", "sorted set"),
    "results": Family("rq:results:*", "stream"),
    "cleaning": Family("rq:clean*", "string"),
    "suspended": Family("rq:suspended", "string"),
    "rate limits": Family("rq:rl-*", "set"),
    "job groups": Family("rq:groups", "set"),
}


class Role(NamedTuple):
    """What one part of the bus may do.

    Attributes:
        keyless: Commands that name no key.
        levels: Level → families, by name.
        passes: Families that it passes to scripts; their commands are checked one by one, as if sent by itself.
    """

    keyless: str
    levels: Mapping[Level, frozenset[str]]
    passes: frozenset[str] = frozenset()


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(","))


_SIGNING_ON: Final = "auth hello ping select info time multi exec discard unwatch"
#: Of CLIENT everybody may what concerns his own connection (its parts differ between versions), and not these.
_CLIENTS_OF_OTHERS: Final = frozenset(
    ["client|kill", "client|list", "client|pause", "client|unpause", "client|unblock", "client|no-evict"]
)

_BUS: Final = _names(
    "candles, streams, candles sequence, aligned, aligned sequence, late, late sequence, dead, quarantine,"
    "contracts, clock, clock last, limit,"
    "pause, breaker, traffic, counters, request, pages, open, schedule, schedule asked, schedulers, groups, group,"
    "group state, group tries, group members, group lease, aligners, job queue, queues, queue workers, worker"
)
_ASKING: Final = _names("request, pages, open")
_SCHEDULING: Final = _names("schedule, schedule asked, schedulers")
_BUDGET: Final = _names("limit, pause, breaker, traffic, counters")
_CACHES: Final = _names("contracts, contracts last, clock, clock last, loading")
_RQ: Final = frozenset(list(FAMILIES)[list(FAMILIES).index("job") :])

#: The table. Who may write jobs may ask for anything that a worker's table of functions holds, and for nothing else:
#: an ACL cannot look into a job, the worker's job class does.
ROLES: Final[dict[str, Role]] = {
    "reader": Role(f"{_SIGNING_ON} scan", {"read": _BUS}),
    "producer": Role(
        _SIGNING_ON,
        {"read": _BUS, "write": _ASKING | _SCHEDULING | _names("job, job queue, queues")},
        passes=_ASKING | _SCHEDULING,
    ),
    "worker": Role(
        f"{_SIGNING_ON} script|load",
        {
            "read": _BUS | _CACHES | _RQ,
            "write": _names("candles, streams, candles sequence, quarantine") | _ASKING | _BUDGET | _CACHES | _RQ,
        },
        passes=_names("candles, streams, candles sequence, quarantine") | _ASKING | _BUDGET | _CACHES,
    ),
    "aligner": Role(
        f"{_SIGNING_ON} script|load",
        {
            "read": _BUS | _CACHES,
            "consume": _names("candles"),
            "write": _names(
                "aligned, aligned sequence, late, late sequence, dead, group state, group tries, group members,"
                "group lease, aligners"
            )
            | _BUDGET
            | _CACHES,
        },
        passes=_names(
            "candles, aligned, aligned sequence, late, late sequence, dead, group state, group tries, group members,"
            "group lease, aligners, groups"
        )
        | _BUDGET
        | _CACHES,
    ),
}
ADMIN: Final = "admin"
#: A hash that no password has: a user who has it exists, and nobody can log in as it.
NOBODY: Final = "0" * 64


def allowed(role: str, command: str, key: str) -> bool:
    """Whether the table lets a role send the command with that key; ``key`` is empty for one that names none."""
    if role == ADMIN:
        return True
    of = ROLES[role]
    if not key:
        is_own = command.startswith("client|") and command not in _CLIENTS_OF_OTHERS
        return is_own or command in of.keyless.split()
    families = [name for name, family in FAMILIES.items() if _matches(family.pattern, key)]
    if command == "evalsha":
        return any(name in of.passes for name in families)
    return any(command in _commands(name, level) for name in families for level in _held(of, name))


def acl_file(hashes: Mapping[str, str] | None = None) -> str:
    """The file of users for the server's ``aclfile`` setting, a line a role.

    Args:
        hashes: Role → SHA-256 of its password, in hex; nobody can log in where it is missing.
    """
    given = hashes or {}
    users = ["user default reset resetchannels off"]
    own = " ".join(["+client", *(f"-{command}" for command in sorted(_CLIENTS_OF_OTHERS))])
    for name, role in ROLES.items():
        grants = " ".join(f"({grant})" for grant in _grants(role))
        free = " ".join(f"+{command}" for command in role.keyless.split())
        users.append(f"user {name} reset resetchannels on #{given.get(name, NOBODY)} {free} {own} {grants}")
    users.append(f"user {ADMIN} reset resetchannels on #{given.get(ADMIN, NOBODY)} +@all ~* &*")
    return "\n".join(users) + "\n"


def _grants(role: Role) -> Iterator[str]:
    """The selectors of a role: commands, and the keys on which it may send them.

    One command may name keys of several kinds, and the server looks for one selector that has them all.
    """
    for level, families in role.levels.items():
        access = "%R~" if level == "read" else "~"
        for kind in COMMANDS:
            if of_kind := [name for name in families if FAMILIES[name].kind == kind]:
                yield _grant(_of_kind(kind, level), of_kind, access)
        yield _grant(ANY_KIND["read"].split(), families, access)
        if mortal := [name for name in families if level == "write" and _is_mortal(name)]:
            yield _grant(ANY_KIND["write"].split(), mortal, access)
    if role.passes:
        yield _grant(["evalsha"], role.passes, "~")


def _grant(commands: Iterable[str], families: Iterable[str], access: str) -> str:
    patterns = [access + FAMILIES[name].pattern for name in sorted(families)]
    return " ".join([*patterns, *(f"+{command}" for command in commands)])


def _commands(family: str, level: Level) -> list[str]:
    """What a level may do to a family."""
    return [*_of_kind(FAMILIES[family].kind, level), *_of_any_kind(family, level)]


def _of_kind(kind: Kind, level: Level) -> list[str]:
    return _up_to(level, COMMANDS[kind])


def _of_any_kind(family: str, level: Level) -> list[str]:
    return _up_to(level if _is_mortal(family) else "read", ANY_KIND)


def _is_mortal(family: str) -> bool:
    return FAMILIES[family].kind != "stream" or family in _MORTAL_STREAMS


def _up_to(level: Level, commands: Mapping[Level, str]) -> list[str]:
    reached = _LEVELS[: _LEVELS.index(level) + 1]
    return [command for one in reached for command in commands.get(one, "").split()]


def _held(role: Role, family: str) -> list[Level]:
    return [level for level, families in role.levels.items() if family in families]


def _matches(pattern: str, key: str) -> bool:
    """As the server matches: ``*`` is the only wildcard that stands in a pattern of ours."""
    parts = pattern.split("*")
    at = len(parts[0])
    if not key.startswith(parts[0]):
        return False
    for part in parts[1:-1]:
        found = key.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return key == pattern if len(parts) == 1 else key.endswith(parts[-1]) and len(key) - len(parts[-1]) >= at


if __name__ == "__main__":
    lines = [] if sys.stdin.isatty() else [line.split(maxsplit=1) for line in map(str.strip, sys.stdin) if line]
    sys.stdout.write(acl_file({role: hashlib.sha256(word.encode()).hexdigest() for role, word in lines}))
