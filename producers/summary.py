"""How one exchange of a manager is doing, as plain data."""

from typing import Any

import msgspec

from bus.errors import CandleBusError
from producers.venues import Listed, TimeSync, Venues
from producers.vst import vst_report


def exchange_summary(venues: Venues, exchange: str) -> dict[str, Any]:
    """What is known of an exchange now; asks it for what is not.

    Returns:
        ``status``: ``ok``, ``degraded`` where something stands in for an answer of the exchange, or ``error``; why not
        ``ok`` in ``error``. ``contracts`` and ``contracts_source``; ``server_time`` with ``source``, ``offset_ms`` and
        its bounds ``low_ms`` and ``high_ms``; ``timeframes``, ``page_rows``, ``pace``, ``limits``; ``vst_supported``.
        What could not be found out is None.
    """
    summary: dict[str, Any] = {"status": "ok", "error": None}
    summary |= dict.fromkeys(("contracts", "contracts_source", "server_time", "vst_supported"))
    try:
        listed, sync = venues.contracts(exchange), venues.time_sync(exchange)
        summary |= {"contracts": len(listed.contracts), "contracts_source": listed.source, "server_time": _told(sync)}
        summary["vst_supported"] = vst_report(listed)["available"]
        if doubts := _doubts(listed, sync):
            summary |= {"status": "degraded", "error": doubts}
    except CandleBusError as error:
        summary |= {"status": "error", "error": str(error)}
    summary |= msgspec.structs.asdict(venues.profile(exchange))
    return summary


def _doubts(listed: Listed, sync: TimeSync) -> str:
    """What stands in for answers of the exchange; empty where nothing does."""
    stand_ins = {"cached": "an old offset", "local": "our own clock"}
    doubts = ["it gives no list of contracts: the fallback stands in"] if listed.source == "fallback" else []
    if sync.source != "ok":
        doubts.append(f"it does not tell its time: {stand_ins[sync.source]} stands in")
    return "; ".join(doubts)


def _told(sync: TimeSync) -> dict[str, Any]:
    middle_ms = (sync.low_ms + sync.high_ms) // 2
    return {"source": sync.source, "offset_ms": middle_ms, "low_ms": sync.low_ms, "high_ms": sync.high_ms}
