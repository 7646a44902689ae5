"""Whoever held a request before goes on publishing, from where it stood when it was paused."""

import itertools
import time
from typing import Any

from edit_script import edit_script

from bus.streams import Published, Publisher
from workers.lease import HeldLease

edit_script("publish", "if fence ~= ARGV[2] or known[2] ~= 'running' then", "if false then")
# The checkpoint is a second guard behind the fence: alone, the fence's absence changes nothing that is stored.
edit_script("publish", "if tonumber(ARGV[4]) <= checkpoint then return {'duplicate', checkpoint} end", "")
edit_script("publish", "if tonumber(ARGV[3]) ~= checkpoint then return {'gap', checkpoint} end", "")

# Held up for longer than its lease where it matters: every tenth page is fetched, and published by whoever has lost it.
HeldLease._renew = lambda _: None  # type: ignore[method-assign]
_publish = Publisher.publish
_pages = itertools.count(1)


def _late(self: Publisher, *args: Any, **counts: int) -> Published:
    if next(_pages) % 10 == 0:
        time.sleep(9)
    return _publish(self, *args, **counts)


Publisher.publish = _late  # type: ignore[method-assign]
