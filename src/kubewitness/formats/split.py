"""Bodies and documents that hold several records, taken apart into the items' exact bytes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kubewitness.formats.jsonscan import DocumentScanner, Value


class Bad(NamedTuple):
    """A part of a body that is no JSON value. `raw` may be capped, `length` is what it had."""

    raw: bytes
    offset: int
    length: int
    reason: str


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


class _Single(msgspec.Struct):
    auditID: str


_list_decoder = msgspec.json.Decoder(_List)
_array_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_single_decoder = msgspec.json.Decoder(_Single)
_value_decoder = msgspec.json.Decoder(msgspec.Raw)


def split_audit(body: bytes) -> tuple[list[bytes], list[Bad]]:
    """The audit events in a webhook body: an EventList, one Event, a JSON array, or several of these after another.

    Each item is its exact bytes, not yet checked to be an audit event. A broken item is singled out and the others
    are kept; bytes that are no JSON at all come back as one `Bad`.
    """
    start = body.lstrip()[:1]
    try:
        if start == b"{":
            return _copies(_list_decoder.decode(body).items), []
        if start == b"[":
            return _copies(_array_decoder.decode(body)), []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        _single_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _scan(body)
    return [body.strip()], []


def valid_json(raw: bytes) -> bool:
    """Whether these bytes are one JSON value. One that is nested too deeply to be decoded is taken for one."""
    try:
        _value_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    except RecursionError:
        return True
    return True


def _copies(items: list[msgspec.Raw]) -> list[bytes]:
    return [bytes(item) for item in items]


def _scan(body: bytes) -> tuple[list[bytes], list[Bad]]:
    scanner = DocumentScanner()
    good: list[bytes] = []
    bad: list[Bad] = []
    for found in (*scanner.feed(body), *scanner.close()):
        if isinstance(found, Value):
            if valid_json(found.raw):
                good.append(found.raw)
            else:
                bad.append(Bad(found.raw, found.offset, len(found.raw), "not valid JSON"))
        else:
            bad.append(Bad(found.raw, found.offset, found.length, found.reason))
    return good, bad
