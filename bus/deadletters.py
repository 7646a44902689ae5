"""Entries set aside, unchanged and with the reason, so that one bad entry does not hold up the others."""

from redis import Redis

from bus import keys
from bus.codec import encode
from bus.messages import DeadLetter


def set_aside(redis: Redis, stream: str, entry_id: str, body: bytes, reason: str) -> None:
    """Keep an entry of ``stream`` in its dead-letter stream, which is bounded by count."""
    letter = DeadLetter(stream=stream, entry_id=entry_id, reason=reason[:500], body=body)
    redis.xadd(keys.dead(stream), {"b": encode(letter)}, maxlen=keys.DEAD_MAX_ENTRIES, approximate=True)
