"""What `granted` is asked, and what it answers."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions.granted.rbac import Reason, Right
from kubewitness.questions.model import Certainty, Gap


class GrantedQuestion(msgspec.Struct):
    """`groups`: further groups of the user. `at`: microseconds UTC; None is now."""

    cluster: str
    user: str
    right: Right
    at: int | None = None
    groups: list[str] = msgspec.field(default_factory=list)


class AskedRight(msgspec.Struct):
    """The question as it was understood; `groups` are those that the user was taken to be in."""

    cluster: str
    user: str
    groups: list[str]
    verb: str
    api_group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    url: str
    at: str | None


class Made(msgspec.Struct):
    """The write that made a binding name the user, or a role hold the rule."""

    when: str
    user: str | None
    acting_as: str | None
    action: str
    object: str
    certainty: Certainty
    evidence: list[str]


class Grant(msgspec.Struct):
    """One binding that gave the right. A `made` that is null: it was there before the recording began."""

    binding: str
    role: str
    #: `User alice`, `Group devs`, `ServiceAccount shop/robot`
    subject: str
    certainty: Certainty
    sentence: str
    rule: Any = None
    binding_made: Made | None = None
    role_made: Made | None = None
    #: the role that an aggregated ClusterRole took the rule from
    aggregated_from: str | None = None
    #: the delete, for a grant that was over by then
    revoked: Made | None = None
    #: the user's last request that the API server said it allowed by this binding
    used: str | None = None
    evidence: list[str] = msgspec.field(default_factory=list)


class GrantedAnswer(msgspec.Struct):
    """`found` false: no recorded binding gave the right then; `former` are those that did before."""

    question: AskedRight
    found: bool
    summary: str
    certainty: Certainty
    grants: list[Grant] = msgspec.field(default_factory=list)
    former: list[Grant] = msgspec.field(default_factory=list)
    #: the user's last request for it that was refused, if it is later than any that was allowed
    refused: str | None = None
    missing: list[str] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)


class Word(msgspec.Struct):
    """The API server's word about one request of the user."""

    ts: int
    id: str
    reason: Reason | None
    allowed: bool
    text: str = ""
