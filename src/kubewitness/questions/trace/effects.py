"""What a recorded request did, and what set it off, in the engine's own words: `who` backwards is `trace` forwards.

Every write becomes the deed that `who` would make of it; the mechanisms then say which deed set it off. A request that
only carries out what another began (the kubelet's final delete, a pod's binding) is joined to that one by the object.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kubewitness.questions.bodies import at, meta
from kubewitness.questions.facts import EventFact, Request
from kubewitness.questions.lives import Life
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import creation, engine, removal, verbs
from kubewitness.questions.who.case import Case, Deed, controller_of, deed_of, event_deed, tool_of, weaker, who_said
from kubewitness.questions.who.history import SpecState, spec_history
from kubewitness.questions.who.mechanisms import finalizers
from kubewitness.questions.who.mechanisms.replicas import scaling_deed

_FOREVER = 1 << 62
#: objects of one deletecollection that are told one by one
_MOST_ITEMS = 1000

#: (first evidence, object): a collection's delete is one request and many effects
Mark = tuple[str, str]


class Cause(msgspec.Struct, frozen=True):
    """How surely a deed set another one off, and on which object it was done."""

    certainty: Certainty
    object: str


class Effect(msgspec.Struct):
    """A deed, and what set it off by the first evidence id of that."""

    deed: Deed
    causes: dict[str, Cause]
    mechanism: str | None = None
    #: what the records lacked to be sure
    missing: list[str] = msgspec.field(default_factory=list)

    @property
    def mark(self) -> Mark:
        return self.deed.evidence[0], str(self.deed.ref)


class Effects:
    """Effects of requests, each worked out once."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._of: dict[str, list[Effect]] = {}
        self._judged: dict[Mark, Effect] = {}
        self._removals: dict[tuple[str, int], Deed | None] = {}
        self._states: dict[tuple[str, int], list[SpecState]] = {}

    def of(self, request: Request) -> list[Effect]:
        """The effects of an accepted write; none when it changed nothing."""
        found = self._of.get(request.id)
        if found is None:
            found = self._of[request.id] = list(self._find(request)) if request.done else []
        return found

    def named_by(self, event: EventFact, ref: Ref) -> list[Effect]:
        """The creation of an object that only its maker's Event names (generated names at level Metadata)."""
        life = self._case.life(ref, when=event.first)
        deed = creation.find(self._case, life)
        return [self._judge(deed)] if deed is not None and deed.request is None else []

    def own(self, request: Request) -> Deed:
        """The deed of the request itself, told as well as the records allow."""
        for effect in self.of(request):
            if effect.deed.evidence[0] == request.id and (request.name or not effect.deed.ref.name):
                return effect.deed
        if request.done and request.verb in ("create", "update", "patch") and request.subresource in ("", "scale"):
            states = self._history(self._life(request))
            state = next((s for s in states if s.request.id == request.id), None)
            if state is not None:
                return verbs.told(state, request.ref, states)
        verb = {"patch": "patched", "get": "read", "watch": "watched"}.get(request.verb, _past(request.verb))
        target = f"{request.kind.lower() or request.uri} {'/'.join(p for p in (request.namespace, request.name) if p)}"
        sub = f" ({request.subresource})" if request.subresource else ""
        role = "remove" if request.verb.startswith("delete") else "change"
        return deed_of(request, f"{who_said(request)} {verb} {target.strip()}{sub}{tool_of(request)}", role=role)

    # one kind of request each

    def _find(self, r: Request) -> Iterator[Effect]:
        if r.verb == "deletecollection":
            yield from self._collection(r)
        elif not r.name:
            return
        elif r.verb == "delete" or r.subresource == "eviction":
            yield from self._removed(r)
        elif r.subresource == "binding":
            yield from self._bound(r)
        elif r.verb == "create" and not r.subresource:
            deed = creation.find(self._case, self._life(r))
            if deed is not None and deed.request is not None and deed.request.id == r.id:
                yield self._judge(deed)
        elif r.verb in ("update", "patch", "create"):
            yield from self._changed(r)

    def _removed(self, r: Request) -> Iterator[Effect]:
        life = self._life(r)
        deed = self._removal(life)
        if deed is None:
            return
        mine = deed.request is not None and deed.request.id == r.id
        yield self._removal_effect(deed)
        if not mine and controller_of(r) == "kubelet":
            says = f"{who_said(r)} finished the deletion of {r.ref.said()}"
            sure: Certainty = "proved" if deed.certainty == "proved" else "inferred"
            yield Effect(deed_of(r, says, role="note", life=life), _by(deed, sure))

    def _removal_effect(self, deed: Deed) -> Effect:
        """An object that went with its collection was set off by the collection's delete."""
        request = deed.request
        if request is not None and request.verb == "deletecollection":
            return Effect(deed, {request.id: Cause(deed.certainty, str(request.ref))}, "collection")
        return self._judge(deed)

    def _collection(self, r: Request) -> Iterator[Effect]:
        what = f"all {r.resource} in {r.namespace}" if r.namespace else f"all {r.resource}"
        deed = deed_of(r, f"{who_said(r)} deleted {what}{tool_of(r)}", role="remove", root_action="deletecollection")
        yield self._judge(deed)
        items = at(self._case.facts.bodies(r).response, "items")
        for item in items[:_MOST_ITEMS] if isinstance(items, list) else []:
            name = meta(item, "name")
            if isinstance(name, str):
                ref = Ref(r.cluster, r.group, r.resource, r.namespace, name)
                removed = self._removal(self._case.life(ref, str(meta(item, "uid") or ""), r.ts))
                if removed is not None and removed.evidence[0] == r.id:
                    yield self._removal_effect(removed)

    def _bound(self, r: Request) -> Iterator[Effect]:
        life = self._life(r)
        created = creation.find(self._case, life)
        if created is None or created.when > r.ts + 1_000_000:
            return
        node = at(self._case.facts.bodies(r).request, "target", "name")
        says = f"{who_said(r)} bound {r.ref.said()}{f' to node {node}' if node else ''}"
        yield Effect(deed_of(r, says, role="note", life=life), _by(created, created.certainty))

    def _changed(self, r: Request) -> Iterator[Effect]:
        life = self._life(r)
        if not controller_of(r):
            yield from self._released(r, life)
            return
        states = self._history(life)
        state = next((s for s in states if s.request.id == r.id), None)
        if state is not None and state.touched != frozenset():
            resized = state.before is not None and state.replicas not in (None, state.before)
            yield self._judge(scaling_deed(state, r.ref, "proved") if resized else verbs.told(state, r.ref, states))

    def _released(self, r: Request, life: Life) -> Iterator[Effect]:
        """Whoever takes the last finalizer away lets an earlier deletion go on."""
        if r.subresource or not life.gone:
            return
        deletion = self._removal(life)
        if deletion is not None and deletion.when < r.ts:
            deed = finalizers.released(self._case, life, deletion)
            if deed is not None and deed.request is not None and deed.request.id == r.id:
                yield self._judge(deed)

    # what is worked out once

    def _life(self, r: Request) -> Life:
        return self._case.life(r.ref, r.uid if r.subresource in ("", "scale", "binding") else "", r.ts)

    def _history(self, life: Life) -> list[SpecState]:
        key = (str(life.ref), life.first)
        if key not in self._states:
            self._states[key] = spec_history(self._case.facts, life, _FOREVER)
        return self._states[key]

    def _removal(self, life: Life) -> Deed | None:
        key = (str(life.ref), life.first)
        if key not in self._removals:
            self._removals[key] = removal.find(self._case, life).deed
        return self._removals[key]

    def _judge(self, deed: Deed) -> Effect:
        """What the mechanisms say of a deed."""
        mark = (deed.evidence[0], str(deed.ref))
        found = self._judged.get(mark)
        if found is None:
            before, self._case.missing = self._case.missing, []
            step = engine.explain(self._case, deed)
            found = Effect(deed, {}, step.mechanism if step else None, self._case.missing)
            self._case.missing = before
            if step is not None:
                for candidate in step.candidates:
                    found.causes.update(_by(candidate, "inferred"))
                if step.cause is not None:
                    sure = weaker(deed.certainty, step.cause.certainty)
                    found.causes.update(_by(step.cause, "inferred" if step.doubt or step.candidates else sure))
            self._judged[mark] = found
        return found


def event_effect(event: EventFact, ref: Ref, cause: Deed) -> Effect:
    """An Event about an object, after a deed on it: only time and the object join the two."""
    deed = event_deed(event, f"{event.reason}: {event.message}".strip(), ref=ref, role="note", controller="")
    deed.actor = None
    return Effect(deed, _by(cause, "inferred"))


def _by(cause: Deed, certainty: Certainty) -> dict[str, Cause]:
    return {cause.evidence[0]: Cause(certainty, str(cause.ref))}


def _past(verb: str) -> str:
    return verb + ("d" if verb.endswith("e") else "ed")
