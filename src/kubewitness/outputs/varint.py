"""Varints of protobuf's wire format (protobuf.dev, "Encoding"), for messages that are built from bytes."""

from __future__ import annotations


def _made(n: int) -> bytes:
    made = bytearray()
    while n > 127:
        made.append(n & 127 | 128)
        n >>= 7
    made.append(n)
    return bytes(made)


#: those of one and of two bytes: lengths, for the most part
_SMALL = [_made(n) for n in range(1 << 14)]


def varint(n: int) -> bytes:
    """`n`: not negative."""
    return _SMALL[n] if n < 1 << 14 else _made(n)
