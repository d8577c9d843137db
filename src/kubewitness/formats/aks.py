"""AKS: an audit record as a row of the Log Analytics tables AKSAudit and AKSAuditAdmin (form "aks").

Source: learn.microsoft.com/azure/azure-monitor/reference/tables/aksaudit (columns). `az monitor log-analytics query`
and exports to storage write them; columns of type dynamic are objects, or JSON as text. A body that was too big is the
text "skipped-too-big-size-object". Records in diagnostic logs (`properties.log`) are native and need none of this.
"""

from __future__ import annotations

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import audit
from kubewitness.formats.audit import AuditEvent

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode

# column -> field of the native event
_PLAIN = {
    "AuditId": "auditID",
    "Stage": "stage",
    "Level": "level",
    "Verb": "verb",
    "RequestUri": "requestURI",
    "UserAgent": "userAgent",
    "RequestReceivedTime": "requestReceivedTimestamp",
    "StageReceivedTime": "stageTimestamp",
}
_DYNAMIC = {
    "User": "user",
    "ImpersonatedUser": "impersonatedUser",
    "SourceIps": "sourceIPs",
    "ObjectRef": "objectRef",
    "ResponseStatus": "responseStatus",
    "RequestObject": "requestObject",
    "ResponseObject": "responseObject",
    "Annotations": "annotations",
}
#: columns that a redaction may change
BODY_COLUMNS = ("RequestObject", "ResponseObject", "ResponseStatus")
_TOO_BIG = b'"skipped-too-big-size-object"'


def decode(raw: bytes) -> AuditEvent:
    """The audit event in one row. Raises `Malformed` when it is none."""
    return audit.decode(native(raw))


def native(raw: bytes) -> bytes:
    """The row as a native audit Event. Raises `Malformed` when it is not a JSON object."""
    try:
        row = _fields.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a row of AKSAudit: {e}") from e
    event = {field: row[column] for column, field in _PLAIN.items() if column in row}
    for column, field in _DYNAMIC.items():
        if column in row:
            value = dynamic(row[column])
            if value is not None:
                event[field] = value
    return _encode(event)


def dynamic(value: msgspec.Raw) -> msgspec.Raw | None:
    """A dynamic column's JSON, whether it was written as such or as text; None when nothing is there."""
    text = bytes(value)
    if text in (b'""', b"null", _TOO_BIG):
        return None
    if text[:1] == b'"':
        inner = _text.decode(value).strip()
        return msgspec.Raw(inner.encode()) if inner[:1] in ("{", "[") else value
    return value
