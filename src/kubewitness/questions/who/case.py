"""The working memory of one `who`: deeds, steps between them, and what every mechanism needs to find them."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from kubewitness.formats.names import resource_of_kind
from kubewitness.formats.times import format_us
from kubewitness.questions.bodies import at, is_object
from kubewitness.questions.facts import ADMISSION, EventFact, Facts, Request, Window
from kubewitness.questions.lives import SKEW_US, Life, Owner, choose, lives_of
from kubewitness.questions.model import Actor, Certainty, Link, Root
from kubewitness.questions.targets import Ref

SECOND = 1_000_000
MINUTE = 60 * SECOND

_SA_OF_CONTROLLERS = "system:serviceaccount:kube-system:"
#: service accounts of kube-system that act for Kubernetes itself (k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/
#: bootstrappolicy/controller_policy.go); any other is somebody's
_CONTROLLERS = re.compile(
    r".*-(controller|collector|controller-manager|manager|publisher|cleaner|approver|autoscaler)$"
)
#: kube-system accounts that match the pattern and yet belong to add-ons that people install
_ADD_ONS = frozenset({"cluster-autoscaler"})


class Deed(msgspec.Struct):
    """Something that was done: a link of the chain that may have a cause of its own."""

    when: int
    ref: Ref
    action: str
    #: a whole sentence without its full stop: who did what to what
    says: str
    #: the same in the words of the root: delete, drain, scale, rollout ...
    root_action: str
    certainty: Certainty
    evidence: list[str]
    actor: Actor | None = None
    request: Request | None = None
    #: the Kubernetes component that did it, when one did: then somebody or something else set it off
    controller: str = ""
    #: what was done to `ref`: remove, create, change, note
    role: str = "change"
    life: Life | None = None
    #: something failed by itself: the chain ends here, and nobody is named
    nobody: bool = False
    #: what the root acted on, when it is not `ref` itself (a collection)
    root_ref: Ref | None = None
    #: the sentence of its link, where that is another than `says`
    link_says: str = ""

    @property
    def cause_until(self) -> int:
        """The latest time at which its cause can have been recorded: many Events' times are cut to whole seconds."""
        return self.when if self.request is not None else self.when + SECOND

    def link(self) -> Link:
        return Link(
            format_us(self.when),
            self.actor.user if self.actor else None,
            self.action,
            str(self.ref),
            (self.link_says or self.says) + ".",
            self.certainty,
            [*self.evidence],
        )

    def root(self) -> Root:
        target, when = str(self.root_ref or self.ref), format_us(self.when)
        if self.nobody:
            return Root(
                None, "node" if self.ref.resource == "nodes" else "system", None, self.root_action, target, when
            )
        if self.actor is None:
            return Root(None, "unknown", None, self.root_action, target, when)
        return Root(self.actor.user, self.actor.kind, self.actor.acting_as, self.root_action, target, when)


class Step(msgspec.Struct):
    """What a mechanism found out about a deed: its own name, and the deed that set it off."""

    mechanism: str | None = None
    cause: Deed | None = None
    #: shown in the chain between the deed and its cause
    context: list[Deed] = msgspec.field(default_factory=list)
    #: causes that are as good as `cause`
    candidates: list[Deed] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)
    #: the deed is a root after all, although a controller did it
    final: bool = False
    #: the mechanism itself is not certain, although its deeds are
    doubt: bool = False


class Case:
    """One question's facts, and what was found missing on the way."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.missing: list[str] = []
        self._lives: dict[tuple[str, str, str, str], list[Life]] = {}

    def lives(self, ref: Ref) -> list[Life]:
        key = (ref.group, ref.resource, ref.namespace, ref.name)
        found = self._lives.get(key)
        if found is None:
            found = self._lives[key] = lives_of(self.facts, ref)
        return found

    def life(self, ref: Ref, uid: str = "", when: int | None = None) -> Life:
        """The life of that uid or around that time; an empty one where nothing was recorded."""
        lives = self.lives(ref)
        found = choose(lives, uid=uid or None, at=when, gone=False)
        if found is None and uid:
            found = Life(ref, uid, when or 0, when or 0)
            if len(lives) == 1 and not lives[0].uid:
                found = lives[0]
        return found or Life(ref, uid, when or 0, when or 0)

    def need(self, text: str) -> None:
        if text not in self.missing:
            self.missing.append(text)

    def owner(self, ref: Ref, life: Life) -> tuple[Ref, Owner, Certainty] | None:
        """The controller that owns an object, and how surely that is known."""
        if life.owner is not None and life.owner.kind:
            return self._owner_ref(ref, life.owner), life.owner, "proved"
        named = self._owner_named_by_event(ref, life)
        if named is not None:
            return self._owner_ref(ref, named), named, "inferred"
        for kind, name in _owners_by_name(ref):
            owner = Owner(kind, name, "")
            candidate = self._owner_ref(ref, owner)
            if self.facts.requests(candidate, ("create", "update", "patch", "delete")) or self.facts.events(candidate):
                return candidate, owner, "inferred"
        return None

    def _owner_ref(self, ref: Ref, owner: Owner) -> Ref:
        resource = resource_of_kind(owner.kind)
        return Ref(
            ref.cluster,
            resource.group,
            resource.resource,
            ref.namespace if resource.namespaced else "",
            owner.name,
            owner.kind,
        )

    def _owner_named_by_event(self, ref: Ref, life: Life) -> Owner | None:
        """Controllers name what they made: "Created pod: web-1" about the ReplicaSet, "Scaled up replica set ..."."""
        reasons: tuple[str, ...]
        if ref.resource == "pods":
            reasons, text = ("SuccessfulCreate", "SuccessfulDelete"), f"pod: {ref.name}"
        elif ref.resource == "replicasets":
            reasons, text = ("ScalingReplicaSet",), ref.name
        else:
            return None
        window = Window(life.first - 10 * MINUTE, life.last + 10 * MINUTE)
        said = self.facts.events_in(window, namespace=ref.namespace, reasons=reasons, message_has=text)
        said = [e for e in said if text in e.message and e.kind]
        # The name may have been used before, by another owner of the same name.
        own = [e for e in said if e.ts >= life.first - SKEW_US] or said
        return Owner(own[0].kind, own[0].object_name, own[0].object_uid) if own else None

    def node_of(self, pod: Ref, life: Life) -> tuple[str, Certainty, str] | None:
        """(node, certainty, evidence id) that the pod was bound to."""
        requests = [r for r in self.facts.requests(pod) if r.done and life.covers(r.ts, r.uid)]
        for r in requests:
            if r.subresource == "binding":
                name = at(self.facts.bodies(r).request, "target", "name")
                if name:
                    return str(name), "proved", r.id
        for r in requests:
            if r.verb in ("delete", "create", "update", "patch") and r.subresource == "":
                body = self.facts.bodies(r).response
                name = at(body, "spec", "nodeName") if is_object(body) else None
                if name:
                    return str(name), "proved", r.id
        for r in requests:
            if r.user.startswith("system:node:") and r.verb in ("delete", "patch", "update"):
                return r.user.removeprefix("system:node:"), "proved", r.id
        for e in self.facts.events(pod):
            if e.reason == "Scheduled" and " to " in e.message:
                return e.message.rpartition(" to ")[2].strip(), "inferred", e.id
            if e.component == "kubelet" and e.instance:
                return e.instance, "inferred", e.id
        return None


def _owners_by_name(ref: Ref) -> list[tuple[str, str]]:
    """Owners that a generated name hints at: `web-6d9f647df7-xzzw8` -> ReplicaSet web-6d9f647df7."""
    stem, dash, tail = ref.name.rpartition("-")
    if not dash:
        return []
    if ref.resource == "pods":
        if re.fullmatch(r"[a-z0-9]{5}", tail):
            return [("ReplicaSet", stem), ("DaemonSet", stem), ("Job", stem)]
        return [("StatefulSet", stem)] if tail.isdigit() else []
    if ref.resource == "replicasets" and re.fullmatch(r"[a-z0-9]{6,10}", tail):
        return [("Deployment", stem)]
    if ref.resource == "jobs" and tail.isdigit():
        return [("CronJob", stem)]
    return []


def controller_of(request: Request) -> str:
    """The Kubernetes component behind a request; "" when it was somebody else's. "kubelet" for every node.

    One credential for all controllers (`system:kube-controller-manager`) is told apart by the user agent, which the
    component itself writes.
    """
    user = request.user
    if request.acting_as:
        return ""
    if user.startswith(_SA_OF_CONTROLLERS):
        name = user.removeprefix(_SA_OF_CONTROLLERS)
        return name if _CONTROLLERS.fullmatch(name) and name not in _ADD_ONS else ""
    if user.startswith("system:node:"):
        return "kubelet"
    if user in ("system:kube-scheduler", "system:apiserver"):
        return user.removeprefix("system:")
    if user in ("system:kube-controller-manager", "system:k3s-controller", "system:rke2-controller"):
        agent = request.user_agent.rpartition("/")[2]
        return agent.rpartition(":")[2] if agent.startswith("system:serviceaccount:") else "kube-controller-manager"
    return ""


#: what people call the components, for sentences
_TITLES = {
    "generic-garbage-collector": "the garbage collector",
    "kubelet": "the kubelet",
    "kube-scheduler": "the scheduler",
    "apiserver": "the API server",
    "horizontal-pod-autoscaler": "the horizontal pod autoscaler",
    "kube-controller-manager": "the controller manager",
    "pod-garbage-collector": "the pod garbage collector",
}


def who_said(request: Request) -> str:
    """`alice`, `alice (acting as carol)`, `the replicaset controller`, `the kubelet of n1`."""
    controller = controller_of(request)
    if controller == "kubelet":
        return f"the kubelet of {request.user.removeprefix('system:node:')}"
    if controller:
        return _TITLES.get(controller, "the " + controller.replace("-", " "))
    return request.person


def tool_of(request: Request) -> str:
    """` with kubectl`: the program that the user agent claims, for people; "" for components and libraries."""
    if controller_of(request):
        return ""
    name = request.user_agent.partition("/")[0].strip()
    return (
        f" with {name}"
        if re.fullmatch(r"(kubectl|helm|k9s|oc|terraform|argocd|flux|curl|lens)[\w-]*", name, re.I)
        else ""
    )


def deed_of(
    request: Request,
    says: str,
    *,
    ref: Ref | None = None,
    certainty: Certainty = "proved",
    root_action: str = "",
    role: str = "change",
    life: Life | None = None,
    evidence: list[str] | None = None,
) -> Deed:
    """A deed whose record is one request. What only an admission webhook saw may have been refused after it."""
    if request.level == ADMISSION:
        certainty = "inferred"
    return Deed(
        when=request.ts,
        ref=ref or request.ref,
        action=request.action,
        says=says,
        root_action=root_action or request.verb,
        certainty=certainty,
        evidence=[request.id, *(evidence or [])],
        actor=request.actor,
        request=request,
        controller=controller_of(request),
        role=role,
        life=life,
    )


def event_deed(event: EventFact, says: str, *, ref: Ref, role: str, controller: str, life: Life | None = None) -> Deed:
    """A deed that only an Event tells of: whoever reported it is not who asked for it."""
    actor = Actor(None, "system") if controller else None
    if actor is not None:
        actor.user = event.component or None
    return Deed(
        when=event.ts,
        ref=ref,
        action=event.reason,
        says=says,
        root_action=event.reason,
        certainty="inferred",
        evidence=[event.id],
        actor=actor,
        controller=controller,
        role=role,
        life=life,
    )


def manager_of(request: Request) -> str:
    """What the client calls itself as a field manager: kubectl names its command there, a claim like its user agent."""
    return parse_qs(urlsplit(request.uri).query).get("fieldManager", [""])[0]


def near(a: int, b: int, tolerance: int = SKEW_US) -> bool:
    return abs(a - b) <= tolerance


def weaker(*certainties: Certainty) -> Certainty:
    """The weakest: a chain is as sure as its weakest link."""
    order: tuple[Certainty, ...] = ("unknown", "inferred", "proved")
    return min(certainties, key=order.index, default="unknown")
