"""Facts: recorded rows as questions see them, and the columns they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.scope import Scope
from kubewitness.questions.model import Actor
from kubewitness.questions.operations import Course
from kubewitness.questions.targets import Ref, action_text

#: (raw_seg, raw_frame, raw_off, raw_len) of a row
RawPointer = tuple[int, int, int, int]

#: verbs that change something
WRITES = ("create", "update", "patch", "delete")
#: `level` of a request that only an admission webhook saw: that it was accepted is likely, not recorded
ADMISSION = "Admission"
OPERATIONS = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete"}

#: what the API server's `exec`, `attach` and `port-forward` answer when they worked
SWITCHING_PROTOCOLS = 101


class Session(Protocol):
    """The part of the store's session that questions use."""

    @property
    def scope(self) -> Scope | None:
        """What its user may read; None for everything."""
        ...

    def query(self, sql: str, params: Any = (), /) -> list[tuple[Any, ...]]: ...

    def raw(self, pointers: Sequence[RawPointer], /) -> list[bytes]: ...

    def summary(self, table: str, select: str, /, *, make: bool = True) -> str | None:
        """The name of a view with a kept aggregate of a table (`{source}` in the SELECT); None where there is none."""
        ...


class Request(msgspec.Struct, frozen=True):
    """One request to the API server: the last recorded stage of it."""

    ts: int
    received: int
    cluster: str
    audit_id: str
    stage: str
    level: str
    verb: str
    user: str
    user_kind: str
    groups: list[str]
    acting_as: str
    peer_ip: str
    claimed_ips: list[str]
    user_agent: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    resource_version: str
    uri: str
    dry_run: bool
    code: int
    reason: str
    message: str
    annotations: str
    form: str
    flags: str
    pointer: RawPointer
    course: Course | None = None

    @property
    def id(self) -> str:
        if self.level == ADMISSION:
            return f"admission:{self.cluster}/{self.audit_id}"
        return f"audit:{self.cluster}/{self.audit_id}/{self.stage}"

    @property
    def kind(self) -> str:
        return kind_of_resource(self.resource, self.group)

    @property
    def ref(self) -> Ref:
        namespace = "" if self.resource == "namespaces" else self.namespace
        return Ref(self.cluster, self.group, self.resource, namespace, self.name)

    @property
    def done(self) -> bool:
        """Whether the request had its effect: accepted, and not a dry run."""
        return (200 <= self.code < 300 or self.code == SWITCHING_PROTOCOLS) and not self.dry_run

    @property
    def began(self) -> bool:
        """Whether it had its effect, or began to: a session that ended badly."""
        return self.done or (self.course is not None and self.course.streams and not self.dry_run)

    @property
    def action(self) -> str:
        return action_text(self.verb, self.resource, self.subresource)

    @property
    def actor(self) -> Actor:
        return Actor(
            self.user or None,
            self.user_kind or "unknown",
            self.acting_as or None,
            self.groups,
            self.peer_ip or None,
            self.claimed_ips,
            self.user_agent or None,
        )

    @property
    def person(self) -> str:
        """Who it was, for sentences: the user, and whom they played."""
        name = self.user or "somebody whose name was not recorded"
        return f"{name} (acting as {self.acting_as})" if self.acting_as else name

    @property
    def played(self) -> str:
        """The user whose rights were used: the impersonated one, if any."""
        return self.acting_as or self.user


class EventFact(msgspec.Struct, frozen=True):
    """One version of a Kubernetes Event."""

    ts: int
    first: int
    cluster: str
    uid: str
    resource_version: str
    type: str
    reason: str
    message: str
    group: str
    resource: str
    kind: str
    namespace: str
    object_name: str
    object_uid: str
    related_kind: str
    related_namespace: str
    related_name: str
    component: str
    instance: str
    count: int
    field_path: str

    @property
    def id(self) -> str:
        return f"event:{self.cluster}/{self.uid}@{self.resource_version}"

    @property
    def ref(self) -> Ref:
        return Ref(self.cluster, self.group, self.resource, self.namespace, self.object_name, self.kind)


class VersionFact(msgspec.Struct, frozen=True):
    """One version of an object that a watch saw."""

    ts: int
    cluster: str
    change: str
    group: str
    resource: str
    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    resource_version: str
    generation: int
    deletion: int | None
    pointer: RawPointer

    @property
    def id(self) -> str:
        return f"object:{self.cluster}/{self.uid}@{self.resource_version}"

    @property
    def ref(self) -> Ref:
        return Ref(self.cluster, self.group, self.resource, self.namespace, self.name)


REQUEST_COLUMNS = (
    'epoch_us(ts), coalesce(epoch_us(received_ts), epoch_us(ts)), cluster, audit_id, stage, level, verb, "user", '
    "user_kind, groups, impersonated_user, peer_ip, claimed_ips, user_agent, api_group, resource, subresource, "
    "namespace, name, uid, owner_kind, owner_name, owner_uid, resource_version, uri, dry_run, code, reason, message, "
    "annotations, form, flags, raw_seg, raw_frame, raw_off, raw_len"
)
EVENT_COLUMNS = (
    "epoch_us(ts), coalesce(epoch_us(first_ts), epoch_us(ts)), cluster, uid, resource_version, type, reason, message, "
    "api_group, resource, kind, namespace, object_name, object_uid, related_kind, related_namespace, related_name, "
    "component, instance, count, field_path"
)
VERSION_COLUMNS = (
    "epoch_us(ts), cluster, change, api_group, resource, namespace, name, uid, owner_kind, owner_name, owner_uid, "
    "resource_version, generation, epoch_us(deletion_ts), raw_seg, raw_frame, raw_off, raw_len"
)


def request_of(row: Sequence[Any]) -> Request:
    """A request of a row of `REQUEST_COLUMNS`."""
    values: list[Any] = ["" if value is None else value for value in row[:32]]
    for i in (9, 12):  # groups, claimed_ips
        values[i] = list(row[i] or ())
    values[25] = bool(row[25])
    values[26] = int(row[26] or 0)
    return Request(*[*values, pointer_of(row[32:36])])


def pointer_of(values: Sequence[Any]) -> RawPointer:
    """Where the original bytes are."""
    seg, frame, offset, length = (int(x or 0) for x in values)
    return seg, frame, offset, length


def event_of(row: Sequence[Any]) -> EventFact:
    """An Event of a row of `EVENT_COLUMNS`."""
    values: list[Any] = ["" if value is None else value for value in row]
    values[19] = int(row[19] or 1)
    return EventFact(*values)


def version_of(row: Sequence[Any]) -> VersionFact:
    """A version of a row of `VERSION_COLUMNS`."""
    values: list[Any] = ["" if value is None else value for value in row[:12]]
    return VersionFact(*[*values, int(row[12] or 0), row[13], pointer_of(row[14:18])])
