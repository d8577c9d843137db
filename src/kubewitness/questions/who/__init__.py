"""Who or what did it: the cause chain of an effect. `ask` asks; engine.py follows the chain, mechanisms/ explain."""

from __future__ import annotations

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.times import format_us
from kubewitness.questions import coverage, witnesses
from kubewitness.questions.facts import Facts, Session, Window
from kubewitness.questions.lives import Life, choose
from kubewitness.questions.model import AskedObject, WhoAnswer
from kubewitness.questions.rebuild.changes import changed_by
from kubewitness.questions.rebuild.managers import silent_webhooks
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import engine, nodelife, nodes, refusals, removal, signs, verbs
from kubewitness.questions.who.case import Case
from kubewitness.questions.who.mechanisms import finalizers

#: every verb, and what it asks of; nodes have their own
VERBS = ("deleted", "evicted", "killed", "created", "changed", "scaled", "read", "exec", "granted")
NODE_VERBS = ("cordoned", "uncordoned", "drained", "tainted", "started", "stopped")

#: components whose removals people call evictions, too
_EVICTORS = ("taint-eviction-controller", "node-controller", "kubelet", "")


class WhoQuestion(msgspec.Struct):
    """What is asked. `verb` "" means: who deleted it, if it is gone; else who changed it. Times in microseconds."""

    ref: Ref
    verb: str = ""
    uid: str | None = None
    at: int | None = None
    since: int | None = None
    until: int | None = None


def ask(session: Session, question: WhoQuestion) -> WhoAnswer:
    """The answer, found or not. Raises `UsageError` for a verb that does not fit the kind."""
    _check(question)
    case = Case(Facts(session, question.ref.cluster, Window(question.since, question.until)))
    answer = _answer(case, question)
    witnesses.add(case.facts, answer.chain)
    return answer


def _answer(case: Case, question: WhoQuestion) -> WhoAnswer:
    ref = question.ref
    lives = case.lives(ref)
    verb = question.verb or _default_verb(case, lives)
    life = choose(lives, uid=question.uid, at=question.at, gone=verb in ("deleted", "evicted", "killed"))
    asked = AskedObject(
        verb,
        ref.cluster,
        ref.kind_name,
        ref.namespace,
        ref.name,
        (life.uid if life else question.uid) or None,
        format_us(question.at) if question.at is not None else None,
    )
    if life is None:
        return _unknown_object(case, asked, question)
    if verb in ("deleted", "evicted", "killed"):
        return _removed(case, asked, life, verb)
    if verb in ("started", "stopped"):
        return nodelife.ask(case, asked, life, verb, question.at)
    if verb in NODE_VERBS:
        return nodes.ask(case, asked, life, verb, question.at)
    answer = verbs.ask(case, asked, life, verb, question.at)
    if answer.found and verb in ("changed", "scaled", "granted"):
        ident = answer.chain[0].evidence[0]
        answer.changes = changed_by(case.facts, life, ident)
        request = next((r for r in case.facts.requests(ref) if r.id == ident), None)
        for webhook in silent_webhooks(request.annotations) if request else []:
            case.need(f"which fields the admission webhook {webhook} changed: audit level Request would show its patch")
    return answer


def _check(question: WhoQuestion) -> None:
    verb, resource = question.verb, question.ref.resource
    if verb and verb not in (*VERBS, *NODE_VERBS):
        import difflib

        near = difflib.get_close_matches(verb, [*VERBS, *NODE_VERBS], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown verb {verb!r}{hint}; known: {', '.join((*VERBS, *NODE_VERBS))}")
    if verb in NODE_VERBS and resource != "nodes":
        raise UsageError(f"only nodes are {verb}; ask for instance: who {verb} node/NAME")
    if verb == "granted" and resource not in ("rolebindings", "clusterrolebindings"):
        raise UsageError(
            "granted asks about a binding (who granted rolebinding/NAME) or a right (who granted USER VERB RESOURCE)"
        )
    if verb in ("evicted", "killed", "exec") and resource != "pods":
        raise UsageError(f"{verb!r} asks about pods; ask for instance: who {verb} pod/NAME")


def _default_verb(case: Case, lives: list[Life]) -> str:
    """`deleted` when the object is gone (or going), else `changed`."""
    if not lives:
        return "deleted"
    last = lives[-1]
    if last.gone or (last.ref.resource == "pods" and removal.find(case, last).seen):
        return "deleted"
    return verbs.last_verb(case, last)


def _removed(case: Case, asked: AskedObject, life: Life, verb: str) -> WhoAnswer:
    """`deleted`, `evicted`, `killed`."""
    case.missing.clear()
    if verb != "deleted" and (ended := signs.kubelet_evicted(case, life)) is not None:
        return engine.answer(case, asked, engine.follow(case, ended), default="node-pressure")
    found = removal.find(case, life, evicted_only=verb == "evicted")
    if found.deed is None and verb == "killed":
        return verbs.container_failed(case, asked, life)
    if found.deed is None and verb == "evicted":
        by_sign = removal.find(case, life)
        if by_sign.deed is not None and by_sign.deed.request is None and by_sign.deed.controller in _EVICTORS:
            found = by_sign
    if found.deed is None:
        return _not_removed(case, asked, life, found, verb)
    held = finalizers.released(case, life, found.deed) if verb == "deleted" else None
    if held is not None:
        return engine.answer(case, asked, engine.follow(case, held), default="finalizer-removed")
    chain = engine.follow(case, found.deed, found.context, found.rivals)
    return engine.answer(case, asked, chain, default=_default_mechanism(found.deed.root_action))


def _default_mechanism(action: str) -> str:
    return {"deletecollection": "collection", "evict": "eviction-api"}.get(action, "direct")


def _not_removed(case: Case, asked: AskedObject, life: Life, found: removal.Removal, verb: str) -> WhoAnswer:
    said = life.ref.said()
    links = [d.link() for d in found.context]
    if found.seen and verb != "evicted":
        when = f" Its deletion was asked for at {format_us(found.asked)}." if found.asked else ""
        summary = f"{said} is gone, but the records do not tell who asked for it.{when}"
    elif links:
        summary = f"{said} was not {verb}: {links[-1].sentence}"
    else:
        summary = f"No record says that {said} was {verb}; it was last seen at {format_us(life.last)}."
        if verb == "evicted" and removal.find(case, life).deed is not None:
            summary = f"{said} was not evicted; it was deleted: ask who deleted it."
    answer = verbs.not_found(case, asked, summary, links, coverage.gaps(case.facts, life.first, life.last))
    if any(d.root_action == "admission" for d in found.context):
        answer.mechanism = "admission"
    return answer


def _unknown_object(case: Case, asked: AskedObject, question: WhoQuestion) -> WhoAnswer:
    """Nothing was recorded of that name: near names, and what was recorded at all."""
    ref = question.ref
    lives = case.lives(ref)
    if lives and question.uid:
        summary = f"no {ref.said()} with uid {question.uid} was recorded; recorded: " + ", ".join(
            f"{life.uid or '(no uid)'} from {format_us(life.first)}" for life in lives[-5:]
        )
    else:
        near = coverage.near_names(case.facts, ref)
        summary = f"Nothing was recorded of {ref.said()}."
        if near:
            summary += " Near names: " + ", ".join(near) + "."
    refused = [] if lives else refusals.by_admission(case, ref)
    if refused:
        answer = verbs.not_found(case, asked, f"{refused[-1].says}.", [d.link() for d in refused], [])
        answer.mechanism = "admission"
        return answer
    for line in coverage.told(case.facts):
        case.need(line)
    return verbs.not_found(case, asked, summary, [], [])
