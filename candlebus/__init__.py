"""The front door: ``from candlebus import CandleBus, MultiExchangeManager`` and what else ``__all__`` names."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bus.alignment import align_timestamps
    from candlebus.candle_bus import CandleBus
    from candlebus.manager import MultiExchangeManager
    from producers.vst import VST_CONFIG
    from workers.ccxt_client import CcxtClient

__all__ = ["VST_CONFIG", "CandleBus", "CcxtClient", "MultiExchangeManager", "align_timestamps"]

_HOME = {
    "CandleBus": "candlebus.candle_bus",
    "CcxtClient": "workers.ccxt_client",
    "MultiExchangeManager": "candlebus.manager",
    "VST_CONFIG": "producers.vst",
    "align_timestamps": "bus.alignment",
}


def _check_neighbours() -> None:
    """Refuse to run beside another module of the name of one of ours, which would be imported instead of it."""
    ours = Path(__file__).resolve().parent.parent
    for name in ("bus", "producers", "workers"):
        spec = find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or found.parent.parent != ours:
            raise ImportError(
                f"candlebus needs its own package {name!r} at {ours / name}, but {found or 'nothing'} comes first; "
                "run from another folder, or talk to the bus by its wire contract, which needs no import of ours"
            )


_check_neighbours()


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line's help must not wait for RQ and requests.
    if name not in _HOME:
        raise AttributeError(f"module 'candlebus' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
