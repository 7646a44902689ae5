"""``candlebus audit``: what it does."""

import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from bus.audit import AuditReport, Violation, audit, violations
from bus.audit.report import Checked
from bus.settings import load
from bus.text import printable
from candlebus.commands.shared import shared_bus

_LONGEST: Final = 2_000


def audited(*, as_json: bool, go_on: bool) -> int:
    """Audit the bus; the exit code: 1 when a promise is not kept."""
    with shared_bus(load()) as redis:
        if as_json:
            report = audit(redis, first_only=not go_on)
            sys.stdout.write(msgspec.json.encode(_as_json(report)).decode() + "\n")
            return 0 if report.is_clean else 1
        checked: Checked = Checked()
        told = _tell(islice(violations(redis, checked), None if go_on else 1))
    if told:
        sys.stdout.write(f"{told} violation{'s' if told > 1 else ''}{'' if go_on else '; see all with --all'}\n")
        return 1
    counts = ", ".join(f"{count:,} {what}" for what, count in checked.items()) or "nothing there"
    sys.stdout.write(f"no violation: {counts}\n")
    return 0


def _tell(found: Iterable[Violation]) -> int:
    """Write each violation as it is found; how many there were."""
    told = 0
    for violation in found:
        told += 1
        sys.stdout.write(f"{printable(str(violation), _LONGEST)}\n")
        sys.stdout.flush()
    return told


def _as_json(report: AuditReport) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(report)
    return {"clean": report.is_clean} | told
