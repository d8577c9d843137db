"""What is this? One JSON value to the records in it: their table, form and bytes.

Native records (audit Event, core Event, AdmissionReview, any Kubernetes object, a watch's line) and lists of them,
and what wraps them (see `wrappers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import depth as nesting
from kubewitness.formats.found import Found, each, fields_of, is_klog, string
from kubewitness.formats.wrappers import insights_row, log_event, loki_stream, unwrap

__all__ = ["Found", "list_item", "sniff", "sniff_item"]

#: wrappers within wrappers (docker in Loki in ...), at most
_DEPTH = 6

_KIND = re.compile(rb'"kind"\s*:\s*"(\w+)"')
_VERSION = re.compile(rb'"apiVersion"\s*:\s*"([\w./-]+)"')
_CRI_WHOLE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ ]* (?:stdout|stderr) F ")
_AUDIT_GROUP = "audit.k8s.io/"
_NOT_RECORDS = frozenset(("ConversionReview", "Status", "Table", "SubjectAccessReview"))
_WATCH_TYPES = frozenset(("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"))


def sniff(raw: bytes) -> list[Found]:
    """The records in one JSON value. Raises `Malformed` with the reason when it holds nothing that is known.

    From a value that is nested too deeply the deepest part is cut (see formats/depth.py).
    """
    try:
        try:
            return list(_value(raw, 0))
        except RecursionError:
            return [_cut(found, raw) for found in _value(nesting.shallow(raw), 0)]
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        # a part that is only looked into, as a watch event's object
        raise Malformed(f"not readable JSON: {e}") from e


def _cut(found: Found, whole: bytes) -> Found:
    if nesting.PLACEHOLDER not in found.raw:
        return found  # a neighbour in the same document
    return found._replace(flags=(*found.flags, nesting.FLAG), whole=whole)


def sniff_item(raw: bytes, path: tuple[str, ...], head: bytes) -> list[Found]:
    """The records in one element of a long list that `jsonscan` has opened up. Never fails: what cannot be
    understood comes as a record of table "rejects".

    `path`: the keys that led to the list. `head`: what stood before it, where a typed List names its kind.
    """
    try:
        return _item(raw, path, head)
    except RecursionError:
        return [_cut(found, raw) for found in _item(nesting.shallow(raw), path, head)]


def _item(raw: bytes, path: tuple[str, ...], head: bytes) -> list[Found]:
    try:
        if path == ("items",):
            kind, version = _KIND.search(head), _VERSION.search(head)
            return list(list_item(raw, _group(kind), _group(version)))
        if path in (("events",), ("logEvents",)):
            return list(log_event(raw, 0, _value))
        if path == ("results",):
            return list(insights_row(raw, 0, _value))
        if path == ("data", "result"):
            return list(loki_stream(raw, 0, _value))
        return sniff(raw)
    except (Malformed, msgspec.MsgspecError, UnicodeDecodeError) as e:
        return [Found("rejects", raw, "rejects", reason=str(e))]


def _group(match: re.Match[bytes] | None) -> str:
    return match[1].decode() if match is not None else ""


def _value(raw: bytes, depth: int) -> Iterator[Found]:
    if depth > _DEPTH:
        raise Malformed(f"wrapped more than {_DEPTH} times")
    if raw.lstrip()[:1] == b"[":
        yield from each(raw, lambda item: _value(item, depth + 1))
        return
    if depth == 0 and raw[:1] != b"{" and (line := _text_line(raw)) is not None:
        yield line
        return
    try:
        fields = fields_of(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a JSON object: {e}") from e
    native = _native(raw, fields, depth)
    if native is not None:
        yield from native
        return
    yield from unwrap(raw, fields, depth, _value)


def _native(raw: bytes, fields: dict[str, msgspec.Raw], depth: int) -> Iterator[Found] | None:
    """The records of what Kubernetes itself writes; None when it is something else."""
    kind, version = string(fields, "kind"), string(fields, "apiVersion")
    if "auditID" in fields:
        return iter((Found("audit", raw, "audit"),))
    if kind == "AdmissionReview" or ("request" in fields and _is_admission(fields["request"])):
        return iter((Found("admission", raw, "admission"),))
    if "items" in fields and (not kind or kind.endswith("List")):
        return _items(fields, kind, version, depth)
    if "object" in fields and string(fields, "type") in _WATCH_TYPES:
        return _watch(string(fields, "type"), bytes(fields["object"]))
    if version.startswith(_AUDIT_GROUP):
        raise Malformed(f"a {kind or 'record'} of {version} without an auditID")
    if "metadata" in fields and ("involvedObject" in fields or "regarding" in fields):
        return iter((Found("events", raw, "events"),))
    if kind in _NOT_RECORDS:
        raise Malformed(f"a {kind} is no record of what happened to an object")
    if kind and version and "metadata" in fields:
        return iter((_object(raw, kind, version),))
    return None


def _object(raw: bytes, kind: str, version: str) -> Found:
    if kind == "Event" and (version == "v1" or version.startswith("events.k8s.io/")):
        return Found("events", raw, "events")
    return Found("objects", raw, "objects")


def _is_admission(request: msgspec.Raw) -> bool:
    try:
        inner = fields_of(request)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return "uid" in inner and "operation" in inner and "userInfo" in inner


def _items(fields: dict[str, msgspec.Raw], kind: str, version: str, depth: int) -> Iterator[Found]:
    return each(bytes(fields["items"]), lambda item: list_item(item, kind, version, depth))


def list_item(raw: bytes, kind: str, version: str, depth: int = 0) -> Iterator[Found]:
    """The records in one item of a List. Items of typed lists (PodList) have no kind: the list's own is put in."""
    item_kind = kind.removesuffix("List")
    try:
        fields = fields_of(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a JSON object: {e}") from e
    needs_kind = "kind" not in fields and "auditID" not in fields and "metadata" in fields
    if needs_kind and "involvedObject" not in fields and "regarding" not in fields:
        if not item_kind or not version:
            raise Malformed("an item without a kind, in a List that does not name one")
        head = msgspec.json.encode({"kind": item_kind, "apiVersion": version})
        named = head[:-1] + b"," + raw.lstrip()[1:]
        yield _object(named, item_kind, version)._replace(flags=("kind-from-list",))
        return
    yield from _value(raw, depth + 1)


def _watch(change: str, obj: bytes) -> Iterator[Found]:
    if change == "BOOKMARK":
        yield Found("", obj, "bookmark")
        return
    fields = fields_of(obj)
    kind, version = string(fields, "kind"), string(fields, "apiVersion")
    if change == "ERROR":
        raise Malformed(f"the watch ended with an error: {string(fields, 'message') or string(fields, 'reason')}")
    if not kind or not version:
        raise Malformed("a watch event whose object has no kind or apiVersion")
    found = _object(obj, kind, version)
    if found.table == "events" and change == "DELETED":
        change = "EXPIRED"  # the Event's time to live ended; nothing happened
    yield found._replace(how="watch", change=change)


def _text_line(raw: bytes) -> Found | None:
    """A component's or container's log line among other records."""
    if is_klog(raw):
        return Found("logs", raw, "klog", form="klog")
    return Found("logs", raw, "cri", form="cri") if _CRI_WHOLE.match(raw) else None
