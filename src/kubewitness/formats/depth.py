"""JSON that is nested too deeply to be decoded, made shallow.

The API server takes objects of custom kinds nested up to 10,000 deep (sigs.k8s.io/json); decoders and everything that
walks a body give up near 1,000. A client must not be able to hide a request, or to stop its recording, with such a
body: what lies deeper than `LIMIT` is replaced, the rest of the record is kept and flagged.
"""

from __future__ import annotations

import re

#: levels of objects and arrays that are kept
LIMIT = 200
#: the flag of a record that was cut
FLAG = "depth-cut"

#: what stands for it
PLACEHOLDER = b'"(nested too deeply to be kept)"'
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)


def shallow(raw: bytes, limit: int = LIMIT) -> bytes:
    """The JSON text with every object and array below `limit` levels replaced by a string; linear in its length.

    Text whose brackets do not match is returned up to where that is seen, so that decoding it fails as it should.
    """
    parts: list[bytes] = []
    depth = kept = 0
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"{[":
            depth += 1
            if depth == limit + 1:
                parts += (raw[kept : token.start()], PLACEHOLDER)
                kept = len(raw)
        elif first in b"}]":
            depth -= 1
            if depth == limit:
                kept = token.end()
    parts.append(raw[kept:])
    return b"".join(parts)


def manageable(raw: bytes) -> bytes:
    """The JSON text itself, or its shallow copy if it may be too deep for recursive readers."""
    return raw if raw.count(b"{") + raw.count(b"[") <= LIMIT else shallow(raw)
