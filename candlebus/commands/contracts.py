"""``candlebus contracts``: an exchange's perpetuals, over the bus where there is one, else by one question."""

import sys
import time
from typing import Any

import msgspec

from bus.errors import UnknownSymbol
from bus.instants import iso
from bus.messages import Contract
from bus.series import Series
from bus.settings import Settings, load
from bus.unlisted import unlisted
from candlebus.commands.shared import bus_url, shared_bus
from candlebus.exchange_locks import ExchangeLocks
from candlebus.output.tables import number, show, table_of
from producers.contracts import contract_map
from producers.vst import NOT_LISTED, VST_CONFIG
from workers.exchanges import registry
from workers.http import HttpClient
from workers.limiter import budget


def shown(exchange: str, symbol: str | None) -> int:
    """Show the contracts, or one of them; the exit code."""
    registry.get(exchange)
    if symbol is not None:
        symbol = Series.parse(symbol if symbol.startswith(f"{exchange}:") else f"{exchange}:{symbol}").symbol
    found = _contracts(exchange, load())
    chosen = sorted(found.values(), key=lambda c: c.symbol) if symbol is None else [_one(exchange, found, symbol)]
    if sys.stdout.isatty():
        _write_table(exchange, chosen)
    else:
        sys.stdout.writelines(msgspec.json.encode(_record(exchange, one)).decode() + "\n" for one in chosen)
    return 0


def _contracts(exchange: str, settings: Settings) -> dict[str, Contract]:
    if bus_url(settings, [exchange]) is None:
        return _asked(exchange, settings)
    with shared_bus(settings, [exchange]) as redis:
        return contract_map(redis, exchange).contracts


def _asked(exchange: str, settings: Settings) -> dict[str, Contract]:
    """One question, for which this process holds the exchange like any local run."""
    adapter = registry.get(exchange)
    interval_s = budget(adapter.facts, settings.pace_of(exchange)).interval_us / 1e6
    locks = ExchangeLocks(settings, _say)
    locks.take([exchange])
    # Whoever asked before us did so at most a moment ago: the distance to them is kept before the question.
    base_url = settings.urls.get(exchange, adapter.facts.base_url)
    http = HttpClient(exchange, base_url, lambda weight: time.sleep(weight * interval_s))
    try:
        return adapter.contracts(http)
    finally:
        http.close()
        locks.release()


def _one(exchange: str, contracts: dict[str, Contract], symbol: str) -> Contract:
    found = contracts.get(symbol)
    if found is not None:
        return found
    if (exchange, symbol) == (VST_CONFIG["exchange"], VST_CONFIG["symbol"]):
        raise UnknownSymbol(NOT_LISTED)
    raise unlisted(exchange, symbol, contracts)


def _record(exchange: str, contract: Contract) -> dict[str, Any]:
    return {
        "exchange": exchange,
        "symbol": contract.symbol,
        "native_id": contract.native_id,
        "listed": contract.listed_ms,
        "multiplier": contract.multiplier,
        "open": contract.is_open,
    }


def _write_table(exchange: str, contracts: list[Contract]) -> None:
    cells = [
        [
            c.symbol,
            c.native_id,
            "-" if c.listed_ms is None else iso(c.listed_ms),
            number(float(c.multiplier)),
            "yes" if c.is_open else "no",
        ]
        for c in contracts
    ]
    columns = ["symbol", "native id", "listed (UTC)", "multiplier", "open"]
    show(sys.stdout, table_of(f"{exchange}: {len(contracts)} perpetuals", columns, cells))


def _say(line: str) -> None:
    sys.stderr.write(f"candlebus: {line}\n")
