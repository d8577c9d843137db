"""What the questions answer: typed objects that the command line, the HTTP API and the UI share.

`WhoAnswer` is CONTRACT.md's "The answer of who": keys are only ever added. Times are RFC 3339 with six digits, UTC.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: every `mechanism` that an answer can name; docs/who.md explains each
MECHANISM_NAMES = (
    "direct",
    "collection",
    "drain",
    "eviction-api",
    "rollout",
    "scale-down",
    "autoscale",
    "taint",
    "node-lost",
    "node-deleted",
    "node-pressure",
    "preemption",
    "namespace-deleted",
    "owner-deleted",
    "job-deadline",
    "job-failed",
    "job-finished",
    "job-replaced",
    "history-limit",
    "terminated-gc",
    "finalizer-removed",
    "container-failed",
    "daemonset",
    "statefulset",
    "controller",
    "admission",
    "unknown",
)
Certainty = Literal["proved", "inferred", "unknown"]


class AskedObject(msgspec.Struct, omit_defaults=False):
    """The question as it was understood; `uid` is the one that was answered for."""

    verb: str
    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str | None = None
    at: str | None = None


class Actor(msgspec.Struct):
    """Who did the deed. `user` is who really logged in, `acting_as` whom they played."""

    user: str | None
    kind: str
    acting_as: str | None = None
    groups: list[str] = msgspec.field(default_factory=list)
    peer_ip: str | None = None
    claimed_ips: list[str] = msgspec.field(default_factory=list)
    user_agent: str | None = None


class Root(msgspec.Struct):
    """What set it off. `user` is null when nobody asked for it: then `object` names what failed."""

    user: str | None
    kind: str
    acting_as: str | None
    action: str
    object: str
    when: str


class Joined(msgspec.Struct):
    """A record of the same deed by another source, and how surely it is one."""

    id: str
    certainty: Certainty = "inferred"


class Link(msgspec.Struct):
    """One step of the chain, from the effect (first) to the root (last).

    `joined`: those of `evidence` that only an inference joins with the others; it makes the link no surer.
    """

    when: str
    actor: str | None
    action: str
    object: str
    sentence: str
    certainty: Certainty
    evidence: list[str]
    joined: list[Joined] = msgspec.field(default_factory=list)


class Gap(msgspec.Struct):
    """A time in which a source that the answer leans on was silent or did not exist yet."""

    source: str
    since: str
    until: str
    why: str


class FieldChange(msgspec.Struct):
    """One field that was changed, and by whom. A missing `old` or `new` is null: the field was not there.

    `path` are the parts of the field's path; items of lists are named by their key (`containers`, `web`, `image`).
    `manager` is the field manager of managedFields; where those are not recorded, what the request calls itself.
    `webhook`: the mutating admission webhook (`configuration/webhook`) whose patch set it.
    """

    path: list[str]
    field: str
    old: Any
    new: Any
    user: str | None
    acting_as: str | None
    manager: str | None
    webhook: str | None
    when: str
    certainty: Certainty
    evidence: list[str]


class WhoAnswer(msgspec.Struct):
    """The whole answer. `found` false: the records do not tell; `missing` says which would have."""

    question: AskedObject
    found: bool
    mechanism: str
    when: str | None
    actor: Actor | None
    root: Root | None
    certainty: Certainty
    summary: str
    chain: list[Link] = msgspec.field(default_factory=list)
    candidates: list[Root] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)
    #: of `changed` and `scaled`: the fields that the named request changed
    changes: list[FieldChange] = msgspec.field(default_factory=list)


class TimelineRow(msgspec.Struct):
    """One line of `timeline` and `search`: keys are CONTRACT.md's.

    A request is one line, whatever its stages: `id` is that of the last one recorded, `stages` names all of them. Of a
    session (watch, exec, log -f ...) `when` is its beginning and `until` its end, null while none is recorded.
    `duration_ms` is from the request's reception to its end. `joined`: admission reviews of the same deed.
    """

    when: str
    source: str
    actor: str | None
    action: str
    object: str
    outcome: str
    count: int
    summary: str
    id: str
    until: str | None = None
    duration_ms: float | None = None
    stages: list[str] = msgspec.field(default_factory=list)
    joined: list[Joined] = msgspec.field(default_factory=list)
