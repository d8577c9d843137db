"""Redaction of what must never be kept: values of Secrets, and the tokens of TokenReview and TokenRequest.

Keys stay (a reader sees that `password` was changed), values become "REDACTED". It works on bodies of audit
events, on objects of watches, on admission reviews and inside annotations that repeat the object (kubectl's
last-applied-configuration and its relatives), for whole objects, lists, tables, and every patch type. The
original bytes survive only as a keyed digest, so that two redacted records can be compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from kubewitness.formats import aks
from kubewitness.formats.audit import AuditEvent, Outline
from kubewitness.formats.names import record_key

REDACTED = "REDACTED"

#: kinds whose bodies hold secrets; a List may hold them
_KINDS = frozenset(("Secret", "SecretList", "TokenReview", "TokenRequest"))
_LISTS = frozenset(("List", "Table"))
_RESOURCES = frozenset(("secrets", "tokenreviews"))
#: stands for the kind of a body that has none because it is no object
_NO_OUTLINE = "[]"
_SUSPECT = _KINDS | _LISTS | {_NO_OUTLINE}
_SECRET_FIELDS = ("data", "stringData")
_TOKEN_KINDS = ("TokenReview", "TokenRequest")
# json-iterator quotes the input around a decoding error, values included
_QUOTED_INPUT = re.compile(r"(, error found in #|error found in #|bigger context |illegal base64 data).*", re.DOTALL)
#: of an audit Event (audit.k8s.io/v1, and v1beta1's), but for its bodies
_EVENT_FIELDS = frozenset(
    (
        "kind",
        "apiVersion",
        "metadata",
        "level",
        "auditID",
        "stage",
        "requestURI",
        "verb",
        "user",
        "impersonatedUser",
        "authenticationMetadata",
        "sourceIPs",
        "userAgent",
        "objectRef",
        "requestReceivedTimestamp",
        "stageTimestamp",
        "timestamp",
        "annotations",
    )
)
_BODIES = ("requestObject", "responseObject", "responseStatus")
_COMPRESSED_COPIES = ("objectset.rio.cattle.io/applied",)

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


def is_sensitive(event: AuditEvent | Outline) -> bool:
    """Whether the record may hold something to redact. Costs well under a microsecond for all others."""
    request, response = event.requestObject, event.responseObject
    if request is None and response is None:
        status = event.responseStatus
        if status is None or not status.message:
            return False
    ref = event.objectRef
    if ref is not None and (ref.resource in _RESOURCES or ref.subresource == "token"):
        return True
    return (request is not None and _may_hold(request)) or (response is not None and _may_hold(response))


def _may_hold(body: object) -> bool:
    """A body without an outline (an array, a scalar) may hold anything."""
    kind = getattr(body, "kind", _NO_OUTLINE)
    return kind in _SUSPECT


def redact_audit(event: AuditEvent, raw: bytes, key: bytes) -> tuple[bytes, str] | None:
    """(record with the values replaced, keyed digest of the original), or None when nothing was there to redact.

    `key`: the state's redaction key (at most 64 bytes).
    """
    if not is_sensitive(event):
        return None
    return _in_fields(raw, _BODIES, _mode(event), key, known=_EVENT_FIELDS)


def redact_gke(event: AuditEvent, raw: bytes, key: bytes) -> tuple[bytes, str] | None:
    """The same for a LogEntry whose bodies are in `protoPayload`."""
    if not is_sensitive(event) and b"Secret" not in raw and b"Token" not in raw:
        return None
    entry = _fields.decode(raw)
    payload = bytes(entry.get("protoPayload", b""))
    changed = _in_fields(payload, ("request", "response", "status"), _mode(event), key)
    if changed is None:
        return None
    entry["protoPayload"] = msgspec.Raw(changed[0])
    return _encode(entry), digest(raw, key)


def redact_aks(event: AuditEvent, raw: bytes, key: bytes) -> tuple[bytes, str] | None:
    """The same for a row of AKSAudit, whose bodies may be JSON as text."""
    if not is_sensitive(event):
        return None
    row = _fields.decode(raw)
    for column in aks.BODY_COLUMNS:
        if column in row and (value := aks.dynamic(row[column])) is not None:
            row[column] = value
    changed = _in_fields(_encode(row), aks.BODY_COLUMNS, _mode(event), key)
    return None if changed is None else (changed[0], digest(raw, key))


def redact_admission(raw: bytes, resource: str, subresource: str, key: bytes) -> tuple[bytes, str] | None:
    """The same for an AdmissionReview: `object` and `oldObject` of its request."""
    if b"Secret" not in raw and b"Token" not in raw:
        return None
    mode = "token" if subresource == "token" or resource == "tokenreviews" else ""
    if resource == "secrets":
        mode = "secret"
    review = _fields.decode(raw)
    changed = _in_fields(bytes(review.get("request", b"")), ("object", "oldObject", "options"), mode, key)
    if changed is None:
        return None
    review["request"] = msgspec.Raw(changed[0])
    return _encode(review), digest(raw, key)


def redact_object(raw: bytes, kind: str, key: bytes) -> tuple[bytes, str] | None:
    """The same for an object as a list or watch gives it."""
    if kind not in _KINDS and not (kind in _LISTS and b"Secret" in raw):
        return None
    value = _any.decode(raw)
    clean = _walk(value, "")
    return (_encode(clean), digest(raw, key)) if clean != value else None


# From here on a text may hold what is secret: bodies, encoded data, tokens, also in an escaped string.
_SECRET_WORDS = re.compile(rb"[Ss]ecret|[Tt]oken")
_BODY_BEGINS = re.compile(
    rb"requestObject|responseObject|stringData|last-applied|oldObject"
    rb"|\b(?:object|data|token|request|response|spec)\\*\"?\s*:"
)
# A piece that begins otherwise may be the middle of a body, whose beginning is in another piece.
_RECORD_BEGINS = re.compile(rb'\s*\{\s*"(?:kind|apiVersion|level|metadata|auditID|stage|type)"')


def mentions_secrets(raw: bytes) -> bool:
    """Whether bytes that nobody understands speak of secrets or tokens."""
    return _SECRET_WORDS.search(raw) is not None


def cut_reject(raw: bytes, key: bytes, limit: int, *, wary: bool = False) -> tuple[bytes, str] | None:
    """What may be kept of bytes that nobody understands: at most `limit` of them, and only up to where a body begins
    when they mention secrets or tokens, or when `wary`: they are a piece of bytes that do; of a piece that does not
    begin as a record does, nothing. (kept, keyed digest of all), or None when all may be kept."""
    end = min(len(raw), limit) if not wary or _RECORD_BEGINS.match(raw) else 0
    if wary or mentions_secrets(raw):
        found = _BODY_BEGINS.search(raw)
        if found is not None:
            end = min(end, found.start())
    if end == len(raw):
        return None
    return raw[:end], digest(raw, key)


def digest(raw: bytes, key: bytes) -> str:
    """Keyed digest (128 bits, hex) of bytes that are not kept."""
    return hashlib.blake2b(raw, digest_size=16, key=key[:64], person=b"kw.redact").hexdigest()


def reject_key(cluster: str, *place: str) -> bytes:
    """The record key of a reject: where it was, what it was (keyed digest), and why."""
    return record_key("reject", cluster, *place)


def _mode(event: AuditEvent) -> str:
    """What all of an audit event's bodies are, by the resource it is about."""
    ref = event.objectRef
    if ref is None:
        return ""
    if ref.subresource == "token" or ref.resource == "tokenreviews":
        return "token"
    return "secret" if ref.resource == "secrets" else ""


def _in_fields(
    raw: bytes, names: tuple[str, ...], mode: str, key: bytes, *, known: frozenset[str] = frozenset()
) -> tuple[bytes, str] | None:
    """Redacts the named fields of one JSON object and leaves the bytes of all others alone.

    `known`: if given, whatever else the object has beside them may be a body that slipped out of its place.
    """
    fields = _fields.decode(raw)
    repeats = _has_repeats(raw)
    changed = repeats
    for name in fields.keys() - known - set(names) if known else ():
        fields[name] = msgspec.Raw(_encode(REDACTED))
        changed = True
    for name in names:
        if name not in fields:
            continue
        value = _any.decode(fields[name])
        if value is None:
            continue
        if name in ("responseStatus", "status", "ResponseStatus"):
            clean = _clean_status(value) if mode else value
        else:
            clean = _body(value, mode)
        if clean != value or repeats:
            fields[name] = msgspec.Raw(_encode(clean))
            changed = True
    return (_encode(fields), digest(raw, key)) if changed else None


class _Repeat(Exception):
    pass


def _no_repeat(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _Repeat


_pairs = json.JSONDecoder(object_pairs_hook=_no_repeat, parse_int=str, parse_float=str, strict=False)


def _has_repeats(raw: bytes) -> bool:
    """Whether an object in it has a key twice: a client's patch may, and what is read is only the last one."""
    try:
        _pairs.decode(raw.decode())
    except _Repeat:
        return True
    return False


def _body(value: Any, mode: str) -> Any:
    if isinstance(value, list):
        return [_patch_operation(item, mode) for item in value]
    if isinstance(value, dict):
        return _walk(value, mode)
    # a body that is not JSON (a scalar) of a sensitive resource says nothing that must be kept
    return REDACTED if mode else value


def _walk(value: Any, mode: str) -> Any:
    """A copy of a body in which everything secret is replaced. `mode`: what the surroundings are."""
    if isinstance(value, list):
        return [_walk(item, mode) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind in ("Secret", "SecretList"):
        mode = "secret"
    elif kind in _TOKEN_KINDS:
        mode = "token"
    elif kind == "Status":
        value = _clean_status(value) if mode else value
    elif "@type" in value and isinstance(value["@type"], str):  # GKE names the kind there
        mode = _mode_of_type(value["@type"]) or mode
    if not mode and kind not in _LISTS and "items" not in value:
        return value
    clean: dict[str, Any] = {}
    for name, item in value.items():
        if (mode == "secret" and name in _SECRET_FIELDS) or (mode == "token" and name == "token"):
            clean[name] = _values(item)
        elif name == "annotations" and isinstance(item, dict):
            clean[name] = {k: _annotation(k, v, mode) for k, v in item.items()}
        else:
            clean[name] = _walk(item, mode)
    return clean


def _mode_of_type(name: str) -> str:
    last = name.rpartition(".")[2]
    if last in ("Secret", "SecretList"):
        return "secret"
    return "token" if last in _TOKEN_KINDS else ""


def _values(value: Any) -> Any:
    """Every value replaced; null stays (it says that the key is removed), so do patch directives."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: v if k.startswith("$") or v is None else REDACTED for k, v in value.items()}
    return REDACTED


def _annotation(name: str, value: Any, mode: str) -> Any:
    """Annotations may repeat the whole object, as JSON text or compressed."""
    if not mode or not isinstance(value, str):
        return value
    if name in _COMPRESSED_COPIES:
        return REDACTED
    text = value.lstrip()
    if text[:1] not in ("{", "["):
        return REDACTED if "last-applied" in name else value
    try:
        inner = _any.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return REDACTED
    clean = _body(inner, mode)
    return value if clean == inner else _encode(clean).decode()


def _patch_operation(operation: Any, mode: str) -> Any:
    """One operation of a JSON patch (RFC 6902)."""
    if not mode or not isinstance(operation, dict) or "value" not in operation:
        return _walk(operation, mode)
    path = operation.get("path")
    value = operation["value"]
    parts = path.strip("/").split("/") if isinstance(path, str) else []
    clean: Any
    if not parts or parts == [""]:
        clean = _walk(value, mode)
    elif mode == "secret" and parts[0] in _SECRET_FIELDS:
        clean = _values(value) if len(parts) == 1 else None if value is None else REDACTED
    elif mode == "token" and parts[-1] == "token":
        clean = REDACTED
    elif parts[:2] == ["metadata", "annotations"] and len(parts) == 3:
        clean = _annotation(parts[2].replace("~1", "/"), value, mode)
    else:
        # the value of /metadata or of /metadata/annotations; put back where it belongs so that it is understood
        wrap: Callable[[Any], Any] = (lambda v: {"annotations": v}) if parts[-1] == "annotations" else (lambda v: v)
        walked = _walk(wrap(value), mode)
        clean = walked["annotations"] if parts[-1] == "annotations" else walked
    return {**operation, "value": clean}


def _clean_status(status: Any) -> Any:
    """A Status whose message does not quote the request."""
    if not isinstance(status, dict) or not isinstance(status.get("message"), str):
        return status
    message = _QUOTED_INPUT.sub(lambda m: m.group(1) + " ... " + REDACTED, status["message"])
    return status if message == status["message"] else {**status, "message": message}
