"""Attempts that were refused: by a disruption budget (429), or by admission, and then whose policy it was."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubewitness.questions.bodies import at
from kubewitness.questions.facts import WRITES, Request, Window
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import Case, Deed, deed_of, tool_of, who_said

_BUDGET = 429
#: how the API server words it (k8s.io/apiserver pkg/admission/plugin: webhook/errors/statuserror.go, policy/validating)
_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request")
_GROUP = "admissionregistration.k8s.io"
_CONFIGURATIONS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")


def of(case: Case, ref: Ref, attempts: Sequence[Request]) -> list[Deed]:
    """Refused attempts, one deed for each user and kind: how often, from when to when, and by what."""
    groups: dict[tuple[str, str], list[Request]] = {}
    for r in attempts:
        if r.subresource == "eviction" and r.code == _BUDGET:
            groups.setdefault((r.person, "budget"), []).append(r)
        elif not r.done and not r.dry_run and _refuser(case, r):
            groups.setdefault((r.person, r.action), []).append(r)
    return [_told(case, ref, refused) for refused in groups.values()]


def by_admission(case: Case, ref: Ref) -> list[Deed]:
    """Writes of an object that admission refused, and who wrote what refused them."""
    refused = [r for r in case.facts.requests(ref) if r.code != _BUDGET]
    return of(case, ref, refused)


def _told(case: Case, ref: Ref, refused: list[Request]) -> Deed:
    first, last = refused[0], refused[-1]
    times = f"{len(refused)} times" if len(refused) > 1 else "once"
    what = "evict" if last.subresource == "eviction" else last.verb
    if last.code == _BUDGET:
        why = budget_of(case.facts.bodies(last).response) or last.message or last.reason
        why = f"(429): {why or 'a disruption budget forbade it'}"
        author, action = None, "evict"
    else:
        refuser = _refuser(case, last) or ""
        author, action = _author(case, last), "admission"
        why = f"by {refuser}"
    says = f"{who_said(last)} tried {times} to {what} {ref.said()} and was refused {why}"
    if author is not None:
        says += f"; {author.says}"
    deed = deed_of(last, says, ref=ref, root_action=action, role="note")
    deed.evidence = [r.id for r in (first, last)][: len(refused)] + (author.evidence if author else [])
    return deed


def budget_of(status: object) -> str:
    """What a refused eviction's answer says about the PodDisruptionBudget."""
    causes = at(status, "details", "causes")
    texts = [str(c.get("message", "")) for c in causes if isinstance(c, dict)] if isinstance(causes, list) else []
    return " ".join([*filter(None, texts)]) or str(at(status, "message") or "")


def _message(case: Case, request: Request) -> str:
    return request.message or str(at(case.facts.bodies(request).response, "message") or "")


def _refuser(case: Case, request: Request) -> str | None:
    """What of admission refused a request, with its reason; None when it was not admission, or no message tells."""
    if request.done or request.code < 400:
        return None
    text = _message(case, request)
    if policy := _POLICY.search(text):
        reason = text[policy.end() :].strip(": ")
        return f"the ValidatingAdmissionPolicy {policy.group(1)} (binding {policy.group(2)}): {reason}"
    if webhook := _WEBHOOK.search(text):
        reason = text[webhook.end() :].strip(": ")
        return f"the admission webhook {webhook.group(1)}" + (f": {reason}" if reason else "")
    return None


def _author(case: Case, request: Request) -> Deed | None:
    """The last write, before the refusal, of the policy or of the webhook's configuration."""
    text = _message(case, request)
    if policy := _POLICY.search(text):
        ref = Ref(request.cluster, _GROUP, "validatingadmissionpolicies", "", policy.group(1))
        writes = [r for r in case.facts.requests(ref, ("create", "update", "patch")) if _before(r, request)]
        return _wrote(writes[-1], f"the policy {policy.group(1)}") if writes else None
    webhook = _WEBHOOK.search(text)
    if webhook is None:
        return None
    for resource in _CONFIGURATIONS:
        window = Window(None, request.ts)
        writes = case.facts.requests_in(window, resource=resource, verbs=[v for v in WRITES if v != "delete"])
        for r in reversed([r for r in writes if _before(r, request)]):
            body = case.facts.bodies(r)
            hooks = at(body.response, "webhooks") or at(body.request, "webhooks") or []
            if any(isinstance(h, dict) and h.get("name") == webhook.group(1) for h in hooks):
                return _wrote(r, f"the webhook {webhook.group(1)}")
    return None


def _before(write: Request, request: Request) -> bool:
    return write.done and not write.subresource and write.received <= request.ts


def _wrote(write: Request, what: str) -> Deed:
    did = "made" if write.verb == "create" else "last changed"
    return deed_of(write, f"{who_said(write)} {did} {what}{tool_of(write)}")
