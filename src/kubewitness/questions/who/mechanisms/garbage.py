"""owner-deleted: the garbage collector removes what belonged to a deleted owner; terminated and orphaned pods.

The link is the ownerReference's uid: the object's body names its owner, and the owner's delete answers with that uid.
Background, foreground and (for what is left) orphan deletion all begin with the delete of the owner.
"""

from __future__ import annotations

from kubewitness.questions.facts import Window
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import removal
from kubewitness.questions.who.case import (
    MINUTE,
    Case,
    Deed,
    Step,
    controller_of,
    deed_of,
    tool_of,
    weaker,
    who_said,
)


def explain(case: Case, deed: Deed) -> Step | None:
    """The owner's removal, for what the garbage collector deleted."""
    if deed.role != "remove" or deed.controller != "generic-garbage-collector":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None:
        case.need(f"the owner of {deed.ref.said()}: level RequestResponse for its create or delete would name it")
        return Step("owner-deleted")
    owner_ref, owner, certainty = owned
    owner_life = case.life(owner_ref, owner.uid, deed.when)
    found = removal.find(case, owner_life)
    if found.deed is None:
        return _with_its_collection(case, deed, owner_ref) or Step("owner-deleted")
    cause = found.deed
    known_uid = bool(owner.uid) and owner_life.uid == owner.uid
    cause.certainty = weaker(cause.certainty, certainty if known_uid else "inferred")
    return Step("owner-deleted", cause, found.context)


def _with_its_collection(case: Case, deed: Deed, owner: Ref) -> Step | None:
    """The owner went without a delete of its own name: with its whole namespace, or with all of its kind. No body
    names it, so that only time speaks for it."""
    moment = Window(deed.when - MINUTE, deed.cause_until)
    namespace = _namespace_removal(case, deed)
    emptied = case.facts.requests_in(
        moment, resource=owner.resource, namespace=owner.namespace, verbs=("deletecollection",)
    )
    emptied = [r for r in emptied if r.done]
    people = [r for r in emptied if not controller_of(r)]
    if people:
        request = people[-1]
        says = f"{who_said(request)} deleted all {request.resource} in {request.namespace}{tool_of(request)}"
        cause = deed_of(request, says, ref=owner, certainty="inferred", root_action="deletecollection", role="remove")
        cause.root_ref = request.ref
        return Step("owner-deleted", cause, final=True)
    if namespace is not None and (emptied or deed.when - namespace.when <= MINUTE):
        namespace.certainty = weaker(namespace.certainty, "inferred")
        return Step("namespace-deleted", namespace)
    return None


def _namespace_removal(case: Case, deed: Deed) -> Deed | None:
    """The request that asked for the deletion of the deed's namespace, if there was one before."""
    ref = Ref(deed.ref.cluster, "", "namespaces", "", deed.ref.namespace, "Namespace")
    found = removal.find(case, case.life(ref, when=deed.when)).deed
    return found if found is not None and found.when <= deed.when else None


def explain_namespace(case: Case, deed: Deed) -> Step | None:
    """namespace-deleted: the namespace controller empties a namespace whose deletion somebody asked for."""
    if deed.role != "remove" or deed.controller != "namespace-controller":
        return None
    # Only the deletion of the namespace itself makes this controller delete anything: its name is identity enough.
    return Step("namespace-deleted", _namespace_removal(case, deed))


def explain_pod_collector(case: Case, deed: Deed) -> Step | None:
    """node-deleted, terminated-gc: the pod garbage collector removes pods of nodes that are gone, and finished ones."""
    if deed.role != "remove" or deed.controller != "pod-garbage-collector":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    place = case.node_of(deed.ref, life)
    if place is None:
        case.need(f"the node of {deed.ref.said()}: level Request for create of pods/binding, or Events, would tell")
        return Step(None)
    ref = Ref(deed.ref.cluster, "", "nodes", "", place[0], "Node")
    found = removal.find(case, case.life(ref, when=deed.when))
    if found.deed is None or found.deed.when > deed.when:
        return Step("terminated-gc", final=True)
    found.deed.certainty = weaker(found.deed.certainty, place[1])
    return Step("node-deleted", found.deed)
