"""Ask for candles from an app that has rq and redis, and nothing of candlebus; docs/wire.md is the contract.

export CANDLEBUS_REDIS_URL=redis://localhost:6379/0
python examples/enqueue_with_rq.py bingx:BTC/USDT:USDT 30m --limit 500
"""

import argparse
import json
import os
import time
import uuid
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

LOCAL = "redis://localhost:6379/0"
ENDED = ("done", "failed", "cancelled")


def enqueue(redis: Redis, series: str, timeframe: str, span: dict[str, int]) -> tuple[str, Job]:
    """Put a fetch request on the bus; its id, and its job."""
    # The symbol has a colon of its own: only the first one separates.
    exchange, _, symbol = series.partition(":")
    request_id = uuid.uuid4().hex
    # Workers read JSON only; rq's default serializer, pickle, would be refused.
    queue = Queue(f"fetch.{exchange}", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue_call(
        # A name that workers look up; rq never imports it, so nothing of candlebus is needed here.
        "candlebus.fetch_candles",
        kwargs={"request_id": request_id, "exchange": exchange, "symbol": symbol, "timeframe": timeframe, **span},
        timeout=300,
        # The record of the request tells how it went, so rq need keep no result, and a failure for an hour only.
        result_ttl=0,
        failure_ttl=3600,
    )
    return request_id, job


def follow(redis: Redis, request_id: str, job: Job, timeout_s: float) -> dict[str, str]:
    """The record of the request once it has ended, or as it stands when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        found: Any = redis.hgetall(f"candlebus:request:{request_id}")
        record = {name.decode(): value.decode() for name, value in found.items()}
        if record.get("state") in ENDED or time.monotonic() > deadline:
            return record
        # A worker opens the record with its first turn. Arguments that are no request never get one: their job fails.
        if not record and redis.hget(job.key, "status") == b"failed":
            return {"state": "failed", "error": '{"message": "the worker refused the arguments; its log says why"}'}
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask for the candles of one series and wait until they are published.")
    parser.add_argument("series", help="EXCHANGE:SYMBOL, such as bingx:BTC/USDT:USDT")
    parser.add_argument("timeframe", help="such as 30m")
    how_much = parser.add_mutually_exclusive_group(required=True)
    how_much.add_argument("--limit", type=int, help="slots back from --until, or from the last closed candle")
    how_much.add_argument("--since", type=int, help="first open time, ms")
    parser.add_argument("--until", type=int, help="open times stay below it, ms")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait")
    given = parser.parse_args()
    if ":" not in given.series:
        parser.error(f"{given.series} is no series; write EXCHANGE:SYMBOL")

    url = os.environ.get("CANDLEBUS_REDIS_URL", LOCAL)  # noqa: TID251 - an app without our settings
    redis = Redis.from_url(url)
    span = {name: getattr(given, name) for name in ("limit", "since", "until") if getattr(given, name) is not None}
    request_id, job = enqueue(redis, given.series, given.timeframe, span)
    print(f"request {request_id}", flush=True)
    record = follow(redis, request_id, job, given.timeout)
    redis.close()

    state = record.get("state", "waiting for a worker")
    counts = ", ".join(f"{name} {record.get(name, '0')}" for name in ("candles", "gap_slots", "pages"))
    print(f"{state}: {counts}")
    if "error" in record:
        print(json.loads(record["error"])["message"])
    return 0 if state == "done" else 1


if __name__ == "__main__":
    raise SystemExit(main())
