"""VST, the play money of BingX's demo trading: what is known of it, and whether an exchange lists its contract."""

from typing import Any, Final

from producers.venues import Listed

DEMO_HOST: Final = "open-api-vst.bingx.com"

#: What an app needs to point itself at BingX's demo trading.
VST_CONFIG: Final[dict[str, Any]] = {
    "exchange": "bingx",
    "symbol": "VST/USDT:USDT",
    "native_symbol": "VST-USDT",
    "demo_host": DEMO_HOST,  # docs-v3 2025-10-29, base URLs; the same paths as the live host
    "demo_url": f"https://{DEMO_HOST}",
    "is_play_money": True,
}

#: What there is to say while the live list has no such contract.
NOT_LISTED: Final = f"bingx lists no VST-USDT: VST is play money of its demo trading, on {DEMO_HOST}"


def vst_report(listed: Listed) -> dict[str, Any]:
    """Whether the exchange lists VST, in plain words; never true on a mere assumption.

    Returns:
        ``available``, ``exchange``, ``symbol``, ``native_symbol`` (None where it is not listed), ``source`` (see
        :class:`Listed`), ``contracts_checked``, ``fetched_ms``, ``reason`` (empty where it is available) and
        ``demo_host`` (None where the exchange is not BingX).
    """
    contract = listed.contracts.get(VST_CONFIG["symbol"])
    reason = _reason(listed)
    return {
        "available": not reason,
        "exchange": listed.exchange,
        "symbol": VST_CONFIG["symbol"],
        "native_symbol": contract.native_id if contract else None,
        "source": listed.source,
        "contracts_checked": len(listed.contracts),
        "fetched_ms": listed.fetched_ms,
        "reason": reason,
        "demo_host": DEMO_HOST if listed.exchange == VST_CONFIG["exchange"] else None,
    }


def _reason(listed: Listed) -> str:
    """Why VST is not available; empty where it is."""
    exchange = listed.exchange
    if exchange != VST_CONFIG["exchange"]:
        return f"VST is the play money of {VST_CONFIG['exchange']}; {exchange} has none"
    if listed.source == "fallback":
        return f"{exchange} gave no list of contracts, so nobody knows; the fallback merely assumes VST-USDT"
    contract = listed.contracts.get(VST_CONFIG["symbol"])
    if contract is None:
        return NOT_LISTED
    return "" if contract.is_open else f"{exchange} lists VST-USDT, but it cannot be traded now"
