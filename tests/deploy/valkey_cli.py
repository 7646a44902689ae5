"""Stands in for valkey-cli: ``valkey_cli.py PORT ping``, with the password that REDISCLI_AUTH holds."""

import os
import sys

from redis import Redis, RedisError

try:
    with Redis(port=int(sys.argv[1]), password=os.environ.get("REDISCLI_AUTH")) as client:  # noqa: TID251
        answer = "PONG" if client.ping() else ""
except RedisError as error:
    answer = f"(error) {error}"
sys.stdout.write(f"{answer}\n")
