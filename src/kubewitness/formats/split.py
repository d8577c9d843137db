"""Bodies and documents that hold several records, taken apart into the items' exact bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from kubewitness.formats.jsonscan import Broken, DocumentScanner


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

# numbers stay text: nobody looks at them, and huge ones cost time
_stdlib = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)
#: more bytes than this around the items of a list are not what an EventList begins and ends with
_ENVELOPE_LIMIT = 512
# where an item may begin: an object that is not the value of a key
_BEGINS = re.compile(rb'(?<!:)(?<!: )\{(?=\s*")')
_HEAD = rb'(?:\{(?:\s*"\w+"\s*:\s*(?:"[^"\\]*"|\{\s*\}|null)\s*,)*\s*"items"\s*:\s*\[|\[)'
_ENVELOPE = re.compile(rb"[\s,]*(?:\]\s*\}?)?[\s,]*(?:" + _HEAD + rb")?\s*")
#: bytes looked at in search of good items of a broken body, as multiple of its length
_PATIENCE = 8
_SEPARATORS = b" \t\r\n,"


def split_audit(body: bytes) -> tuple[list[bytes], list[Bad]]:
    """The audit events in a webhook body: an EventList, one Event, a JSON array, or several of these after another.

    Each item is its exact bytes, not yet checked to be an audit event. A broken item is singled out and the others
    are kept; bytes that are no JSON at all come back as one `Bad`.
    """
    start = body.lstrip()[:1]
    try:
        if start == b"{":
            items = _copies(_list_decoder.decode(body).items)
            # of a key given twice the decoder takes the last; no API server does that, but nothing may vanish
            around = len(body) - sum(map(len, items)) - len(items)
            return (items, []) if around < _ENVELOPE_LIMIT or body.count(b'"items"') == 1 else _scan(body)
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
    end = 0
    for found in (*scanner.feed(body), *scanner.close()):
        if isinstance(found, Broken):
            return _rescue(body, found.reason)
        if not valid_json(found.raw) or b'"auditID"' in body[end : found.offset]:
            return _rescue(body, "not valid JSON")
        good.append(found.raw)
        end = found.offset + len(found.raw)
    return (good, []) if b'"auditID"' not in body[end:] else _rescue(body, "not valid JSON")


def _rescue(body: bytes, reason: str) -> tuple[list[bytes], list[Bad]]:
    """The audit events of a body whose brackets and quotes do not match, wherever they stand, and what is between.

    A quote too many turns the rest of a body inside out for whoever follows strings from its beginning. So each place
    where an item may begin is tried by itself.
    """
    good: list[bytes] = []
    bad: list[Bad] = []
    end = 0
    for start, stop in (*_events(body), (len(body), len(body))):
        between = body[end:start]
        if not _ENVELOPE.fullmatch(between):
            text = between.strip(_SEPARATORS)
            bad.append(Bad(text, end + between.find(text), len(text), reason))
        if stop > start:
            good.append(body[start:stop])
        end = stop
    if not good and not bad:  # brackets alone
        bad.append(Bad(body, 0, len(body), reason))
    return good, bad


def _events(body: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each object that has an auditID and is not within another object that can be read."""
    text = body.decode("latin-1")  # a character is a byte; whether they are UTF-8 is found out by who decodes the item
    patience = _PATIENCE * len(body)
    at = 0
    while patience > 0 and (found := _BEGINS.search(body, at)) is not None:
        start = found.start()
        at = start + 1
        try:
            value, stop = _stdlib.raw_decode(text, start)
        except json.JSONDecodeError as e:
            patience -= e.pos - start
            continue
        except RecursionError:
            patience -= 64 * 1024
            continue
        patience -= stop - start
        if "auditID" in value:
            yield start, stop
        if value.get("kind") != "EventList":
            at = stop
