"""P1: in a stream each page of a request stands once and in order, and the request's own list names just these."""

from collections.abc import Iterator
from typing import Any

import msgspec
from redis import Redis

from bus.audit.reading import Head, entries, head_of, newest_id, order, record_of
from bus.audit.report import Checked, Violation


class _Run(msgspec.Struct):
    """The pages of a request in a stream, one after the other.

    Attributes:
        is_cut: Whether pages before its first one are no longer there.
    """

    ids: list[str]
    page: int
    until: int
    is_cut: bool


def pages(redis: Redis, stream: str, checked: Checked) -> Iterator[Violation]:
    """Whether the pages of each request join, and are those that its record lists."""
    last_id = newest_id(redis, stream)
    runs: dict[str, _Run] = {}
    is_first, was_trimmed = True, False
    for entry_id, fields in entries(redis, stream, end=last_id):
        if is_first:
            is_first, was_trimmed = False, fields.get(b"s") != b"1"
        head = head_of(fields)
        if head is not None:
            checked["pages"] += 1
            yield from _joined(stream, entry_id, head, runs, was_trimmed=was_trimmed)
    for request_id, run in runs.items():
        yield from _listed(redis, stream, request_id, run, last_id)


def _joined(stream: str, entry_id: str, head: Head, runs: dict[str, _Run], *, was_trimmed: bool) -> Iterator[Violation]:
    """Whether a page is the one that comes next; a request whose record was gone may begin anew."""
    where: dict[str, Any] = {"promise": "P1", "stream": stream, "entry_id": entry_id, "request_id": head.request_id}
    run = runs.get(head.request_id)
    if head.stream != stream:
        yield Violation(**where, expected="candles of this stream", found=f"a batch for {head.stream}")
    if head.page == 0:
        runs[head.request_id] = _Run([entry_id], 0, head.until, is_cut=False)
        return
    if run is None:
        runs[head.request_id] = _Run([entry_id], head.page, head.until, is_cut=True)
        if not was_trimmed:
            yield Violation(**where, expected="page 0", found=f"page {head.page}")
        return
    if head.page != run.page + 1 or head.since != run.until:
        yield Violation(
            **where,
            expected=f"page {run.page + 1} from {run.until}",
            found=f"page {head.page} from {head.since}",
        )
    run.ids.append(entry_id)
    run.page, run.until = head.page, head.until


def _listed(redis: Redis, stream: str, request_id: str, run: _Run, last_id: str) -> Iterator[Violation]:
    record = record_of(redis, request_id)
    if record is None or order(run.ids[0])[0] < record.number("created_ms"):
        return  # it is over for so long that its record is gone, or its id begins anew
    first = order(run.ids[0]) if run.is_cut else (0, 0)
    listed = [one for name, one in record.listed if name == stream and first <= order(one) <= order(last_id)]
    known, there = set(listed), set(run.ids)
    for entry_id in [one for one in run.ids if one not in known]:
        found = "an entry that its list does not name"
        yield Violation(
            promise="P1",
            stream=stream,
            entry_id=entry_id,
            request_id=request_id,
            expected=f"the {len(listed)} pages that its list names",
            found=found,
        )
    oldest = order(run.ids[0])
    for entry_id in [one for one in listed if one not in there and order(one) > oldest]:
        yield Violation(
            promise="P1",
            stream=stream,
            entry_id=entry_id,
            request_id=request_id,
            expected="the page that its list names",
            found="no such page",
        )
