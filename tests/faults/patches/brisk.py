"""Shorter waits and smaller pages than in production, so that a recovery takes seconds and a request many steps.

Every constant here is one that only scales time or size; what follows what stays as it is. Must run before the modules
that copy these constants are imported.
"""

# ruff: noqa: E402 - the order of the imports is the point
import msgspec

import bus.requests

bus.requests.LEASE_MS = 3_000  # type: ignore[misc]
bus.requests.QUEUED_GRACE_MS = 2_000  # type: ignore[misc]

import bus.group_leases

bus.group_leases.GROUP_LEASE_MS = 2_000  # type: ignore[misc]

import bus.connection

bus.connection.connect.__kwdefaults__["socket_timeout_s"] = 4.0

import workers.http

workers.http.HttpClient.__init__.__kwdefaults__ |= {"connect_timeout_s": 2.0, "read_timeout_s": 2.0, "deadline_s": 4.0}

import workers.supervisor

workers.supervisor._LONGEST_WAIT_S = 0.5  # type: ignore[misc]

import workers.retries

workers.retries._LONGEST_WAIT_S = 0.5  # type: ignore[misc]

import workers.breaker

workers.breaker.FIRST_WAIT_US = 200_000  # type: ignore[misc]
workers.breaker.LONGEST_WAIT_US = 1_000_000  # type: ignore[misc]
workers.breaker.PROBE_LEASE_US = 5_000_000  # type: ignore[misc]

import workers.limiter

_budget = workers.limiter.budget
#: Candles of a page; the exchanges' own pages of 500 to 1440 would make one step of most requests.
ROWS = 60


def _smaller(*args: object) -> workers.limiter.Budget:
    return msgspec.structs.replace(_budget(*args), rows=ROWS)  # type: ignore[arg-type]


workers.limiter.budget = _smaller  # type: ignore[assignment]

_pause = workers.limiter.Limiter.pause
#: Exchanges want up to five minutes of silence; a pause is a pause.
LONGEST_PAUSE_MS = 6_000


def _shorter(limiter: workers.limiter.Limiter, pause_ms: int, reason: str, *, refusals: int = 0) -> None:
    _pause(limiter, min(pause_ms, LONGEST_PAUSE_MS), reason, refusals=refusals)


workers.limiter.Limiter.pause = _shorter  # type: ignore[method-assign]

import bus.cache

bus.cache.Cache.__init__.__kwdefaults__["lease_ms"] = 2_000

import workers.worker

workers.worker.ExchangeWorker.max_connection_wait_time = 1.0
workers.worker._UPKEEP_EVERY_S = 1  # type: ignore[misc]
workers.worker._WORKER_TTL_S = 17  # type: ignore[misc]  # RQ blocks for 15 s less
