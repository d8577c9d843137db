"""Asks the API server who shows a token, and what that user may do.

TokenReview (authentication.k8s.io/v1) and SubjectAccessReview (authorization.k8s.io/v1); both are rights of the
ClusterRole system:auth-delegator. Types: k8s.io/api authentication/v1 and authorization/v1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from kubewitness.kube.client import KubeClient
from kubewitness.kube.failures import KubeFailure

_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
#: reviews asked for at the same time
_AT_ONCE = 16
T = TypeVar("T")


class Subject(msgspec.Struct, frozen=True):
    """A user as the cluster knows it."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Ask(msgspec.Struct, frozen=True):
    """One right. `namespace` "" is the whole cluster; `path` is a non-resource URL instead of a resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    path: str = ""


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: Subject = Subject()


class _TokenAnswer(msgspec.Struct):
    status: _TokenStatus = msgspec.field(default_factory=_TokenStatus)


class _AccessStatus(msgspec.Struct):
    allowed: bool = False
    denied: bool = False


class _AccessAnswer(msgspec.Struct):
    status: _AccessStatus = msgspec.field(default_factory=_AccessStatus)


async def who_shows(client: KubeClient, token: str) -> Subject | None:
    """The user of a token; None when the cluster does not accept it. Raises `KubeFailure`."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = await client.create(_TOKENS, msgspec.json.encode(body), asked="review a token")
    status = _decoded(answer, _TokenAnswer, "review a token").status
    return status.user if status.authenticated and status.user.username else None


async def allowed(client: KubeClient, subject: Subject, asks: Iterable[Ask]) -> list[bool]:
    """Whether the user has each right, in the order asked. Raises `KubeFailure`."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(ask: Ask) -> bool:
        async with slots:
            return await _allowed(client, subject, ask)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ask)) for ask in asks]
    except* KubeFailure as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _allowed(client: KubeClient, subject: Subject, ask: Ask) -> bool:
    spec: dict[str, object] = {"user": subject.username, "uid": subject.uid, "groups": subject.groups}
    if subject.extra:
        spec["extra"] = subject.extra
    if ask.path:
        spec["nonResourceAttributes"] = {"path": ask.path, "verb": ask.verb}
    else:
        spec["resourceAttributes"] = {
            "verb": ask.verb,
            "group": ask.group,
            "resource": ask.resource,
            "subresource": ask.subresource,
            "namespace": ask.namespace,
        }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = await client.create(_ACCESS, msgspec.json.encode(body), asked="review a right")
    status = _decoded(answer, _AccessAnswer, "review a right").status
    return status.allowed and not status.denied


def _decoded(answer: bytes, kind: type[T], asked: str) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise KubeFailure(f"{asked}: the answer is no review ({e})") from None
