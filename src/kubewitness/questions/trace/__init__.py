"""What followed: everything that one request set off, as a tree. The engine of `who`, asked the other way round.

A node is a child of the deed that `who` says set it off, so both always tell the same story; around.py finds what can
have followed, effects.py asks the mechanisms about it.
"""

from __future__ import annotations

import re
from collections import deque

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.times import format_us
from kubewitness.questions import coverage, witnesses
from kubewitness.questions.facts import ADMISSION, EventFact, Facts, Request, Session, Window
from kubewitness.questions.model import Certainty, Gap, Joined, Link
from kubewitness.questions.trace.around import Around
from kubewitness.questions.trace.effects import Effect, Effects, Mark, event_effect
from kubewitness.questions.who import engine
from kubewitness.questions.who.case import MINUTE, SECOND, Case, Deed, controller_of

#: what is looked at without `until`: an hour after the request
DEFAULT_US = 60 * MINUTE
MOST_NODES, DEEPEST = 500, 12
#: Events of one object that one deed may have as children
_MOST_EVENTS = 20


class TraceQuestion(msgspec.Struct):
    """`audit_id`: the request's auditID, or its id as answers give it. Times in microseconds UTC."""

    audit_id: str
    cluster: str | None = None
    #: nothing later is looked at
    until: int | None = None
    limit: int = MOST_NODES
    depth: int = DEEPEST
    events: bool = True


class TraceNode(msgspec.Struct):
    """One deed (or Event) and what it set off. `certainty`: how surely its parent set it off."""

    when: str
    actor: str | None
    acting_as: str | None
    action: str
    object: str
    sentence: str
    certainty: Certainty
    evidence: list[str]
    mechanism: str | None = None
    #: those of `evidence` that only an inference joins with the others
    joined: list[Joined] = msgspec.field(default_factory=list)
    children: list[TraceNode] = msgspec.field(default_factory=list)


class AskedRequest(msgspec.Struct):
    """The question as it was understood."""

    audit_id: str
    cluster: str
    until: str | None
    limit: int
    depth: int


class TraceAnswer(msgspec.Struct):
    """The whole answer. `found` false: no such request was recorded."""

    question: AskedRequest
    found: bool
    summary: str
    root: TraceNode | None = None
    #: nodes below the root
    nodes: int = 0
    #: what set the request itself off, if it was a controller's
    cause: Link | None = None
    #: where the tree ends although more may have followed
    cut: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)


def ask(session: Session, question: TraceQuestion) -> TraceAnswer:
    """The tree below one request. Raises `UsageError` for what is no id of a request."""
    audit_id, cluster = _ident(question)
    asked = AskedRequest(audit_id, cluster or "", None, question.limit, question.depth)
    found = [r for r in Facts(session, cluster or "").request(audit_id) if cluster in (None, r.cluster)]
    if not found:
        told = coverage.told(Facts(session, coverage.cluster_of(session, cluster)))
        return TraceAnswer(asked, False, f"No request {audit_id} was recorded.", missing=told)
    request = _meant(found)
    until = question.until if question.until is not None else request.ts + DEFAULT_US
    asked.cluster, asked.until = request.cluster, format_us(until)
    case = Case(Facts(session, request.cluster, Window(None, None)))
    grown = _Tree(case, Around(case.facts, Window(request.received - SECOND, until)), question, until)
    answer = grown.answer(asked, request)
    witnesses.add(case.facts, _nodes(answer.root))
    if len(found) > 1:
        others = ", ".join(f"{r.action} {r.ref} by {r.person} at {format_us(r.ts)}" for r in found if r is not request)
        answer.notes.append(f"{len(found)} requests have this auditID, which a client chooses; the others: {others}")
    return answer


def _ident(question: TraceQuestion) -> tuple[str, str | None]:
    """`560c4dad-...` or `audit:default/560c4dad-.../ResponseComplete` -> (auditID, cluster)."""
    text = question.audit_id.strip()
    if text.startswith("audit:"):
        match = re.fullmatch(r"audit:([^/]+)/(.+?)(?:/(?:Request|Response)\w+|/Panic)?", text)
        if match is None:
            raise UsageError(f"{text!r} is no id of a request; write its auditID, or audit:CLUSTER/AUDIT_ID")
        return match.group(2), question.cluster or match.group(1)
    if not text or text.startswith(("event:", "object:", "log:", "finding:", "admission:")):
        raise UsageError(f"{text!r} is no request: trace follows a request of the audit trail, by its auditID")
    return text, question.cluster


def _meant(found: list[Request]) -> Request:
    """Of several with one auditID, the first that changed something."""
    return next((r for r in found if r.done and r.verb not in ("get", "list", "watch")), found[0])


class _Tree:
    """Grows the tree breadth first, so that what is cut at the limit is what is farthest away."""

    def __init__(self, case: Case, around: Around, question: TraceQuestion, until: int) -> None:
        self._case, self._around, self._question, self._until = case, around, question, until
        self._effects = Effects(case)
        self._seen: set[Mark] = set()
        self._cut: list[str] = []
        self._missing: list[str] = []
        self._count = 0

    def answer(self, asked: AskedRequest, request: Request) -> TraceAnswer:
        deed = self._effects.own(request)
        root = _node(deed, "proved", None)
        if not request.done or request.level == ADMISSION or request.verb in ("get", "list", "watch"):
            return TraceAnswer(asked, True, _nothing(request, deed), root)
        self._seen.add((deed.evidence[0], str(deed.ref)))
        self._grow(deed, root)
        cause = self._cause(deed)
        return TraceAnswer(
            question=asked,
            found=True,
            summary=_summary(deed, root, self._count),
            root=root,
            nodes=self._count,
            cause=cause,
            cut=self._cut + self._around.cut,
            missing=self._missing,
            gaps=coverage.gaps(self._case.facts, deed.when, min(self._until, deed.when + 5 * MINUTE), before=False),
        )

    def _cause(self, deed: Deed) -> Link | None:
        if not deed.controller:
            return None
        step = engine.explain(self._case, deed)
        return step.cause.link() if step is not None and step.cause is not None else None

    def _grow(self, deed: Deed, root: TraceNode) -> None:
        queue: deque[tuple[Deed, TraceNode, int]] = deque([(deed, root, 0)])
        while queue:
            parent, node, depth = queue.popleft()
            effects = self._below(parent)
            if effects and depth >= self._question.depth:
                self._cut_off(f"deeper than {self._question.depth} steps is not shown; trace {parent.evidence[0]}")
                continue
            for effect in effects:
                if self._count >= self._question.limit:
                    self._cut_off(f"only the first {self._question.limit} nodes are shown; --limit shows more")
                    return
                child = _node(effect.deed, effect.causes[parent.evidence[0]].certainty, effect.mechanism)
                node.children.append(child)
                self._count += 1
                self._missing += [m for m in effect.missing if m not in self._missing]
                if effect.deed.role != "note":
                    queue.append((effect.deed, child, depth + 1))

    def _cut_off(self, text: str) -> None:
        if text not in self._cut:
            self._cut.append(text)

    def _below(self, parent: Deed) -> list[Effect]:
        """What the engine says that this deed set off; each deed has one place in the tree."""
        candidates = list(self._around.candidates(parent))
        self._case.facts.fetch(r.ref for r in candidates)
        found = [e for r in candidates for e in self._effects.of(r)]
        if parent.request is not None:
            found += self._effects.of(parent.request)  # the objects of a collection's delete
        found += [e for event, ref in self._around.made(parent) for e in self._effects.named_by(event, ref)]
        new = []
        for effect in self._joined(parent, found):
            if effect.mark not in self._seen:
                self._seen.add(effect.mark)
                new.append(effect)
        if self._question.events:
            new += self._events_of(parent)
        return sorted(new, key=lambda e: e.deed.when)

    def _joined(self, parent: Deed, found: list[Effect]) -> list[Effect]:
        """Those that the parent set off. A collection's delete did many deeds: what one of its objects set off is left
        to that object."""
        cause = parent.evidence[0]
        mine = [e for e in found if cause in e.causes and e.deed is not parent]
        if parent.request is None or parent.request.verb != "deletecollection":
            return mine
        if parent.ref.name:
            return [e for e in mine if e.causes[cause].object == str(parent.ref)]
        objects = {str(e.deed.ref) for e in mine if e.deed.evidence[0] == cause}
        return [e for e in mine if e.causes[cause].object not in objects]

    def _events_of(self, deed: Deed) -> list[Effect]:
        """Events about the deed's object from then on, up to the next accepted write of it by somebody."""
        if not deed.ref.name or (deed.request is None and deed.role != "create"):
            return []
        later = [
            r.received
            for r in self._case.facts.requests(deed.ref)
            if r.done and r.received > deed.when and (not controller_of(r) or r.verb == "delete")
        ]
        ends = min([*later, self._until])
        last: dict[str, EventFact] = {}
        for event in self._case.facts.events(deed.ref):
            if deed.when - SECOND <= event.first <= ends and (event.id, str(deed.ref)) not in self._seen:
                last[event.uid] = event
        found = [event_effect(e, deed.ref, deed) for e in list(last.values())[:_MOST_EVENTS]]
        if len(last) > _MOST_EVENTS:
            self._cut_off(f"only the first {_MOST_EVENTS} Events about {deed.ref.said()} are shown; timeline has all")
        new = [e for e in found if e.mark not in self._seen]
        self._seen.update(e.mark for e in new)
        return new


def _nodes(root: TraceNode | None) -> list[TraceNode]:
    """A tree's nodes, each before its children."""
    found, stack = [], [root] if root is not None else []
    while stack:
        node = stack.pop()
        found.append(node)
        stack += reversed(node.children)
    return found


def _node(deed: Deed, certainty: Certainty, mechanism: str | None) -> TraceNode:
    link = deed.link()
    acting_as = deed.actor.acting_as if deed.actor else None
    sentence = deed.says if deed.says.endswith(".") else f"{deed.says}."
    return TraceNode(
        link.when, link.actor, acting_as, link.action, link.object, sentence, certainty, link.evidence, mechanism
    )


def _nothing(request: Request, deed: Deed) -> str:
    if request.dry_run:
        why = "it was a dry run"
    elif not request.done:
        why = f"it was refused ({request.code} {request.reason})".replace(" )", ")")
    else:
        why = "it changed nothing"
    return f"{deed.says}: {why}, so nothing followed."


def _summary(deed: Deed, root: TraceNode, count: int) -> str:
    if not count:
        return f"{deed.says}; nothing that followed from it is recorded."
    removed: set[str] = set()
    made: set[str] = set()
    stack = list(root.children)
    while stack:
        node = stack.pop()
        stack += node.children
        if node.action in ("delete", "create pods/eviction") or (node.action == "deletecollection"):
            removed.add(node.object)
        elif node.action in ("create", "SuccessfulCreate"):
            made.add(node.object)
    words = [f"{len(s)} object{'s' if len(s) != 1 else ''} {w}" for s, w in ((removed, "removed"), (made, "made")) if s]
    return f"{deed.says}; {count} record{'s' if count != 1 else ''} followed{': ' + ', '.join(words) if words else ''}."
