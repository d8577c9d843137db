"""What can go wrong between us and an API server, named by what to do next.

Source: metav1.Status (k8s.io/apimachinery/pkg/apis/meta/v1/types.go), as body of an HTTP error or inside a watch.
"""

from __future__ import annotations

import msgspec

from kubewitness.errors import KubewitnessError, Retry
from kubewitness.kube.secrets import Secrets


class KubeFailure(Retry):
    """The request failed; the same may work later, at least `after` seconds from now if the server said so."""


class Unauthorized(KubeFailure):
    """401: the credentials are read again, then tried again."""


class Forbidden(KubeFailure):
    """403: someone must grant `right` ("list events"). It is tried again, because rights are granted meanwhile."""

    def __init__(self, right: str, why: str, after: float | None = None) -> None:
        super().__init__(f"not allowed to {right}: {why}; grant it with RBAC", after)
        self.right = right


class Unsupported(KubeFailure):
    """404, 405, 501: this server, or a proxy before it, does not do such requests (now)."""


class Conflict(KubeFailure):
    """409: somebody else has written it since we read it (or made it before us). Read it again."""


class Expired(KubewitnessError):
    """410: the resourceVersion or continue token is too old (or from another cluster). List again."""


class _Details(msgspec.Struct):
    retryAfterSeconds: float | None = None


class Status(msgspec.Struct):
    """The part of a metav1.Status that tells failures apart."""

    code: int | None = 0
    reason: str | None = ""
    message: str | None = ""
    details: _Details | None = None


_decoder = msgspec.json.Decoder(Status)
_MESSAGE_LIMIT = 300


def status_of(body: bytes) -> Status:
    """The Status in an error's body; whatever else a proxy put there becomes its message."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Status(message=body.decode("utf-8", "replace"))


def one_line(text: str, secrets: Secrets) -> str:
    """What somebody else said, as part of a message: without credentials, and then cut (half a token is one, too)."""
    return " ".join(secrets.mask(text).split())[:_MESSAGE_LIMIT]


def failure_of(
    code: int, status: Status, asked: str, secrets: Secrets, retry_after: str | None = None
) -> KubeFailure | Expired:
    """What an answer other than success means. `asked`: the request in words ("list events")."""
    message = one_line(status.message or status.reason or "", secrets)
    after = status.details.retryAfterSeconds if status.details is not None else None
    if retry_after is not None and retry_after.strip().isdigit():
        after = max(after or 0.0, float(retry_after))
    text = f"{asked}: the API server answered {code}" + (f" ({message})" if message else "")
    if code == 410:
        return Expired(text)
    if code == 401:
        return Unauthorized(f"{asked}: the API server does not accept our credentials (401)", after)
    if code == 403:
        return Forbidden(asked, message or "no reason given", after)
    if code == 409:
        return Conflict(text, after)
    if code in (404, 405, 501):
        return Unsupported(text, after)
    return KubeFailure(text, after)
