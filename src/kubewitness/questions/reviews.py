"""What an admission webhook saw, and which request of the audit trail it was.

An AdmissionReview's uid has nothing to do with the auditID, so the two records of one deed are joined by user, verb,
object, resourceVersion and time. That is an inference: it is named as one, it makes no answer surer, and a review that
fits two requests as well is joined to neither. One request may have several reviews: the API server asks again when a
write lost a race for the object, or when a delete ends at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from kubewitness.formats.names import kind_of_resource
from kubewitness.questions.operations import RECEIVED, Course
from kubewitness.questions.paging import Place, place_at
from kubewitness.questions.targets import Ref, action_text, object_text
from kubewitness.questions.times import Window

SECOND = 1_000_000
#: how far the clocks of the API server and the recorder may be apart
_SKEW_US = 2 * SECOND
#: a request is reviewed within this time of its reception: the longest time-out of a webhook, and of one before it
_REVIEWED_US = 60 * SECOND
#: the same of a session, where no record tells when its answer began
_OPENED_US = 5 * SECOND

_VERBS = {
    "CREATE": ("create", "patch", "update"),  # apply and put may create
    "UPDATE": ("update", "patch"),
    "DELETE": ("delete", "deletecollection"),
    "CONNECT": ("create", "get", "update", "patch", "delete"),
}
#: a request for one of these says only in its body that it is a dry run
_DRY_IN_BODY = ("delete", "deletecollection")

COLUMNS = (
    "ts",
    "cluster",
    "review_uid",
    "operation",
    "user",
    "user_kind",
    "groups",
    "kind",
    "api_group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "uid",
    "owner_kind",
    "owner_name",
    "owner_uid",
    "resource_version",
    "dry_run",
    "record_key",
)
#: the same, times as microseconds, for a SELECT
SELECT = ", ".join(f"epoch_us({c})" if c == "ts" else f'"{c}"' for c in COLUMNS)


class Review(msgspec.Struct, frozen=True):
    """One AdmissionReview; times in microseconds UTC. The object is the new one, or the old one of a delete."""

    ts: int
    cluster: str
    review_uid: str
    operation: str
    user: str
    user_kind: str
    groups: tuple[str, ...]
    kind: str
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
    dry_run: bool
    key: bytes = b""

    @property
    def place(self) -> Place:
        """Where it stands in a list of the newest."""
        return place_at(self.ts, "admission", self.key)

    @property
    def id(self) -> str:
        return f"admission:{self.cluster}/{self.review_uid}"

    @property
    def ref(self) -> Ref:
        return Ref(self.cluster, self.group, self.resource, self.namespace, self.name)

    @property
    def object(self) -> str:
        """`Pod/shop/web-1`, of its subresources too: they have kinds of their own (Eviction, PodExecOptions)."""
        kind = kind_of_resource(self.resource, self.group) if self.subresource else self.kind
        return object_text(kind, self.namespace, self.name)

    @property
    def action(self) -> str:
        """As the audit trail says it, but for `connect`."""
        return action_text(self.operation.lower(), self.resource, self.subresource)

    @property
    def moment(self) -> tuple[int, int]:
        """The times between which it was made: those that come from the object are cut to whole seconds."""
        return self.ts, self.ts + (0 if self.ts % SECOND else SECOND - 1)


def review_of(row: Sequence[Any]) -> Review:
    """A review of a row of `COLUMNS`."""
    values: list[Any] = ["" if value is None else value for value in row[: len(COLUMNS)]]
    values[6] = tuple(row[6] or ())
    values[18], values[19] = bool(row[18]), bytes(row[19] or b"")
    return Review(*values)


class Asked(Protocol):
    """What a request of the audit trail must tell to be joined with a review."""

    @property
    def ts(self) -> int: ...
    @property
    def received(self) -> int: ...
    @property
    def cluster(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def acting_as(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def resource(self) -> str: ...
    @property
    def subresource(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def code(self) -> int: ...
    @property
    def course(self) -> Course | None: ...


class Joins(msgspec.Struct):
    """`of`: the reviews of each request, parallel to them. `alone`: the others, each with how many requests fit it:
    none, or too many."""

    of: list[list[Review]]
    alone: list[tuple[Review, int]]


def join(requests: Sequence[Asked], reviews: Iterable[Review]) -> Joins:
    """Which review is of which request, in any order of both."""
    shelves: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for i, r in enumerate(requests):
        shelves.setdefault(_shelf(r, r.acting_as or r.user, r.name), []).append((r.received, i))
    for shelf in shelves.values():
        shelf.sort()
    found = Joins([[] for _ in requests], [])
    for review in sorted(reviews, key=lambda v: (v.ts, v.review_uid)):
        names = ("", review.name) if review.operation == "DELETE" and review.name else (review.name,)
        near = [i for n in names for i in _near(shelves.get(_shelf(review, review.user, n), []), review)]
        fitting = _fitting(requests, near, review)
        if len(fitting) == 1:
            found.of[fitting[0]].append(review)
        else:
            found.alone.append((review, len(fitting)))
    return found


def window_of(requests: Sequence[Asked]) -> Window:
    """The time in which all reviews of these requests are."""
    first = min(r.received for r in requests) - _SKEW_US
    last = max(min(r.ts, r.received + _REVIEWED_US) for r in requests) + _SKEW_US
    return Window(first - SECOND, last)


def _shelf(r: Asked | Review, user: str, name: str) -> tuple[str, ...]:
    """Where records of one user about one object are; a collection's delete names no object."""
    return (r.cluster, user, r.group, r.resource, r.subresource, r.namespace, name)


def _near(shelf: list[tuple[int, int]], review: Review) -> list[int]:
    first, last = review.moment
    start = bisect_left(shelf, (first - _SKEW_US - _REVIEWED_US, -1))
    end = bisect_left(shelf, (last + _SKEW_US + 1, -1))
    return [i for _, i in shelf[start:end]]


def _fitting(requests: Sequence[Asked], near: list[int], review: Review) -> list[int]:
    """The requests that the review can be of: the one if it is clear, else all."""
    meant = [i for i in near if _same_deed(requests[i], review) and _distance(requests[i], review) <= _SKEW_US]
    same = [i for i in meant if requests[i].uid and requests[i].uid == review.uid]
    if review.operation == "CREATE" and not review.subresource and same:
        meant = same
    if len(meant) > 1:
        meant = _next_version(requests, meant, review) or meant
    if len(meant) > 1:
        meant = [i for i in meant if not _distance(requests[i], review)] or meant
    return meant


def _same_deed(r: Asked, review: Review) -> bool:
    named = "" if r.verb == "deletecollection" else review.name
    if r.verb not in _VERBS.get(review.operation, ()) or r.name != named:
        return False
    if review.operation == "CREATE" and r.verb != "create" and r.code == 200:
        return False  # it was there already
    if r.dry_run is not review.dry_run and (r.dry_run or not _may_be_dry(r)):
        return False
    if review.subresource not in ("", "status", "scale"):
        return True  # the body of an eviction or a binding is no object with a version
    if r.uid and review.uid and r.uid != review.uid:
        return False
    before, after = _number(review.resource_version), _number(r.resource_version)
    return before is None or after is None or after >= before


def _may_be_dry(r: Asked) -> bool:
    return r.verb in _DRY_IN_BODY or r.subresource == "eviction"


def _distance(r: Asked, review: Review) -> int:
    """How far the review lies outside of the time in which the request can have been reviewed, microseconds."""
    first, last = review.moment
    end = r.received + _REVIEWED_US
    if r.course is not None and r.course.streams:  # it is asked about before its answer begins
        end = r.course.opened or r.received + _OPENED_US
    elif r.stage != RECEIVED:
        end = min(r.ts, end)
    return max(0, r.received - last, first - end)


def _next_version(requests: Sequence[Asked], meant: list[int], review: Review) -> list[int]:
    """The write that made the version after the reviewed one, and those that made none; empty where not all tell what
    they made."""
    before = _number(review.resource_version)
    if review.operation not in ("UPDATE", "DELETE") or before is None:
        return []
    versions = {i: _number(requests[i].resource_version) for i in meant}
    if None in versions.values():
        return []
    after = min((v for v in versions.values() if v is not None and v > before), default=before)
    return [i for i, v in versions.items() if v in (before, after)]


def _number(version: str) -> int | None:
    """A resourceVersion as a number, as the API server's own are."""
    return int(version) if version.isascii() and version.isdigit() else None
