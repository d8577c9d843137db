"""GKE: an audit record as a Cloud Logging LogEntry with an AuditLog in `protoPayload` (form "gke").

Source: cloud.google.com/kubernetes-engine/docs/how-to/audit-logging, google.cloud.audit.AuditLog and
google.logging.v2.LogEntry (published protobuf definitions), google.rpc.Code.
What it does not carry, and the columns therefore lack: groups, the audit level, the URI (made again from
`resourceName`, so query parameters such as dryRun are unknown), the HTTP code (made from the RPC code).
"""

from __future__ import annotations

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.audit import AuditEvent, Body, ObjectRef, Status, User


class _Authentication(msgspec.Struct):
    principalEmail: str | None = ""
    principalSubject: str | None = ""


class _RequestMetadata(msgspec.Struct):
    callerIp: str | None = ""
    callerSuppliedUserAgent: str | None = ""


class _RpcStatus(msgspec.Struct):
    code: int | None = 0
    message: str | None = ""


class _Payload(msgspec.Struct):
    methodName: str
    resourceName: str | None = ""
    authenticationInfo: _Authentication | None = None
    requestMetadata: _RequestMetadata | None = None
    status: _RpcStatus | None = None
    request: Body | list[msgspec.Raw] | str | int | float | bool | None = None
    response: Body | list[msgspec.Raw] | str | int | float | bool | None = None


class _Operation(msgspec.Struct):
    id: str | None = ""
    first: bool | None = False
    last: bool | None = False


class LogEntry(msgspec.Struct):
    protoPayload: _Payload
    insertId: str | None = ""
    timestamp: str | None = ""
    receiveTimestamp: str | None = ""
    operation: _Operation | None = None
    labels: dict[str, str] | None = None


class _PayloadBodies(msgspec.Struct):
    request: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


class _EntryBodies(msgspec.Struct):
    protoPayload: _PayloadBodies


_decoder = msgspec.json.Decoder(LogEntry)
_bodies_decoder = msgspec.json.Decoder(_EntryBodies)

# google.rpc.Code -> the HTTP code that the API server answers with
_HTTP = {0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501}
_HTTP |= {13: 500, 14: 503, 15: 500, 16: 401}
_REASON = {
    404: "NotFound",
    403: "Forbidden",
    401: "Unauthorized",
    409: "Conflict",
    429: "TooManyRequests",
    400: "BadRequest",
}
_VERBS = frozenset(
    ("create", "update", "patch", "delete", "deletecollection", "get", "list", "watch", "connect", "proxy", "bind")
)


def decode(raw: bytes) -> AuditEvent:
    """The audit event in a LogEntry. Raises `Malformed` when it is no Kubernetes audit entry."""
    try:
        entry = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a GKE audit LogEntry: {e}") from e
    payload = entry.protoPayload
    verb = payload.methodName.rpartition(".")[2]
    if verb not in _VERBS:
        raise Malformed(f"not a Kubernetes request: methodName {payload.methodName[:80]!r}")
    operation = entry.operation or _Operation()
    audit_id = operation.id or entry.insertId or ""
    if not audit_id:
        raise Malformed("a GKE audit LogEntry without operation.id and insertId")
    who = payload.authenticationInfo or _Authentication()
    meta = payload.requestMetadata or _RequestMetadata()
    ref, uri = _object_ref(payload.resourceName or "")
    time = entry.timestamp or entry.receiveTimestamp or ""
    return AuditEvent(
        auditID=audit_id,
        # an entry that ends the operation holds the response; one that only begins it does not
        stage="RequestReceived" if operation.first and not operation.last else "ResponseComplete",
        level=_level(payload),
        verb=verb,
        requestURI=uri,
        user=User(username=who.principalEmail or who.principalSubject or ""),
        sourceIPs=[meta.callerIp] if meta.callerIp else None,
        userAgent=meta.callerSuppliedUserAgent or "",
        objectRef=ref,
        responseStatus=_status(payload, verb),
        requestObject=payload.request,
        responseObject=payload.response,
        requestReceivedTimestamp=time,
        stageTimestamp=time,
        annotations=entry.labels,
    )


def bodies(raw: bytes) -> tuple[bytes | None, bytes | None]:
    """(request body, response body) as JSON text, None when absent."""
    try:
        payload = _bodies_decoder.decode(raw).protoPayload
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a GKE audit LogEntry: {e}") from e
    return _body(payload.request), _body(payload.response)


def _body(value: msgspec.Raw) -> bytes | None:
    text = bytes(value)
    return text if text and text != b"null" else None


def _level(payload: _Payload) -> str:
    if payload.response is not None:
        return "RequestResponse"
    return "Request" if payload.request is not None else "Metadata"


def _status(payload: _Payload, verb: str) -> Status | None:
    status = payload.status
    if status is None:
        return None
    code = _HTTP.get(status.code or 0, 500)
    if code == 200 and verb == "create":
        code = 201
    return Status(code=code, reason=_REASON.get(code, "") if code >= 400 else "", message=status.message or "")


def _object_ref(name: str) -> tuple[ObjectRef | None, str]:
    """The object and URI of a resourceName such as `apps/v1/namespaces/shop/deployments/web/scale`."""
    parts = name.split("/")
    if len(parts) < 3 or not parts[1].startswith("v"):
        return None, "/" + name if name else ""
    group, version, *rest = parts
    uri = "/".join(("/api", version, *rest) if group == "core" else ("/apis", *parts))
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3:
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) == 2:
        namespace = rest[1]
    ref = ObjectRef(
        resource=rest[0],
        namespace=namespace,
        name=rest[1] if len(rest) > 1 else "",
        apiGroup="" if group == "core" else group,
        apiVersion=version,
        subresource="/".join(rest[2:]),
    )
    return ref, uri
