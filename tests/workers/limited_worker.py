"""A process that asks a stand-in exchange as fast as a made-up limit allows: ``python -m … SERVER EXCHANGE N``."""

import sys
import threading

import msgspec

from bus.connection import connect
from workers.exchanges import registry
from workers.exchanges.base import Limit
from workers.http import HttpClient
from workers.limiter import Limiter, budget

THREADS = 4


def main(server: str, exchange_url: str, limit: int) -> None:
    facts = msgspec.structs.replace(registry.get("bingx").facts, limits=(Limit(limit, 1_000),))
    limiter = Limiter(connect(server), facts.name, "default", budget(facts, "full"))

    def ask_on_and_on() -> None:
        with HttpClient(facts.name, exchange_url, limiter.acquire) as http:
            while True:
                http.get("/openApi/swap/v2/server/time", {}, weight=1)

    for _ in range(THREADS):
        threading.Thread(target=ask_on_and_on).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
