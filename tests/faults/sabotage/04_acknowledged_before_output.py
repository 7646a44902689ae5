"""Entries are acknowledged in one trip and their rows written in the next."""

import time
from collections.abc import Sequence
from typing import Any

from bus import keys
from workers.aligner.backlog import Backlog
from workers.aligner.group import GroupAligner
from workers.aligner.rounds import Rounds

_commit_all = Rounds._commit_all


def _acknowledge(redis: Any, group: GroupAligner) -> None:
    for stream in group.streams:
        consumers = keys.align_consumer_group(group.group.name)
        pending = redis.xpending_range(stream, consumers, "-", "+", 1_000)
        if pending:
            redis.xack(stream, consumers, *[one["message_id"] for one in pending])


def _both(self: Rounds, groups: Sequence[GroupAligner], outcomes: Any) -> None:
    for group in groups:
        if group._has_news and not group._unread:
            _acknowledge(self._redis, group)
    time.sleep(0.05)
    _commit_all(self, groups, outcomes)


Rounds._commit_all = _both  # type: ignore[method-assign]
# A second guard: who takes the group over misses what is not pending any more, and reads the stream again.
Backlog.has_lost = property(lambda _: False)  # type: ignore[method-assign, assignment]
