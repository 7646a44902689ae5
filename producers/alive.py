"""Whether processes of this host serve the bus, for health checks."""

import socket
from typing import Final, Literal

from redis import Redis
from rq import Worker

from bus import living
from bus.queue import queue_of

Role = Literal["worker", "aligner", "schedule"]
ROLES: Final[tuple[Role, ...]] = ("worker", "aligner", "schedule")


def served_here(redis: Redis, role: Role, exchange: str = "", host: str | None = None) -> int:
    """How many processes of a role live on this host.

    Args:
        exchange: Whose workers to count.
        host: By default this one.
    """
    here = host or socket.gethostname()
    if role == "worker":
        return sum(name == here for name in _worker_hosts(redis, exchange))
    roll = living.aligners(redis) if role == "aligner" else living.schedulers(redis)
    return sum(name.startswith(f"{here}-") for name in roll.names())


def _worker_hosts(redis: Redis, exchange: str) -> list[str]:
    with redis.pipeline(transaction=False) as pipeline:
        for key in Worker.all_keys(queue=queue_of(exchange, redis)):
            pipeline.hget(key, "hostname")
        return [found.decode() for found in pipeline.execute() if found]
