"""An entry that was delivered three times is taken for poison and set aside."""

from typing import Any

from bus import keys
from bus.errors import BusError
from workers.aligner.group import GroupAligner
from workers.aligner.rounds import Round, Rounds

_run = Rounds.run


def _counting(self: Rounds, groups: list[GroupAligner]) -> Round:
    redis: Any = self._redis
    for group in groups:
        for stream in group.streams:
            consumers = keys.align_consumer_group(group.group.name)
            for one in redis.xpending_range(stream, consumers, "-", "+", 1_000):
                if one["times_delivered"] >= 3:
                    group._set_aside(stream, one["message_id"].decode(), b"", BusError("delivered three times"))
    return _run(self, groups)


Rounds.run = _counting  # type: ignore[method-assign, assignment]
