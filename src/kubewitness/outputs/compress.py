"""Bodies compressed, as key `compress` says."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard

from kubewitness.config.keys import Key

#: Fast levels: what is sent is JSON, of which the first few per cent cost most.
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 1


def gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip, "zstd": zstd}


def compress_key(*choices: str) -> Key:
    return Key("compress", doc="how bodies are compressed; empty: not", choices=choices)
