"""Varints of protobuf's wire format (protobuf.dev, "Encoding"), for messages that are built from bytes."""

from __future__ import annotations

_SMALL = [bytes([n]) for n in range(128)]


def varint(n: int) -> bytes:
    """`n`: not negative."""
    if n < 128:
        return _SMALL[n]
    made = bytearray()
    while n > 127:
        made.append(n & 127 | 128)
        n >>= 7
    made.append(n)
    return bytes(made)
