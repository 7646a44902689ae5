"""From arbitrary bytes to answers of an exchange: as they are, spliced from words of JSON, or as rows of a page."""

from typing import Final

#: What stands in rows: honest values, and every way to poison one.
VALUES: Final = [
    b"1735689600000", b"1735689660000", b"1735689720000", b'"1735689600000"', b"1", b"2", b'"1.5"', b"0.5", b"3",
    b"0", b"-0.0", b"-1", b"NaN", b"Infinity", b"-Infinity", b"1e999", b'"1e999"', b'"nan"', b'"inf"', b"1e15",
    b"1.0000000000000001e15", b"123456789012345678901234567890", b'"0.1234567890123456789"', b"null", b"true", b'""',
    b'"text"', b"[]", b"{}", b"1735689600", b"1735689600000000", b"1735689600001", b"4102444800000", b"1e3",
    b'"\\ud800"', b'"\xff"', b'"\x00"', b"9" * 5_000, b"-9223372036854775809", b"18446744073709551616",
]  # fmt: skip
#: What bodies are spliced from.
WORDS: Final = [
    b"{", b"}", b"[", b"]", b",", b":", b'"code"', b'"msg"', b'"data"', b'"200000"', b"0", b"100410", b'"429000"',
    b'"serverTime"', b'"symbol"', b'"BTC-USDT"', b'"XBTUSDTM"', b'"asset"', b'"currency"', b'"baseCurrency"',
    b'"quoteCurrency"', b'"settleCurrency"', b'"BTC"', b'"USDT"', b'"multiplier"', b'"isInverse"', b"false",
    b'"lastPrice"', b'"price"', b'"unblocked after 1735689600000"', b"error code: 1015", b"<html>", b"\xef\xbb\xbf",
    b" " * 100, b"error" + b" " * 1_000, b"[" * 1_000, b'{"a":' * 1_000, b'"\\ud83d"', *VALUES,
]  # fmt: skip
_FIELDS: Final = [b'"time"', b'"open"', b'"high"', b'"low"', b'"close"', b'"volume"']


def body_of(data: bytes) -> bytes:
    """The body that the bytes stand for; the first one says in which way."""
    way, rest = (data[0] % 6, data[1:]) if data else (0, b"")
    match way:
        case 1:
            return _spliced(rest)
        case 2:
            return _answer(rest)
        case 3:
            return _answer(_spliced(rest))
        case 4:
            return _answer(_rows(rest, b"[", b"]", [b""] * 6))
        case 5:
            return _answer(_rows(rest, b"{", b"}", [name + b":" for name in _FIELDS]))
    return rest


def _answer(data: bytes) -> bytes:
    # Read by both dialects: of a key that comes twice the last one holds, and the others skip what they do not know.
    return b'{"code":"200000","data":' + data + b"}"


def _spliced(choices: bytes) -> bytes:
    return b"".join(WORDS[choice % len(WORDS)] for choice in choices[:2_000])


def _rows(choices: bytes, opening: bytes, closing: bytes, names: list[bytes]) -> bytes:
    rows = []
    for start in range(0, min(len(choices), 6_000), 6):
        values = (VALUES[choice % len(VALUES)] for choice in choices[start : start + 6])
        rows.append(opening + b",".join(map(b"".join, zip(names, values, strict=False))) + closing)
    return b"[" + b",".join(rows) + b"]"
