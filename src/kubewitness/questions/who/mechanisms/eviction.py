"""drain, eviction-api: a pod removed through the Eviction API.

An eviction is `create pods/eviction`; its body is never recorded. It belongs to a drain when the same user had
cordoned the pod's node: the last change of the node's spec.unschedulable before the eviction is theirs, and is true.
Whoever evicts without a cordon of their own (a descheduler, an autoscaler, a script) is `eviction-api`.
Below level Request the cordon's body is missing: a write of the node by the same user is then taken for it, as
`inferred`, when the kubelet's NodeNotSchedulable Event or the drain's own list of the node's pods speaks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from urllib.parse import parse_qs, unquote, urlsplit

from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Bodies, Request
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import MINUTE, SECOND, Case, Deed, Step, controller_of, deed_of, tool_of

_NODE_FIELD = "spec.nodeName="


def explain(case: Case, deed: Deed) -> Step | None:
    request = deed.request
    if request is None or deed.role != "remove" or request.subresource != "eviction":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    place = case.node_of(deed.ref, life)
    if place is None:
        listed = _node_listed(case, request)
        place = listed[:3] if listed else None
    if place is None:
        case.need(
            f"the node of {deed.ref.said()}: level Request for create of pods/binding, or Events, would tell whether "
            "its eviction was part of a drain"
        )
        return Step("eviction-api", final=True, doubt=True)
    node, place_certainty, place_id = place
    cordon = find_cordon(case, node, request)
    if cordon is None:
        return Step("eviction-api", final=True, doubt=place_certainty == "inferred")
    write, certainty = cordon
    if write is None:
        return Step("eviction-api", final=True, doubt=True)
    if place_certainty == "inferred":
        certainty = "inferred"
    says = f"{write.person} drained node {node}{tool_of(write)}"
    cause = deed_of(
        write, says, ref=node_ref(case, node), certainty=certainty, root_action="drain", evidence=[place_id]
    )
    cause.link_says = f"{write.person} cordoned node {node}{tool_of(write)}, the beginning of the drain"
    return Step("drain", cause, final=True)


def node_ref(case: Case, node: str) -> Ref:
    return Ref(case.facts.cluster, "", "nodes", "", node, "Node")


def node_writes(case: Case, node: str, until: int) -> Iterator[tuple[Request, Bodies]]:
    """Accepted writes of a node's spec and metadata, newest first, with their bodies; not the kubelets'.

    Those asked for up to `until`: a controller that watches may act on a write before its answer is written.
    """
    pages = case.facts.newest_first(node_ref(case, node), ("patch", "update"), until + SECOND, without="system:node:")
    for page in pages:
        writes = [r for r in page if not r.subresource and r.received <= until]
        yield from zip(writes, case.facts.all_bodies(writes), strict=True)


def unschedulable(bodies: Bodies, verb: str) -> bool | None:
    """What a write of a node set spec.unschedulable to; None when it left it alone, or no body tells."""
    asked = bodies.request
    if isinstance(asked, list):  # JSON patch
        for op in asked:
            if isinstance(op, dict) and op.get("path") == "/spec/unschedulable":
                return bool(op.get("value")) and op.get("op") != "remove"
        return None
    if not isinstance(asked, dict):
        return None
    if verb == "update":
        return bool(at(asked, "spec", "unschedulable"))
    spec = at(asked, "spec")
    if isinstance(spec, dict) and "unschedulable" in spec:
        return bool(spec["unschedulable"])
    return None


def find_cordon(case: Case, node: str, eviction: Request) -> tuple[Request | None, Certainty] | None:
    """The cordon that was in force at the eviction, when the evictor made it; None when they had not.

    (None, ...) when a write of theirs may have been one, and nothing speaks for it.
    """
    unknown: list[Request] = []
    for write, bodies in node_writes(case, node, eviction.ts):
        if bodies.request is None and bodies.response is None:
            unknown.append(write)
            continue
        value = unschedulable(bodies, write.verb)
        if value is None or (write.verb == "update" and value and write.played != eviction.played):
            continue  # an update that merely carried the value on
        if value and write.played == eviction.played:
            return write, "inferred" if _others(unknown) else "proved"
        break
    mine = [w for w in unknown if w.played == eviction.played]
    if not mine:
        return None
    case.need("what the write of the node changed: level Request for patch and update of nodes would prove the cordon")
    return (mine[0] if _speaks_for_cordon(case, node, mine[0], unknown, eviction) else None), "inferred"


def _others(writes: list[Request]) -> list[Request]:
    """Writes by people; the controllers' own (taints, pod CIDRs) leave spec.unschedulable alone."""
    return [w for w in writes if not controller_of(w)]


def _speaks_for_cordon(case: Case, node: str, write: Request, unknown: list[Request], eviction: Request) -> bool:
    """Whether Events and the drain's list make a write without a body a cordon that was still in force."""
    given_back = any(
        e.reason == "NodeSchedulable" and write.ts < e.ts < eviction.ts for e in case.facts.events(node_ref(case, node))
    )
    if given_back:
        return False
    listed = _node_listed(case, eviction)
    drained = listed is not None and listed[0] == node and listed[3] >= write.received
    between = [w for w in _others(unknown) if w.ts > write.ts and w.played != eviction.played]
    return drained or (_kubelet_saw(case, node, write) and not between)


def _kubelet_saw(case: Case, node: str, write: Request) -> bool:
    return any(
        e.reason == "NodeNotSchedulable" and -MINUTE <= e.ts - write.ts <= MINUTE
        for e in case.facts.events(node_ref(case, node))
    )


def _node_listed(case: Case, eviction: Request) -> tuple[str, Certainty, str, int] | None:
    """A drain begins by listing the node's pods: the last such list by the evictor names the node, and its time."""
    everywhere = Ref(case.facts.cluster, "", "pods", "", "")
    for r in chain.from_iterable(case.facts.newest_first(everywhere, ("list",), eviction.ts, user=eviction.user)):
        if r.played != eviction.played:
            continue
        selector = unquote(parse_qs(urlsplit(r.uri).query).get("fieldSelector", [""])[0])
        for part in selector.split(","):
            if part.startswith(_NODE_FIELD):
                return part.removeprefix(_NODE_FIELD), "inferred", r.id, r.ts
    return None
