"""CPU seconds for a million candles: ``python benchmarks/cpu.py [PYTHON]``; two minutes.

Ours is a real worker process that fetches, proves and publishes, flat out against a stand-in without a limit; its CPU
is what the operating system counts for the process between two askings. Beside it, in processes of their own: ccxt's
fetching alone with its throttle off, and publishing an entry a candle: by a plain loop and, where PYTHON is an
interpreter that has cryptofeed, by its ``CandlesStream``. Loading of markets and start-up count for nobody. The least
of three rounds.
"""

import json
import socket
import subprocess
import sys

from shared import HERE, NO_LIMIT, bus, cpu_s, done, heading, machine, row

from bus.embedded import EmbeddedServer

CANDLES = 144_000
ROUNDS = 3


def ours(venue: str) -> float:
    with bus(venue, NO_LIMIT, omission_rate=0) as ground:
        ground.start_workers(1)
        pid, found = ground.workers[0].pid, []
        done(ground.ask(f"{venue}:BTC/USDT:USDT", CANDLES))  # warms both sides
        for _ in range(ROUNDS):
            before = cpu_s(pid)
            candles = done(ground.ask(f"{venue}:BTC/USDT:USDT", CANDLES))
            found.append((cpu_s(pid) - before) / candles * 1e6)
    return min(found)


def contender(script: str, *arguments: str, python: str = sys.executable) -> float:
    """What a contender's last line says: its CPU seconds for a million candles."""
    run = subprocess.run([python, str(HERE / script), *arguments], capture_output=True, text=True, check=True)
    told = json.loads(run.stdout.splitlines()[-1])
    return float(told["cpu_s"] / told["candles"] * 1e6)


def ccxt(venue: str, mode: str) -> float:
    with bus(venue, NO_LIMIT, omission_rate=0) as ground:
        url = ground.sandbox.url(venue)
        return min(
            contender("with_ccxt.py", mode, venue, url, "0", str(CANDLES), "BTC/USDT:USDT") for _ in range(ROUNDS)
        )


def published_by(script: str, python: str) -> float:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with EmbeddedServer(port=port) as server:
        return min(contender(script, server.url, python=python) for _ in range(ROUNDS))


def main(python: str = "") -> None:
    print(machine())
    heading("", "BingX, pages of 1,440", "KuCoin Futures, pages of 500")
    row("candlebus: fetch, prove and publish", *(f"{ours(venue):.2f}" for venue in ("bingx", "kucoinfutures")))
    row("ccxt, paged by hand: fetch alone", *(f"{ccxt(venue, 'loop'):.2f}" for venue in ("bingx", "kucoinfutures")))
    row("ccxt async, `paginate`: fetch alone", f"{ccxt('bingx', 'async'):.2f}", "finds nothing")
    row(
        "an entry a candle, a plain loop: publish alone",
        f"{published_by('one_by_one.py', sys.executable):.2f}",
        "the same",
    )
    if python:
        row("cryptofeed, CandlesStream: publish alone", f"{published_by('with_cryptofeed.py', python):.2f}", "the same")


if __name__ == "__main__":
    main(*sys.argv[1:])
