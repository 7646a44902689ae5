"""The few contracts that are known without asking, for when an exchange's list cannot be had and never was."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bus.messages import Contract, ContractMap


def _bingx(coin: str, *, is_open: bool = True) -> Contract:
    return Contract(symbol=f"{coin}/USDT:USDT", native_id=f"{coin}-USDT", is_open=is_open)


def _kucoin(coin: str, native_id: str, multiplier: float, decimals: int) -> Contract:
    return Contract(
        symbol=f"{coin}/USDT:USDT", native_id=native_id, multiplier=multiplier, multiplier_decimals=decimals
    )


# BTC, ETH and VST are the original integration's. VST is BingX's play money: no live list of 2026-06 has VST-USDT, so
# it counts as closed. KuCoin has nothing of the kind; its multipliers are those of kucoin-universal-sdk 2025-11-04
# (XBTUSDTM) and ccxt 4.5.90's sample answer (ETHUSDTM).
_FALLBACK: Final[Mapping[str, tuple[Contract, ...]]] = MappingProxyType(
    {
        "bingx": (_bingx("BTC"), _bingx("ETH"), _bingx("VST", is_open=False)),
        "kucoinfutures": (_kucoin("BTC", "XBTUSDTM", 0.001, 3), _kucoin("ETH", "ETHUSDTM", 0.01, 2)),
    }
)


def fallback_map(exchange: str) -> ContractMap | None:
    """The fallback map of an exchange, of source ``fallback`` and fetched at 0; None where there is none."""
    contracts = _FALLBACK.get(exchange)
    if contracts is None:
        return None
    listed = {contract.symbol: contract for contract in contracts}
    return ContractMap(exchange=exchange, fetched_ms=0, contracts=listed, source="fallback")
