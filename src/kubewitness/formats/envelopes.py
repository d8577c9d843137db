"""Audit records as managed clusters and log stores hand them out, mapped to one shape.

A wrapper that carries the API server's own JSON (CloudWatch, AKS, Loki, Elasticsearch, docker, journald) is taken
off by `formats.sniff`, and the record is the inner event's exact bytes (form ""). Only where the cloud has put the
event into another shape does the record keep that shape: `Chunk.form` then names it, and these functions read it.
"""

from __future__ import annotations

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import aks, audit, gke
from kubewitness.formats.audit import AuditEvent

#: forms of table `audit`
AUDIT_FORMS = ("", "gke", "aks")


class _Bodies(msgspec.Struct):
    requestObject: msgspec.Raw = msgspec.Raw()
    responseObject: msgspec.Raw = msgspec.Raw()


_bodies = msgspec.json.Decoder(_Bodies)


def decode_audit(form: str, raw: bytes) -> AuditEvent:
    """The audit event in one record of table `audit`. Raises `Malformed` when the bytes are not of that form."""
    if not form:
        return audit.decode(raw)
    if form == "gke":
        return gke.decode(raw)
    if form == "aks":
        return aks.decode(raw)
    raise Malformed(f"audit form {form!r} is unknown to this version; known: native, gke, aks")


def bodies(form: str, raw: bytes) -> tuple[bytes | None, bytes | None]:
    """(requestObject, responseObject) of one record of table `audit` as JSON text; None when absent.

    Raises `Malformed` when the bytes are not of that form.
    """
    if form == "gke":
        return gke.bodies(raw)
    if form == "aks":
        raw = aks.native(raw)
    try:
        found = _bodies.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not an audit Event: {e}") from e
    return _body(found.requestObject), _body(found.responseObject)


def _body(value: msgspec.Raw) -> bytes | None:
    text = bytes(value)
    return text if text and text != b"null" else None
