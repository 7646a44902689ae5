"""``candlebus exchanges``: what is known of each exchange without asking it."""

import sys
from typing import Any

import msgspec

from bus.settings import PACES
from candlebus.output.tables import show, table_of
from workers.exchanges import registry
from workers.exchanges.base import Facts
from workers.limiter import budget


def shown() -> int:
    """Show the exchanges; the exit code."""
    facts = [registry.get(name).facts for name in registry.names()]
    if sys.stdout.isatty():
        _write_table(facts)
    else:
        sys.stdout.writelines(msgspec.json.encode(_record(one)).decode() + "\n" for one in facts)
    sys.stderr.write(f"candlebus: through ccxt also: {' '.join(registry.names_through_ccxt())}\n")
    return 0


def _record(facts: Facts) -> dict[str, Any]:
    return {
        "exchange": facts.name,
        "timeframes": list(facts.timeframes),
        "page_rows": facts.page_rows,
        "limits": [msgspec.structs.asdict(limit) for limit in facts.limits],
        "candle_weight": facts.weights.candles,
        "candle_requests_per_s": {pace: _per_s(facts)[place] for place, pace in enumerate(PACES)},
        "volume_unit": facts.volume_unit,
    }


def _per_s(facts: Facts) -> list[float]:
    """Requests for candles a second, by pace."""
    return [round(1e6 / (budget(facts, pace).interval_us * facts.weights.candles), 3) for pace in PACES]


def _write_table(every: list[Facts]) -> None:
    cells = [[f.name, " ".join(f.timeframes), str(f.page_rows), *(f"{rate:g}" for rate in _per_s(f))] for f in every]
    columns = ["exchange", "timeframes", "rows a page", *(f"{pace}, pages/s" for pace in PACES)]
    show(sys.stdout, table_of("", columns, cells))
