"""A worker that knows another limit or page size than the documented one: ``worker_at.py EXCHANGE [N/S] [ROWS]``.

Facts of an exchange are part of its adapter, so that nobody changes them by accident; a stand-in with a limit of its
own needs a worker that knows it. Everything else is the worker as it is.
"""

import sys

import msgspec

from bus.logs import set_up_logging
from bus.settings import load
from workers.collector import spare_the_collector
from workers.exchanges import registry
from workers.exchanges.base import Limit
from workers.worker import run_worker


def main(exchange: str, limit: str = "", rows: str = "") -> None:
    adapter = registry.get(exchange)
    if limit:
        weight, _, seconds = limit.partition("/")
        limits = (Limit(int(weight), round(float(seconds) * 1000)),)
        adapter.facts = msgspec.structs.replace(adapter.facts, limits=limits)
    if rows:
        adapter.facts = msgspec.structs.replace(adapter.facts, page_rows=int(rows))
    settings = load()
    set_up_logging(settings.log)
    spare_the_collector()
    run_worker(exchange, settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
