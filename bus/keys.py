"""Every Redis name of candlebus, its type and its life; spelled here and nowhere else."""

from typing import Final

PREFIX: Final = "candlebus:"

#: RQ queue of an exchange's fetch jobs, without RQ's own prefix.
QUEUE_PREFIX: Final = "fetch."

CONTRACTS_TTL_MS: Final = 3_600_000
#: A clock offset is re-measured at least this often.
CLOCK_TTL_MS: Final = 300_000
#: An offset is of use as a last resort for so long: at the greatest drift it is then known to about 20 s.
CLOCK_LAST_TTL_MS: Final = 86_400_000
#: A request's record and its list of entries live this long after it ended.
REQUEST_TTL_MS: Final = 3_600_000
#: A stream's entries are kept at least this long.
STREAM_KEEP_MS: Final = 3_600_000
#: Publishers wait at this many entries of a stream; at 69 kB for the largest page about 700 MB.
STREAM_HIGH_WATER: Final = 10_000
#: Aligned streams are trimmed to about this many entries.
ALIGNED_MAX_ENTRIES: Final = 10_000
#: Late streams are trimmed to about this many entries.
LATE_MAX_ENTRIES: Final = 10_000
DEAD_MAX_ENTRIES: Final = 1_000
#: Quarantine streams are trimmed to about this many entries.
QUARANTINE_MAX_ENTRIES: Final = 1_000
#: Prefix of the consumer groups that hold back trimming.
ALIGN_GROUP_PREFIX: Final = "align:"


def queue(exchange: str) -> str:
    """Name of the RQ queue of an exchange's jobs (RQ stores it as ``rq:queue:<name>``)."""
    return f"{QUEUE_PREFIX}{exchange}"


def candles(exchange: str, timeframe: str, symbol: str) -> str:
    """Stream of candle batches of one series. Kept at least an hour and until every ``align:*`` group has read."""
    return f"{PREFIX}candles:{exchange}:{timeframe}:{symbol}"


def streams() -> str:
    """Set of the candle streams that exist. No TTL."""
    return f"{PREFIX}streams"


def sequence(stream: str) -> str:
    """String: sequence number of the last entry of a stream. Lives as long as the stream."""
    return f"{PREFIX}seq:{stream}"


def aligned(group: str) -> str:
    """Stream of aligned batches of a group; entry ids ``<last open time>-1``. Removed with the group."""
    return f"{PREFIX}aligned:{group}"


def align_consumer_group(group: str) -> str:
    """Consumer group through which an alignment group reads candle streams."""
    return f"{ALIGN_GROUP_PREFIX}{group}"


def dead(stream: str) -> str:
    """Stream of entries set aside from ``stream``. Bounded by count."""
    return f"{PREFIX}dead:{stream}"


def quarantine(exchange: str) -> str:
    """Stream of rows of an exchange's answers that cannot be true. Bounded by count."""
    return f"{PREFIX}quarantine:{exchange}"


def contracts(exchange: str) -> str:
    """String: contract map. TTL one hour."""
    return f"{PREFIX}contracts:{exchange}"


def contracts_last_good(exchange: str) -> str:
    """String: last contract map that the exchange served. No TTL; one per exchange."""
    return f"{PREFIX}contracts-last:{exchange}"


def clock(exchange: str) -> str:
    """String: offset to the exchange's clock as an interval. TTL five minutes."""
    return f"{PREFIX}clock:{exchange}"


def clock_last(exchange: str) -> str:
    """String: last offset that was measured, for when the exchange does not tell its time. TTL one day."""
    return f"{PREFIX}clock-last:{exchange}"


def load_lease(key: str) -> str:
    """String: who loads the value of a cache key now. TTL seconds."""
    return f"{PREFIX}loading:{key}"


def limit(exchange: str, egress: str) -> str:
    """Sorted set: slots handed out and when the next one is free, µs on the server's clock. TTL a minute."""
    return f"{PREFIX}limit:{exchange}:{egress}"


def pause(exchange: str, egress: str) -> str:
    """String: why nobody asks this exchange from this address now. TTL is the pause."""
    return f"{PREFIX}pause:{exchange}:{egress}"


def breaker(exchange: str, egress: str) -> str:
    """Hash: since when an exchange fails, and when a single request may ask again, µs. TTL minutes."""
    return f"{PREFIX}breaker:{exchange}:{egress}"


def traffic(exchange: str, egress: str) -> str:
    """Hash: what was sent, refused, failed and tried again, in steps of 10 s. TTL two minutes."""
    return f"{PREFIX}traffic:{exchange}:{egress}"


def counters(exchange: str) -> str:
    """Hash: how much was done for an exchange since the bus began, by what. No TTL; one per exchange."""
    return f"{PREFIX}counters:{exchange}"


def request(request_id: str) -> str:
    """Hash: state, attempt, lease, checkpoint, counts and error of a request. TTL one hour after it ended."""
    return f"{PREFIX}request:{request_id}"


def pages(request_id: str) -> str:
    """List of ``<stream> <entry id>``, a line a page. Lives as the request."""
    return f"{PREFIX}pages:{request_id}"


def open_requests(exchange: str) -> str:
    """Sorted set: unfinished requests by when somebody must look after them, ms. No TTL; empties itself."""
    return f"{PREFIX}open:{exchange}"


def schedule() -> str:
    """Sorted set: scheduled series, ``<exchange>:<timeframe>:<symbol>``, by the end of what has arrived, ms. No TTL."""
    return f"{PREFIX}schedule"


def schedule_asked() -> str:
    """Hash: scheduled series → ``<since> <until>`` of what was asked for last, ms. No TTL; a field a series."""
    return f"{PREFIX}schedule-asked"


def schedulers() -> str:
    """Sorted set: the scheduler processes, by when each is taken for dead, ms. Empties itself."""
    return f"{PREFIX}schedulers"


def groups() -> str:
    """Set of the names of alignment groups. No TTL."""
    return f"{PREFIX}groups"


def group(name: str) -> str:
    """String: definition of an alignment group. Until removed."""
    return f"{PREFIX}group:{name}"


def group_state(name: str) -> str:
    """String: what an alignment group has read and not yet written. Until removed."""
    return f"{PREFIX}group-state:{name}"


def group_tries(name: str) -> str:
    """Hash: ``<stream> <entry id>`` → failed attempts to take it; after aligners died of the group. Short-lived."""
    return f"{PREFIX}group-tries:{name}"


def group_members(name: str) -> str:
    """List: which series made a group's rows from when on, where that changed. Until removed."""
    return f"{PREFIX}group-members:{name}"


def late(group: str) -> str:
    """Stream of candles that came too late for a group's rows. Bounded by count; removed with the group."""
    return f"{PREFIX}late:{group}"


def aligners() -> str:
    """Sorted set: the aligner processes that share the groups, by when each is taken for dead, ms. Empties itself."""
    return f"{PREFIX}aligners"


def group_lease(name: str) -> str:
    """Hash: which aligner owns a group, until when, under which fence. Until removed."""
    return f"{PREFIX}group-lease:{name}"
