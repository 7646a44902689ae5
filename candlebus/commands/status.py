"""``candlebus status``: the bus at one look, for people, for programs and for health checks."""

import sys
from typing import Any

import msgspec

from bus.group_status import GroupStatus
from bus.groups import GroupBook
from bus.instants import duration, iso
from bus.settings import load
from bus.text import address
from bus.traffic import Traffic
from candlebus.commands.grouping import held_line
from candlebus.commands.shared import bus_url, shared_bus
from candlebus.output.tables import show, table_of
from producers.lag import ScheduledSeries, schedule_of
from producers.look import ExchangeLook, exchanges_of, look_at
from workers.exchanges import registry


def shown(*, as_json: bool, check: bool) -> int:
    """Show the bus; 1 when ``check`` finds work that nobody does."""
    settings = load()
    url = address(bus_url(settings) or "")
    with shared_bus(settings) as redis:
        looks = look_at(redis, exchanges_of(redis, registry.names()))
        groups = GroupBook(redis).statuses()
        scheduled = schedule_of(redis)
    if as_json:
        _write_json(url, looks, scheduled, groups)
    else:
        _write_tables(url, looks, scheduled, groups)
    for status in groups:
        if status.is_held:
            sys.stderr.write(f"candlebus: group {held_line(status)}\n")
    deserted = [look.exchange for look in looks if look.is_deserted]
    for exchange in deserted:
        sys.stderr.write(
            f"candlebus: requests wait for {exchange} and no worker serves it; "
            f"start one with: candlebus worker {exchange}\n"
        )
    return 1 if check and deserted else 0


def _write_json(
    url: str, looks: list[ExchangeLook], scheduled: list[ScheduledSeries], groups: list[GroupStatus]
) -> None:
    told: dict[str, Any] = {
        "redis_url": url,
        "exchanges": {look.exchange: msgspec.to_builtins(look) for look in looks},
        "schedule": msgspec.to_builtins(scheduled),
        "groups": {status.group.name: _group(status) for status in groups},
    }
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


def _group(status: GroupStatus) -> dict[str, Any]:
    told = msgspec.structs.asdict(status)
    told["members"] = msgspec.to_builtins(status.members)
    group: dict[str, Any] = msgspec.to_builtins(status.group)
    del told["group"], group["type"], group["name"]
    return group | told


def _write_tables(
    url: str, looks: list[ExchangeLook], scheduled: list[ScheduledSeries], groups: list[GroupStatus]
) -> None:
    columns = ["exchange", "workers", "queued turns", "oldest waits", "open requests", "pause"]
    show(sys.stdout, table_of(f"bus at {url}", columns, [_exchange_cells(look) for look in looks]))
    traffic = [_traffic_cells(look.exchange, one) for look in looks for one in look.traffic]
    if traffic:
        columns = ["exchange", "address", "sent in a minute", "refused", "failed", "budget used", "breaker"]
        show(sys.stdout, table_of("", columns, traffic))
    if scheduled:
        columns = ["scheduled", "timeframe", "series", "furthest behind"]
        show(sys.stdout, table_of("", columns, _schedule_cells(scheduled)))
    if groups:
        columns = ["group", "timeframe", "series", "rows", "final before", "lag", "pending", "late", "aligner"]
        show(sys.stdout, table_of("", columns, [_group_cells(status) for status in groups]))


def _exchange_cells(look: ExchangeLook) -> list[str]:
    waits = duration(look.oldest_wait_ms / 1000) if look.queued else "-"
    return [look.exchange, str(look.workers), str(look.queued), waits, str(look.open_requests), _pauses(look)]


def _traffic_cells(exchange: str, traffic: Traffic) -> list[str]:
    breaker = traffic.breaker
    opened = f"open for {duration(breaker.open_ms / 1000)}: {breaker.reason}" if breaker is not None else "-"
    counts = map(str, (traffic.sent, traffic.refused, traffic.failed))
    return [exchange, traffic.egress, *counts, f"{traffic.budget_share:.0%}", opened]


def _schedule_cells(scheduled: list[ScheduledSeries]) -> list[list[str]]:
    """A line for each exchange and timeframe: how many series, and the one that is furthest behind."""
    kinds: dict[tuple[str, str], list[ScheduledSeries]] = {}
    for one in scheduled:
        kinds.setdefault((one.exchange, one.timeframe), []).append(one)
    lines = []
    for (exchange, name), series in sorted(kinds.items()):
        last = max(series, key=lambda one: one.behind_ms)
        behind = f"{last.symbol}: {duration(last.behind_ms / 1000)}" if last.behind_ms else "-"
        lines.append([exchange, name, str(len(series)), behind])
    return lines


def _pauses(look: ExchangeLook) -> str:
    return (
        "; ".join(f"{pause.egress}: {duration(pause.left_ms / 1000)}: {pause.reason}" for pause in look.pauses) or "-"
    )


def _group_cells(status: GroupStatus) -> list[str]:
    group = status.group
    counts = [len(group.series), status.rows]
    behind = [sum(status.pending.values()), sum(status.late.values())]
    return [
        group.name,
        group.timeframe,
        *map(str, counts),
        iso(status.decided_ms),
        duration(max(status.lags_ms.values()) / 1000),
        *map(str, behind),
        status.owner or "-",
    ]
