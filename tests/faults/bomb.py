"""An answer of an exchange that is small on the wire and 256 MiB when it is unpacked."""

import gzip
from functools import cache
from typing import Final

_MIB: Final = 2**20
_UNPACKED_MIB: Final = 256


@cache
def bomb() -> bytes:
    """The whole HTTP answer, about 256 kB."""
    body = b"".join(gzip.compress(bytes(_MIB), 9) for _ in range(_UNPACKED_MIB))
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
