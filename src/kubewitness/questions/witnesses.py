"""What else saw the deeds of an answer: the admission reviews of its requests, added to their evidence when the answer
is complete, so that they can make it neither surer nor less sure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from kubewitness.questions import reviewrows
from kubewitness.questions.facts import ADMISSION, WRITES, Facts, Request
from kubewitness.questions.model import Joined
from kubewitness.questions.operations import SESSIONS
from kubewitness.questions.reviews import Review, join, window_of
from kubewitness.questions.targets import Ref, same_name

_READS = ("get", "list", "watch")


class Told(Protocol):
    """A link of a chain, or a node of a tree."""

    object: str
    evidence: list[str]
    joined: list[Joined]


def add(facts: Facts, told: Iterable[Told]) -> None:
    """Adds to each of them the reviews of the requests that it rests on."""
    links = [(link, [facts.known[i] for i in link.evidence if i in facts.known]) for link in told]
    asked = [r for _, requests in links for r in requests if _reviewable(r)]
    if not asked or not reviewrows.recorded(facts.session, facts.cluster):
        return
    named = {r.ref for r in asked if r.name}
    window = window_of(asked)
    seen = _by_object(reviewrows.fetch_keys(facts.session, facts.cluster, [ref.key for ref in named], window))
    for link, requests in links:
        for r in requests:
            if r.name and _reviewable(r):
                _join(link, _reviews_of(facts, r, seen.get(r.ref, [])))
            elif r.verb == "deletecollection":
                _join(link, _of_collection(facts, r, link.object))


def only_reviewed(facts: Facts, ref: Ref) -> list[Request]:
    """Writes of an object that an admission webhook saw and no audit record tells of, oldest first: batches of the
    audit trail are lost when an API server crashes, or its policy leaves some requests out."""
    if not reviewrows.recorded(facts.session, facts.cluster):
        return []
    collection = Ref(ref.cluster, ref.group, ref.resource, ref.namespace, "")
    audited = [r for r in facts.requests(ref, status=True) if r.level != ADMISSION]
    audited += facts.requests(collection, ("deletecollection",))
    where, params = ["cluster = ?", "object_key = ?"], [facts.cluster, ref.key]
    found = reviewrows.writes(facts.session, where, params, facts.window, audited)
    return [r for r in found if same_name(r.ref, ref)]


def _reviewable(r: Request) -> bool:
    return r.verb not in _READS or r.subresource in (*SESSIONS, "proxy")


def _join(link: Told, ids: Sequence[str]) -> None:
    new = [i for i in ids if i not in link.evidence]
    link.evidence += new
    link.joined += [Joined(i) for i in new]


def _by_object(found: Iterable[Review]) -> dict[Ref, list[Review]]:
    seen: dict[Ref, list[Review]] = {}
    for review in found:
        seen.setdefault(review.ref, []).append(review)
    return seen


def _reviews_of(facts: Facts, r: Request, seen: list[Review]) -> list[str]:
    if not seen:
        return []
    return _ids(r, _others(facts, r.ref, r), seen)


def _others(facts: Facts, ref: Ref, r: Request) -> list[Request]:
    """All requests that the reviews may be of: what fits two of them is joined with neither."""
    if r.subresource in SESSIONS:
        return facts.sessions(ref)
    found = [o for o in facts.requests(ref, WRITES, status=r.subresource == "status") if o.level != ADMISSION]
    if r.verb in ("delete", "deletecollection"):
        collection = Ref(ref.cluster, ref.group, ref.resource, ref.namespace, "")
        found += facts.requests(collection, ("deletecollection",))
    return found


def _of_collection(facts: Facts, r: Request, text: str) -> list[str]:
    """A collection's delete is reviewed once for each object."""
    where, params = ["cluster = ?", "resource = ?", "operation = 'DELETE'"], [r.cluster, r.resource]
    seen = reviewrows.fetch(facts.session, where, params, window_of([r]))
    mine = [v for v in seen if v.object == text]
    return _ids(r, _others(facts, mine[0].ref, r), mine) if mine else []


def _ids(r: Request, others: Sequence[Request], seen: Sequence[Review]) -> list[str]:
    joins = join(others, seen)
    mine = [i for i, other in enumerate(others) if other.id == r.id]
    return [v.id for v in joins.of[mine[0]]] if len(mine) == 1 else []  # else the auditID was used again
