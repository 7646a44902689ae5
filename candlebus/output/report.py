"""The report of a fetch: what arrived, what it took and what is missing, as JSON."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bus.errors import CandleBusError, FetchFailed
from bus.requests import RequestStatus
from producers.result import FetchResult

Statuses = Mapping[str, RequestStatus]


def of_result(result: FetchResult) -> dict[str, Any]:
    """Series → what became of it."""
    return {
        name: _series(
            result.statuses.get(name),
            candles=len(candles),
            gaps=[list(gap) for gap in result.gaps[name]],
            errors=[str(result.errors[name])] if name in result.errors else [],
            volume_unit=result.volume_units[name],
        )
        for name, candles in result.candles.items()
    }


def of_failure(error: CandleBusError, statuses: Statuses, names: list[str]) -> dict[str, Any]:
    """Series → what became of it, where nothing was brought home."""
    causes = error.causes if isinstance(error, FetchFailed) else {}
    return {name: _series(statuses.get(name), errors=[str(causes.get(name, error))]) for name in names}


def encoded(series: dict[str, Any], *, timeframe: str, seconds: float, exit_code: int, rows: int | None) -> str:
    """The whole report.

    Args:
        rows: Aligned rows; None where none were asked for.
    """
    report = {
        "complete": exit_code == 0,
        "exit_code": exit_code,
        "seconds": round(seconds, 3),
        "timeframe": timeframe,
        **({} if rows is None else {"aligned_rows": rows}),
        "series": series,
    }
    return msgspec.json.format(msgspec.json.encode(report).decode(), indent=2) + "\n"


def _series(
    status: RequestStatus | None,
    *,
    candles: int = 0,
    gaps: list[list[Any]] | None = None,
    errors: list[str],
    volume_unit: str = "unknown",
) -> dict[str, Any]:
    return {
        "candles": candles,
        "pages": status.pages if status else 0,
        "requests": status.requests if status else 0,
        "refusals": status.refusals if status else 0,
        "gaps": gaps or [],
        "errors": errors,
        "since": status.since if status else None,
        "until": status.until if status else None,
        "volume_unit": volume_unit,
        "long_decimals": status.long_decimals if status else 0,
        "quarantined": status.quarantined if status else 0,
    }
