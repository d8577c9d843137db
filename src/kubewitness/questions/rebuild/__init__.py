"""An object's versions, one after each write: from answers, from what a watch saw, and from patches of what was known.

A version whose body no record tells is unknown, and so is what comes after it, until the next whole body.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kubewitness.questions.bodies import changes, is_object, meta, replicas_of
from kubewitness.questions.facts import Bodies, Facts, Request, VersionFact
from kubewitness.questions.lives import Life
from kubewitness.questions.rebuild.patches import Unpatchable, patched

#: answer: the API server's own; watch: as a watch saw it; asked: what an update or create sent, without defaults;
#: rebuilt: a patch of the version before
How = Literal["answer", "watch", "asked", "rebuilt", "unknown"]

_SUBRESOURCES = ("", "scale", "status")


class Version(msgspec.Struct):
    """The object after one write."""

    when: int
    id: str
    how: How
    body: Any = None
    request: Request | None = None
    #: why the body may not be exactly the object; for an unknown one, why it is unknown
    doubt: str = ""

    @property
    def whole(self) -> bool:
        """Whether the API server itself gave this body."""
        return self.how in ("answer", "watch")


def versions_of(
    facts: Facts, life: Life, until: int, *, since: int | None = None, status: bool = False
) -> list[Version]:
    """Every version of one life of an object up to a time, oldest first; with `status`, those of its status too.
    `since`: only those from then on, when that one is known to be whole."""
    since = since or 0
    writes = [
        r
        for r in facts.requests(life.ref, ("create", "update", "patch", "delete"), status=status)
        if r.done and since <= r.ts <= until and life.covers(r.ts, r.uid) and r.subresource in _SUBRESOURCES
    ]
    seen = [v for v in facts.versions(life.ref) if since <= v.ts <= until and life.covers(v.ts, v.uid)]
    bodies = facts.all_bodies(writes)
    versions: list[Version] = []
    told: set[str] = set()
    current: Version | None = None
    items: list[tuple[Request | VersionFact, Bodies]] = [
        *zip(writes, bodies, strict=True),
        *((v, Bodies()) for v in seen),
    ]
    for item, body in sorted(items, key=lambda i: i[0].ts):
        if isinstance(item, VersionFact):
            if item.resource_version in told:
                continue
            seen_body = facts.version_body(item)
            told.add(item.resource_version)
            if current is not None and not current.whole and current.request is not None:
                _settle(current, seen_body)
                continue
            after = Version(item.ts, item.id, "watch", seen_body)
        else:
            after = _after(current, item, body)
        if after.how == "unknown" and isinstance(item, Request) and item.verb == "delete":
            continue  # a delete without its answer changes nothing but that it is going
        current = after
        told.add(str(meta(after.body, "resourceVersion")))
        versions.append(after)
    return versions


def _settle(version: Version, seen: Any) -> None:
    """The version that a watch saw after a write without an answer is what that write made; a watch may be late, so
    that it must at least hold what the write is known to have set."""
    if version.body is None:
        version.doubt = "that this write made what the watch saw next is known by their order only"
    elif any(path[:1] == ("spec",) and old is not None for path, old, _ in changes(version.body, seen)):
        version.doubt = "what the watch saw next is not what this write is known to have made"
    else:
        version.doubt = ""
    version.how, version.body = "watch", seen


def _after(before: Version | None, request: Request, bodies: Bodies) -> Version:
    version = Version(request.ts, request.id, "unknown", request=request)
    if request.subresource != "scale" and is_object(bodies.response) and meta(bodies.response, "name") == request.name:
        version.how, version.body = "answer", bodies.response
        return version
    if request.subresource == "" and request.verb in ("create", "update") and is_object(bodies.request):
        version.how, version.body = "asked", bodies.request
        version.doubt = "what the API server made of it (defaults, webhooks) is not recorded"
        return version
    if request.subresource == "status" and bodies.request is None and before is not None and before.body is not None:
        version.how, version.body = "rebuilt", before.body
        version.doubt = before.doubt or "its status was written without a body"
        return version
    if bodies.request is None and replicas_of(bodies.response) is None:
        cut = "it was too large to be recorded" if request.level == "RequestResponse" else f"level {request.level}"
        version.doubt = f"{request.action} by {request.person} without a body ({cut})"
        return version
    if before is None or before.body is None:
        version.doubt = f"{request.action} by {request.person} of an object that was not known before"
        return version
    return _patch(version, before, request, bodies)


def _patch(version: Version, before: Version, request: Request, bodies: Bodies) -> Version:
    asked = bodies.request
    if request.subresource == "status" and request.verb == "update":
        asked = {"status": (asked or {}).get("status")}
    replicas = replicas_of(bodies.response)
    if request.subresource == "scale":
        replicas = replicas if replicas is not None else replicas_of(asked)
        asked = {"spec": {"replicas": replicas}} if replicas is not None else asked
    try:
        result = patched(before.body, asked, group=request.group, uri=request.uri)
    except Unpatchable as e:
        version.doubt = f"{request.action} by {request.person} does not fit what was known before it: {e}"
        return version
    version.how, version.body = "rebuilt", result.body
    # What a scaling changed is certain; a patch may have met defaults and webhooks.
    scaled = request.subresource == "scale" and replicas is not None
    version.doubt = before.doubt if scaled else result.doubt or before.doubt
    return version
