"""Which request removed an object: the first accepted one that set its deletion going.

The kubelet's delete of a pod that is already terminating, a dry run, a refusal and a second delete are not it.
A recorded body tells when the deletion was first asked for (deletionTimestamp minus grace period): a request at
another time is then not the cause, and the answer says that the real one was not recorded.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from kubewitness.formats.times import format_us, us_or_zero
from kubewitness.questions import witnesses
from kubewitness.questions.bodies import at, is_object, meta
from kubewitness.questions.facts import Request, Window
from kubewitness.questions.lives import SKEW_US, Life
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import refusals, signs
from kubewitness.questions.who.case import (
    MINUTE,
    SECOND,
    Case,
    Deed,
    controller_of,
    deed_of,
    tool_of,
    who_said,
)

#: deletionTimestamp has whole seconds, and API servers' clocks differ
_ASKED_TOLERANCE = 2 * SECOND
#: a collection's delete takes at most this long to reach each of its objects
_COLLECTION_US = 5 * MINUTE

#: an object that a collection's delete took is gone by then
_GRACE_US = MINUTE
#: signs of an end are looked for this long: a pod's usual grace period of 30 s and some
_EFFECT_US = 2 * MINUTE
#: a controller replaces a pod within this time of its deletion
_REPLACED_US = SECOND
_NOT_FOUND = 404


class Removal(msgspec.Struct):
    """`deed` is None when the records do not tell; `context` are attempts that did not do it."""

    deed: Deed | None = None
    context: list[Deed] = msgspec.field(default_factory=list)
    #: others who asked as well, when no record tells whose request began it
    rivals: list[Deed] = msgspec.field(default_factory=list)
    #: when the deletion was asked for, if a body tells
    asked: int | None = None
    #: whether there is any sign that the object is gone or going
    seen: bool = False


def find(case: Case, life: Life, *, evicted_only: bool = False) -> Removal:
    """The removal of one life of an object."""
    ref = life.ref
    attempts = [r for r in _attempts(case, life) if not evicted_only or r.subresource == "eviction"]
    done = [r for r in attempts if r.done]
    static = signs.is_static(case, life)  # its kubelet is the one who makes and deletes it
    finishing = [r for r in done if _finishes(r) and not static]
    asking = [r for r in done if r not in finishing]
    asked = asked_at(case, [*asking, *finishing])
    result = Removal(None, refusals.of(case, ref, attempts), [], asked, bool(done))
    chosen, certainty = _choose(case, life, asking, asked)
    if chosen is None and (asking := _only_reviewed(case, life, evicted_only)):
        chosen, certainty = _choose(case, life, asking, asked)
        _say_missing(case, ref, asked, finishing)
    if chosen is None and not evicted_only:
        result.deed = signs.removal(case, life)
        stopped = any(e.reason == "Killing" and "Stopping" in e.message for e in case.facts.events(ref))
        result.seen = result.seen or result.deed is not None or life.gone or stopped
        if result.deed is None and (finishing or result.seen):
            _say_missing(case, ref, asked, finishing)
        return result
    if chosen is not None:
        rivals = _rivals(chosen, asking) if asked is None and _maybe_dry(case, chosen) else []
        result.deed = _deed(case, chosen, life, "inferred" if rivals else certainty)
        result.rivals = [_deed(case, r, life, "inferred") for r in rivals]
        result.context = [d for d in result.context if d.when <= chosen.ts]
    return result


def _attempts(case: Case, life: Life) -> list[Request]:
    """Deletes and evictions by name, and collection deletes that covered the object; refused ones too."""
    ref = life.ref
    named = _removals(case.facts.requests(ref, ("delete", "create")), life)
    collection = Ref(ref.cluster, ref.group, ref.resource, ref.namespace, "")
    covering = [r for r in case.facts.requests(collection, ("deletecollection",)) if _covers(case, r, life)]
    return sorted([*named, *covering], key=lambda r: r.ts)


def _removals(requests: list[Request], life: Life) -> list[Request]:
    asking = [
        r
        for r in requests
        if (r.verb == "delete" and not r.subresource) or (r.verb == "create" and r.subresource == "eviction")
    ]
    return [r for r in asking if life.covers(r.ts, r.uid) and not life.too_early(r.received)]


def _only_reviewed(case: Case, life: Life, evicted_only: bool) -> list[Request]:
    """Where the audit trail does not tell who asked: those whom only admission saw asking."""
    found = _removals(witnesses.only_reviewed(case.facts, life.ref), life)
    return [r for r in found if r.done and not _finishes(r) and (r.subresource == "eviction" or not evicted_only)]


def _covers(case: Case, request: Request, life: Life) -> bool:
    """Whether a collection's delete took this object: its answer lists them; else by time and selector."""
    if not request.done or not life.covers(request.ts):
        return False
    items = at(case.facts.bodies(request).response, "items")
    if isinstance(items, list):
        return any(
            meta(i, "name") == life.ref.name and (not life.uid or meta(i, "uid") in (life.uid, None)) for i in items
        )
    query = parse_qs(urlsplit(request.uri).query)
    if "metadata.name=" in query.get("fieldSelector", [""])[0]:
        return f"metadata.name={life.ref.name}" in query["fieldSelector"][0]
    return life.gone and -SKEW_US <= life.last - request.ts <= _COLLECTION_US


def _finishes(request: Request) -> bool:
    """The kubelet ends what somebody else asked for. It never starts the deletion of a pod."""
    return controller_of(request) == "kubelet" and request.resource == "pods" and not request.subresource


def asked_at(case: Case, requests: list[Request]) -> int | None:
    """When the deletion was first asked for, to the second, from any body that holds a deletionTimestamp."""
    times = []
    for request, bodies in zip(requests, case.facts.all_bodies(requests), strict=True):
        body = bodies.response
        if request.verb != "deletecollection" and is_object(body) and meta(body, "deletionTimestamp"):
            ends = us_or_zero(meta(body, "deletionTimestamp"))
            times.append(ends - int(meta(body, "deletionGracePeriodSeconds") or 0) * SECOND)
    return min(times) if times else None


def _choose(case: Case, life: Life, asking: list[Request], asked: int | None) -> tuple[Request | None, Certainty]:
    fitting = [
        r
        for r in asking
        if asked is None or (r.received - _ASKED_TOLERANCE <= asked + SECOND and asked <= r.ts + _ASKED_TOLERANCE)
    ]
    if asked is None and len(fitting) > 1:  # several asked, and no body tells when it began: believe the signs
        by_name = [r for r in fitting if r.verb != "deletecollection"]  # what covers others too, those others answer
        began = _began(case, by_name, life) if len(by_name) > 1 else []
        fitting = began or [r for r in fitting if _ended_soon(case, r, life)] or fitting
    if not fitting:
        return None, "unknown"  # nobody asked, or at a time at which no recorded request fits
    sure = [r for r in fitting if _certainty(case, r, life) == "proved"]
    named = [r for r in fitting if r.verb != "deletecollection"]
    if sure and sure[0] is fitting[0]:
        return sure[0], "proved"
    if named:  # a collection's delete that may not have meant this object is not preferred to one that names it
        doubt = any(0 <= named[0].ts - r.ts <= _GRACE_US for r in fitting if r.verb == "deletecollection")
        return named[0], "inferred" if doubt else _certainty(case, named[0], life)
    return fitting[0], _certainty(case, fitting[0], life)


def _maybe_dry(case: Case, request: Request) -> bool:
    """A delete says in its body that it is a dry run; kubectl evicts nothing in a dry run."""
    return request.verb == "delete" and not _shows_body(case, request)


def _shows_body(case: Case, request: Request) -> bool:
    """Whether the request's body is known: recorded, or, where the answer was recorded, known to be empty. An
    eviction's body is never recorded."""
    bodies = case.facts.bodies(request)
    return bodies.request is not None or (bodies.response is not None and not request.subresource)


def _rivals(chosen: Request, asking: list[Request]) -> list[Request]:
    """Requests by others, soon before or after: one of the two may have been a dry run, or come too late."""
    return [
        r
        for r in asking
        if r is not chosen
        and r.played != chosen.played
        and (r.verb != "deletecollection" or chosen.verb == "deletecollection")
        and abs(r.ts - chosen.ts) <= _EFFECT_US
    ]


def _began(case: Case, asking: list[Request], life: Life) -> list[Request]:
    """The one of several requests that a controller or its own sender answered: by a new pod in the place of this one
    at once, or by waiting for its end, which kubectl does after a delete that is no dry run. Empty when that is not
    one alone."""
    ends = [*(r.received for r in asking[1:]), asking[-1].ts + _REPLACED_US]
    replaced = [r for r, end in zip(asking, ends, strict=True) if _replaced(case, r, min(end, r.ts + _REPLACED_US))]
    if len(replaced) == 1 and life.ref.resource == "pods":
        return replaced
    if not all(r.verb == "delete" and "kubectl" in tool_of(r) for r in asking):
        return []  # who evicts, and what is no kubectl, does not wait in this way
    killed = [e.ts + SECOND for e in case.facts.events(life.ref) if e.reason == "Killing"]
    reads = case.facts.requests(life.ref, ("get", "list", "watch"))
    waited = [r for r in asking if any(w.user == r.user and r.ts <= w.received <= r.ts + SECOND for w in reads)]
    return waited if len(waited) == 1 and all(waited[0].received <= k for k in killed) else []


def _replaced(case: Case, request: Request, until: int) -> bool:
    """Whether a controller made a pod in the namespace before `until`: it takes a terminating one for lost."""
    window = Window(request.received, until)
    made = case.facts.requests_in(window, resource="pods", namespace=request.namespace, verbs=("create",))
    return any(r.done and controller_of(r) for r in made)


def _ended_soon(case: Case, request: Request, life: Life) -> bool:
    """Whether the kubelet began to stop the pod within seconds of the request."""
    return any(
        e.reason == "Killing" and request.received - SKEW_US <= e.ts <= request.ts + 5 * SECOND
        for e in case.facts.events(life.ref)
    )


def _certainty(case: Case, request: Request, life: Life) -> Certainty:
    """A request that names the object proves itself, if only one object of that name can be meant, and if it is
    sure that it was no dry run (which a delete says only in its body)."""
    if request.verb == "deletecollection":
        listed = isinstance(at(case.facts.bodies(request).response, "items"), list)
        return "proved" if listed else "inferred"
    if "audit-id-reused" in request.flags:
        return "inferred"
    if life.lives > 1 and not life.born and not (request.uid and request.uid == life.uid):
        return "inferred"
    if not _shows_body(case, request) and not _had_effect(case, request, life):
        case.need(
            f"whether the {request.verb} of {life.ref.said()} was a dry run: audit level Request for it would show that"
        )
        return "inferred"
    return "proved"


def _had_effect(case: Case, request: Request, life: Life) -> bool:
    """Whether a sign soon after the request says that the object really went: the kubelet's, or a 404."""
    until = request.ts + _EFFECT_US
    for r in [*case.facts.requests(life.ref), *case.facts.requests(life.ref, ("get",))]:
        if request.ts <= r.ts <= until and ((r.done and _finishes(r)) or (r.code == _NOT_FOUND and not r.dry_run)):
            return True
    return any(
        e.reason == "Killing" and request.ts - SKEW_US <= e.ts <= until for e in case.facts.events(life.ref)
    ) or any(v.change == "DELETED" for v in case.facts.versions(life.ref) if life.covers(v.ts, v.uid))


def _deed(case: Case, request: Request, life: Life, certainty: Certainty) -> Deed:
    who, tool = who_said(request), tool_of(request)
    said = life.ref.said()
    if request.subresource == "eviction":
        says, action = f"{who} evicted {said}{tool} through the Eviction API", "evict"
    elif request.verb == "deletecollection":
        selector = parse_qs(urlsplit(request.uri).query).get("labelSelector", [""])[0]
        chosen = f" with label {selector}" if selector else ""
        place = request.namespace or "the cluster"
        says = f"{who} deleted all {request.resource}{chosen} in {place}{tool}, {said} among them"
        action = "deletecollection"
    else:
        forced = _grace(case, request) == 0
        says, action = f"{who} {'force-' if forced else ''}deleted {said}{tool}", "delete"
    finished = [
        r.id
        for r in case.facts.requests(life.ref, ("delete",))
        if r.done and _finishes(r) and life.covers(r.ts, r.uid) and r.ts > request.ts
    ]
    deed = deed_of(
        request,
        says,
        ref=life.ref,
        certainty=certainty,
        root_action=action,
        role="remove",
        life=life,
        evidence=finished[-1:],
    )
    if request.verb == "deletecollection":
        deed.root_ref = request.ref
    return deed


def _grace(case: Case, request: Request) -> int | None:
    """gracePeriodSeconds that the delete asked for."""
    value = at(case.facts.bodies(request).request, "gracePeriodSeconds")
    if isinstance(value, int):
        return value
    found = re.search(r"[?&]gracePeriodSeconds=(\d+)", request.uri)
    return int(found.group(1)) if found else None


def _say_missing(case: Case, ref: Ref, asked: int | None, finishing: list[Request]) -> None:
    when = f" at {format_us(asked)}" if asked else ""
    level = "an audit rule of level Metadata or higher"
    ended = " Only the kubelet's final delete of the terminating pod is there." if finishing else ""
    evictions = " and create of pods/eviction" if ref.resource == "pods" else ""
    case.need(
        f"the request that asked for the deletion of {ref.said()}{when}: {level} for delete and deletecollection of "
        f"{ref.resource}{evictions} would have recorded it.{ended}"
    )
