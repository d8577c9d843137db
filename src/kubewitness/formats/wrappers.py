"""The wrappers that managed clusters and log stores put around records. Each by name and source of its shape:

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

from collections.abc import Callable, Iterator

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.found import Found, each, elements, elements_of, fields_of, is_klog, string, text_of

#: reads the JSON value inside a wrapper, which lies at the given depth of wrapping
Read = Callable[[bytes, int], Iterator[Found]]

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


def unwrap(raw: bytes, fields: dict[str, msgspec.Raw], depth: int, read: Read) -> Iterator[Found]:
    """The records in a JSON object that is none itself. Raises `Malformed` when it is no known wrapper either."""
    if "protoPayload" in fields:
        yield Found("audit", raw, "gke", form="gke")
        return
    if "AuditId" in fields and "Stage" in fields:
        yield Found("audit", raw, "aks", form="aks")
        return
    if string(fields, "messageType") == "CONTROL_MESSAGE":
        yield Found("", raw, "cloudwatch")
        return
    for name, take in _LISTS.items():
        if name in fields and bytes(fields[name])[:1] in (b"[", b"{"):
            yield from take(fields[name], depth, read)
            return
    properties = fields.get("properties")
    if properties is not None and bytes(properties)[:1] == b"{":
        inner = fields_of(properties)
        if "log" in inner:
            yield from _wrapped(inner["log"], "aks", depth, read)
            return
    if "resourceMetrics" in fields or "resourceSpans" in fields:
        raise Malformed("OpenTelemetry metrics or traces; only logs are read")
    yield from _by_field(raw, fields, depth, read)


def _by_field(raw: bytes, fields: dict[str, msgspec.Raw], depth: int, read: Read) -> Iterator[Found]:
    """Takes off the wrapper that has the record in one of its fields; else it is a log line, or unknown."""
    failure: Malformed | None = None
    text: list[Found] = []
    for name, how in _WRAPPED:
        if name not in fields or (name == "result" and "_raw" in fields):
            continue
        try:
            inner = list(_wrapped(fields[name], how, depth, read))
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


def _wrapped(value: msgspec.Raw, how: str, depth: int, read: Read) -> Iterator[Found]:
    """The records in a field that holds JSON, or JSON as text, or a line of text."""
    inner = bytes(value)
    if inner[:1] == b'"':
        try:
            text = text_of(value).strip()
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise Malformed(f"text inside a wrapper ({how}) that cannot be read: {e}") from e
        inner = text.encode("utf-8", "replace")
        if inner[:1] not in (b"{", b"["):
            if not inner:
                raise Malformed(f"an empty text inside a wrapper ({how})")
            yield Found("logs", inner, how, form="klog" if is_klog(inner) else "text")
            return
    elif inner[:1] not in (b"{", b"["):
        raise Malformed(f"a wrapper ({how}) that holds neither text nor an object")
    for found in read(inner, depth + 1):
        native = found.how in ("audit", "events", "objects", "admission", "watch", "json")
        yield found._replace(how=how) if native else found


def _log_events(value: msgspec.Raw, depth: int, read: Read) -> Iterator[Found]:
    return each(bytes(value), lambda item: log_event(item, depth, read))


def log_event(item: bytes, depth: int, read: Read) -> Iterator[Found]:
    """One element of `logEvents` or `events`."""
    fields = fields_of(item)
    return _wrapped(fields["message"], "cloudwatch", depth, read) if "message" in fields else read(item, depth + 1)


def _records(value: msgspec.Raw, depth: int, read: Read) -> Iterator[Found]:
    return each(bytes(value), lambda item: read(item, depth + 1))


def _insights(value: msgspec.Raw, depth: int, read: Read) -> Iterator[Found]:
    return each(bytes(value), lambda row: insights_row(row, depth, read))


def insights_row(row: bytes, depth: int, read: Read) -> Iterator[Found]:
    """One row of `aws logs get-query-results`: [{"field": "@message", "value": "..."}, ...]."""
    for cell in elements(row):
        fields = fields_of(cell)
        if string(fields, "field") == "@message" and "value" in fields:
            yield from _wrapped(fields["value"], "cloudwatch", depth, read)


def _hits(value: msgspec.Raw, depth: int, read: Read) -> Iterator[Found]:
    hits = fields_of(value).get("hits") if bytes(value)[:1] == b"{" else value
    if hits is None:
        raise Malformed("an Elasticsearch answer without hits.hits")
    return _records(hits, depth, read)


def _loki_data(value: msgspec.Raw, depth: int, read: Read) -> Iterator[Found]:
    result = fields_of(value).get("result") if bytes(value)[:1] == b"{" else None
    if result is None:
        raise Malformed("a `data` object without a result; a Loki answer of streams was expected")
    return each(bytes(result), lambda stream: loki_stream(stream, depth, read))


def loki_stream(stream: bytes, depth: int, read: Read) -> Iterator[Found]:
    """One stream of a Loki query_range answer: {"stream": labels, "values": [["ns", "line"], ...]}."""
    values = fields_of(stream).get("values")
    if values is None:
        raise Malformed("a Loki result without values")
    return each(bytes(values), lambda entry: _loki_entry(entry, depth, read))


def _loki_entry(entry: bytes, depth: int, read: Read) -> Iterator[Found]:
    pair = elements_of(entry)
    if len(pair) < 2:
        raise Malformed("a Loki entry that is not [time, line]")
    return _wrapped(pair[1], "loki", depth, read)


_LISTS: dict[str, Callable[[msgspec.Raw, int, Read], Iterator[Found]]] = {
    "logEvents": _log_events,
    "events": _log_events,
    "records": _records,
    "results": _insights,
    "hits": _hits,
    "data": _loki_data,
}
