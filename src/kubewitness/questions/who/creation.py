"""Which request created an object. One with a generated name is named only in its response, or by an Event."""

from __future__ import annotations

from kubewitness.questions import coverage
from kubewitness.questions.lives import Life
from kubewitness.questions.who.case import Case, Deed, deed_of, event_deed, tool_of, who_said


def find(case: Case, life: Life) -> Deed | None:
    """The creation of one life of an object, from its request or, where that names nothing, from its maker's Event."""
    creates = [
        r
        for r in case.facts.requests(life.ref, ("create", "update", "patch"))
        if r.done and not r.subresource and life.covers(r.ts, r.uid) and (r.verb == "create" or r.code == 201)
    ]
    if creates:
        first = creates[0]
        says = f"{who_said(first)} created {life.ref.said()}{tool_of(first)}"
        return deed_of(first, says, ref=life.ref, root_action="create", role="create", life=life)
    for e in case.facts.events_in(
        coverage.around(life), namespace=life.ref.namespace, reasons=("SuccessfulCreate",), message_has=life.ref.name
    ):
        if e.message.rpartition(": ")[2] == life.ref.name:
            controller = e.component or f"{e.kind.lower()}-controller"
            says = f"the {controller.replace('-', ' ')} created {life.ref.said()}"
            return event_deed(e, says, ref=life.ref, role="create", controller=controller, life=life)
    return None
