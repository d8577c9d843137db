"""What is this? One JSON value to the records in it: their table, form and bytes.

Native records (audit Event, core Event, AdmissionReview, any Kubernetes object, a watch's line) and lists of them,
and what wraps them. Each wrapper by name and source of its shape:

- "cloudwatch": EKS control plane logs: subscription documents (`logEvents[].message`), `aws logs` output
  (`events[].message`), Logs Insights (`results[][]` of field/value, `@message`). AWS CloudWatch Logs API reference.
- "aks": Azure diagnostic settings (`properties.log`, also in `records[]`; Log Analytics `log_s`), rows of AKSAudit.
  Azure Monitor resource logs schema; see formats/aks.py.
- "gke": Cloud Logging LogEntry (`protoPayload`, `jsonPayload`, `textPayload`). See formats/gke.py.
- "loki": `logcli -o jsonl` (`line`), `query_range` answers (`data.result[].values`). Loki HTTP API.
- "elasticsearch": search answers (`hits.hits[]._source`) and dumps (`_source`), Filebeat and Elastic Agent fields.
- "docker", "journald", "wrapped": the event as text in `log`, `MESSAGE`, `message`, `_raw`, `body`, ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from kubewitness.errors import Malformed

#: wrappers within wrappers (docker in Loki in ...), at most
_DEPTH = 6

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)

_KIND = re.compile(rb'"kind"\s*:\s*"(\w+)"')
_VERSION = re.compile(rb'"apiVersion"\s*:\s*"([\w./-]+)"')
_CRI_WHOLE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ ]* (?:stdout|stderr) F ")
_AUDIT_GROUP = "audit.k8s.io/"
_NOT_RECORDS = frozenset(("ConversionReview", "Status", "Table", "SubjectAccessReview"))
_WATCH_TYPES = frozenset(("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"))
# fields that hold the record as text or as an object, and the name of the wrapper
_WRAPPED: tuple[tuple[str, str], ...] = (
    ("@message", "cloudwatch"),
    ("line", "loki"),
    ("_source", "elasticsearch"),
    ("log_s", "aks"),
    ("jsonPayload", "gke"),
    ("MESSAGE", "journald"),
    ("log", "docker"),
    ("message", "wrapped"),
    ("_raw", "wrapped"),
    ("body", "wrapped"),
    ("original", "wrapped"),
    ("event", "wrapped"),
    ("result", "wrapped"),
    ("kubernetes", "wrapped"),
    ("audit", "wrapped"),
    ("textPayload", "gke"),
)


class Found(NamedTuple):
    """One record. `how` names what it came in (for the summary); "" in `table` is something to leave out.

    An item of a list that cannot be understood comes as a record of table "rejects", beside its good neighbours.
    """

    table: str
    raw: bytes
    how: str
    form: str = ""
    #: what a watch said
    change: str = ""
    flags: tuple[str, ...] = ()
    #: of a reject
    reason: str = ""


def sniff(raw: bytes) -> list[Found]:
    """The records in one JSON value. Raises `Malformed` with the reason when it holds nothing that is known."""
    return list(_value(raw, 0))


def sniff_item(raw: bytes, path: tuple[str, ...], head: bytes) -> list[Found]:
    """The records in one element of a long list that `jsonscan` has opened up. Never fails: what cannot be
    understood comes as a record of table "rejects".

    `path`: the keys that led to the list. `head`: what stood before it, where a typed List names its kind.
    """
    try:
        if path == ("items",):
            kind, version = _KIND.search(head), _VERSION.search(head)
            return list(list_item(raw, _group(kind), _group(version)))
        if path in (("events",), ("logEvents",)):
            return list(_log_event(raw, 0))
        if path == ("results",):
            return list(insights_row(raw))
        if path == ("data", "result"):
            return list(loki_stream(raw))
        return sniff(raw)
    except (Malformed, msgspec.MsgspecError, UnicodeDecodeError) as e:
        return [Found("rejects", raw, "rejects", reason=str(e))]


def _group(match: re.Match[bytes] | None) -> str:
    return match[1].decode() if match is not None else ""


def _value(raw: bytes, depth: int) -> Iterator[Found]:
    if depth > _DEPTH:
        raise Malformed(f"wrapped more than {_DEPTH} times")
    if raw.lstrip()[:1] == b"[":
        yield from _each(raw, lambda item: _value(item, depth + 1))
        return
    if depth == 0 and raw[:1] != b"{" and (line := _text_line(raw)) is not None:
        yield line
        return
    try:
        fields = _fields.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a JSON object: {e}") from e
    native = _native(raw, fields, depth)
    if native is not None:
        yield from native
        return
    yield from _unwrap(raw, fields, depth)


def _native(raw: bytes, fields: dict[str, msgspec.Raw], depth: int) -> Iterator[Found] | None:
    """The records of what Kubernetes itself writes; None when it is something else."""
    kind, version = _str(fields, "kind"), _str(fields, "apiVersion")
    if "auditID" in fields:
        return iter((Found("audit", raw, "audit"),))
    if kind == "AdmissionReview" or ("request" in fields and _is_admission(fields["request"])):
        return iter((Found("admission", raw, "admission"),))
    if "items" in fields and (not kind or kind.endswith("List")):
        return _items(fields, kind, version, depth)
    if "object" in fields and _str(fields, "type") in _WATCH_TYPES:
        return _watch(_str(fields, "type"), bytes(fields["object"]))
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
        inner = _fields.decode(request)
    except msgspec.MsgspecError:
        return False
    return "uid" in inner and "operation" in inner and "userInfo" in inner


def _items(fields: dict[str, msgspec.Raw], kind: str, version: str, depth: int) -> Iterator[Found]:
    return _each(bytes(fields["items"]), lambda item: list_item(item, kind, version, depth))


def list_item(raw: bytes, kind: str, version: str, depth: int = 0) -> Iterator[Found]:
    """The records in one item of a List. Items of typed lists (PodList) have no kind: the list's own is put in."""
    item_kind = kind.removesuffix("List")
    try:
        fields = _fields.decode(raw)
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
    fields = _fields.decode(obj)
    kind, version = _str(fields, "kind"), _str(fields, "apiVersion")
    if change == "ERROR":
        raise Malformed(f"the watch ended with an error: {_str(fields, 'message') or _str(fields, 'reason')}")
    if not kind or not version:
        raise Malformed("a watch event whose object has no kind or apiVersion")
    found = _object(obj, kind, version)
    if found.table == "events" and change == "DELETED":
        change = "EXPIRED"  # the Event's time to live ended; nothing happened
    yield found._replace(how="watch", change=change)


def _unwrap(raw: bytes, fields: dict[str, msgspec.Raw], depth: int) -> Iterator[Found]:
    if "protoPayload" in fields:
        yield Found("audit", raw, "gke", form="gke")
        return
    if "AuditId" in fields and "Stage" in fields:
        yield Found("audit", raw, "aks", form="aks")
        return
    if _str(fields, "messageType") == "CONTROL_MESSAGE":
        yield Found("", raw, "cloudwatch")
        return
    for name, read in _LISTS.items():
        if name in fields and bytes(fields[name])[:1] in (b"[", b"{"):
            yield from read(fields[name], depth)
            return
    properties = fields.get("properties")
    if properties is not None and bytes(properties)[:1] == b"{":
        inner = _fields.decode(properties)
        if "log" in inner:
            yield from _wrapped(inner["log"], "aks", depth)
            return
    if "resourceMetrics" in fields or "resourceSpans" in fields:
        raise Malformed("OpenTelemetry metrics or traces; only logs are read")
    yield from _by_field(raw, fields, depth)


def _by_field(raw: bytes, fields: dict[str, msgspec.Raw], depth: int) -> Iterator[Found]:
    """Takes off the wrapper that has the record in one of its fields; else it is a log line, or unknown."""
    failure: Malformed | None = None
    text: list[Found] = []
    for name, how in _WRAPPED:
        if name not in fields or (name == "result" and "_raw" in fields):
            continue
        try:
            inner = list(_wrapped(fields[name], how, depth))
        except Malformed as e:
            failure = failure or e
            continue
        if any(found.table not in ("logs", "rejects") for found in inner):
            yield from inner
            return
        text = text or inner  # a plain line; another field may hold more
    if text and "log" not in fields:
        yield from text
        return
    log = _log_line(raw, fields)
    if log is not None:
        yield log
        return
    if failure is not None:
        raise failure
    raise Malformed(f"JSON that is no known record; its keys are {', '.join(list(fields)[:8]) or '(none)'}")


def _log_line(raw: bytes, fields: dict[str, msgspec.Raw]) -> Found | None:
    if "log" in fields and "time" in fields:
        return Found("logs", raw, "docker", form="docker")
    says = any(name in fields for name in ("msg", "message", "MESSAGE"))
    when = any(name in fields for name in ("ts", "time", "timestamp", "@timestamp", "level", "severity"))
    return Found("logs", raw, "json", form="json") if says and when else None


def _wrapped(value: msgspec.Raw, how: str, depth: int) -> Iterator[Found]:
    """The records in a field that holds JSON, or JSON as text, or a line of text."""
    inner = bytes(value)
    if inner[:1] == b'"':
        try:
            text = _text.decode(value).strip()
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise Malformed(f"text inside a wrapper ({how}) that cannot be read: {e}") from e
        inner = text.encode("utf-8", "replace")
        if inner[:1] not in (b"{", b"["):
            if not inner:
                raise Malformed(f"an empty text inside a wrapper ({how})")
            yield Found("logs", inner, how, form="klog" if _is_klog(inner) else "text")
            return
    elif inner[:1] not in (b"{", b"["):
        raise Malformed(f"a wrapper ({how}) that holds neither text nor an object")
    for found in _value(inner, depth + 1):
        native = found.how in ("audit", "events", "objects", "admission", "watch", "json")
        yield found._replace(how=how) if native else found


def _text_line(raw: bytes) -> Found | None:
    """A component's or container's log line among other records."""
    if _is_klog(raw):
        return Found("logs", raw, "klog", form="klog")
    return Found("logs", raw, "cri", form="cri") if _CRI_WHOLE.match(raw) else None


def _is_klog(text: bytes) -> bool:
    return len(text) > 25 and text[:1] in b"IWEF" and text[1:5].isdigit() and text[5:6] == b" " and text[8:9] == b":"


def _log_events(value: msgspec.Raw, depth: int) -> Iterator[Found]:
    return _each(bytes(value), lambda item: _log_event(item, depth))


def _log_event(item: bytes, depth: int) -> Iterator[Found]:
    fields = _fields.decode(item)
    return _wrapped(fields["message"], "cloudwatch", depth) if "message" in fields else _value(item, depth + 1)


def _records(value: msgspec.Raw, depth: int) -> Iterator[Found]:
    return _each(bytes(value), lambda item: _value(item, depth + 1))


def _insights(value: msgspec.Raw, depth: int) -> Iterator[Found]:
    return _each(bytes(value), lambda row: insights_row(row, depth))


def insights_row(row: bytes, depth: int = 0) -> Iterator[Found]:
    """One row of `aws logs get-query-results`: [{"field": "@message", "value": "..."}, ...]."""
    for cell in _decoded_list(row):
        fields = _fields.decode(cell)
        if _str(fields, "field") == "@message" and "value" in fields:
            yield from _wrapped(fields["value"], "cloudwatch", depth)


def _hits(value: msgspec.Raw, depth: int) -> Iterator[Found]:
    hits = _fields.decode(value).get("hits") if bytes(value)[:1] == b"{" else value
    if hits is None:
        raise Malformed("an Elasticsearch answer without hits.hits")
    return _records(hits, depth)


def _loki_data(value: msgspec.Raw, depth: int) -> Iterator[Found]:
    result = _fields.decode(value).get("result") if bytes(value)[:1] == b"{" else None
    if result is None:
        raise Malformed("a `data` object without a result; a Loki answer of streams was expected")
    return _each(bytes(result), lambda stream: loki_stream(stream, depth))


def loki_stream(stream: bytes, depth: int = 0) -> Iterator[Found]:
    """One stream of a Loki query_range answer: {"stream": labels, "values": [["ns", "line"], ...]}."""
    values = _fields.decode(stream).get("values")
    if values is None:
        raise Malformed("a Loki result without values")
    return _each(bytes(values), lambda entry: _loki_entry(entry, depth))


def _loki_entry(entry: bytes, depth: int) -> Iterator[Found]:
    pair = _list.decode(entry)
    if len(pair) < 2:
        raise Malformed("a Loki entry that is not [time, line]")
    return _wrapped(pair[1], "loki", depth)


_LISTS: dict[str, Callable[[msgspec.Raw, int], Iterator[Found]]] = {
    "logEvents": _log_events,
    "events": _log_events,
    "records": _records,
    "results": _insights,
    "hits": _hits,
    "data": _loki_data,
}


def _each(raw: bytes, read: Callable[[bytes], Iterator[Found]]) -> Iterator[Found]:
    """The records of every item of an array; one that cannot be understood does not cost the others."""
    for item in _decoded_list(raw):
        text = bytes(item)
        try:
            yield from list(read(text))
        except (Malformed, msgspec.MsgspecError, UnicodeDecodeError) as e:
            yield Found("rejects", text, "rejects", reason=str(e))


def _decoded_list(raw: bytes) -> list[msgspec.Raw]:
    try:
        return _list.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a JSON array: {e}") from e


def _str(fields: dict[str, msgspec.Raw], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    try:
        return _text.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
