"""From an effect to its root: follows the mechanisms from deed to deed and makes the answer of what they found."""

from __future__ import annotations

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions import coverage
from kubewitness.questions.model import AskedObject, Certainty, Link, Root, WhoAnswer
from kubewitness.questions.who.case import Case, Deed, Step, weaker
from kubewitness.questions.who.mechanisms import MECHANISMS

#: no real chain is longer; a longer one is a loop in the records
_LONGEST = 12

#: mechanisms that a cause further up may say better: a namespace's end is more than its objects' owners' end, the
#: autoscaler's scaling more than a scaling. Any other stays: a preemption is one, however the preempting pod came about
_SAID_BETTER_BY_A_CAUSE = (None, "controller", "owner-deleted", "scale-down")


class Chain(msgspec.Struct):
    """The deeds from effect to root, what explains them, and how far the records carried."""

    deeds: list[Deed]
    links: list[Link]
    mechanism: str | None = None
    candidates: list[Deed] = msgspec.field(default_factory=list)
    #: whether the last deed needs no further cause
    rooted: bool = True
    #: a mechanism on the way was not certain
    doubt: bool = False


def follow(case: Case, effect: Deed, context: list[Deed] | None = None, candidates: list[Deed] | None = None) -> Chain:
    """The chain of causes of one deed."""
    chain = Chain([effect], [effect.link(), *(d.link() for d in context or ())])
    chain.candidates += candidates or []
    deed = effect
    seen = {(effect.evidence[0], effect.ref)}
    for _ in range(_LONGEST):
        step = explain(case, deed)
        if step is None:
            chain.rooted = not deed.controller or deed.nobody
            break
        if step.mechanism and chain.mechanism in _SAID_BETTER_BY_A_CAUSE:
            chain.mechanism = step.mechanism
        chain.candidates += step.candidates
        chain.doubt = chain.doubt or step.doubt
        case.missing.extend(m for m in step.missing if m not in case.missing)
        chain.links += [d.link() for d in step.context]
        if step.cause is None or (step.cause.evidence[0], step.cause.ref) in seen:
            chain.rooted = step.final
            break
        deed = step.cause
        seen.add((deed.evidence[0], deed.ref))
        chain.deeds.append(deed)
        chain.links.append(deed.link())
        if step.final or deed.nobody:
            break
    return chain


def explain(case: Case, deed: Deed) -> Step | None:
    """The first mechanism's word on a deed."""
    if deed.nobody:
        return None
    for _, mechanism in MECHANISMS:
        step = mechanism(case, deed)
        if step is not None:
            return step
    return None


def answer(case: Case, question: AskedObject, chain: Chain, *, default: str) -> WhoAnswer:
    """The answer that a chain gives. `default` is the mechanism when none named itself."""
    effect, last = chain.deeds[0], chain.deeds[-1]
    certainty = weaker(*(d.certainty for d in chain.deeds))
    mechanism = chain.mechanism or (default if chain.rooted else "unknown")
    candidates = _distinct(case, chain, last)
    if candidates or chain.doubt:
        certainty = weaker(certainty, "inferred")
    if not chain.rooted:
        certainty = "unknown"
        case.need(f"what made {last.actor.user if last.actor else 'it'} {last.root_action} {last.ref.said()}")
    return WhoAnswer(
        question=question,
        found=True,
        mechanism=mechanism,
        when=format_us(effect.when),
        actor=effect.actor,
        root=last.root(),
        certainty=certainty,
        summary=summary(chain, certainty),
        chain=chain.links,
        candidates=candidates,
        missing=case.missing,
        gaps=coverage.gaps(case.facts, last.when, effect.when, before=certainty != "proved"),
    )


def _distinct(case: Case, chain: Chain, last: Deed) -> list[Root]:
    """Other roots that fit as well; each candidate is followed to its own root first."""
    known = {(last.actor.user if last.actor else None, last.root_action, str(last.ref))}
    roots: list[Root] = []
    for deed in chain.candidates:
        missing = list(case.missing)
        end = follow(case, deed).deeds[-1]
        case.missing[:] = missing
        mark = (end.actor.user if end.actor else None, end.root_action, str(end.ref))
        if mark not in known:
            known.add(mark)
            roots.append(end.root())
    return roots


def summary(chain: Chain, certainty: Certainty) -> str:
    """One sentence: the root, and what it did to the object."""
    effect, last = chain.deeds[0], chain.deeds[-1]
    if last is effect:
        text = effect.says
    elif effect.request is not None and effect.request.subresource == "eviction":
        text = f"{last.says}; the Eviction API removed the pod"
    else:
        text = f"{last.says}; then {effect.says}"
    if not chain.rooted:
        return f"{_capital(text)}; who or what set that off is not recorded."
    return f"{'Probably ' if certainty == 'inferred' else ''}{text if certainty == 'inferred' else _capital(text)}."


def _capital(text: str) -> str:
    """A sentence's beginning; user names stay as they are."""
    return "The " + text[4:] if text.startswith("the ") else text
