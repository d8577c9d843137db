"""Who gave a user a right: the binding and the role that allowed it at a time, and who made each.

Two kinds of evidence: the API server's word (annotation authorization.k8s.io/reason of the user's requests), and the
bodies of bindings and roles, rebuilt as they were then. The first is proof for its moment; the second also tells
about rights that were never used.
"""

from __future__ import annotations

from kubewitness.errors import UsageError
from kubewitness.questions import coverage
from kubewitness.questions.facts import Facts, Session
from kubewitness.questions.granted.engine import Asking
from kubewitness.questions.granted.model import Grant, GrantedAnswer, GrantedQuestion
from kubewitness.questions.granted.rbac import Right
from kubewitness.questions.targets import find_kind

__all__ = ["Grant", "GrantedAnswer", "GrantedQuestion", "ask", "right_of"]


def ask(session: Session, question: GrantedQuestion) -> GrantedAnswer:
    """Every binding that gave the right at that time."""
    return Asking(Facts(session, question.cluster), question).answer()


#: words after the slash that are subresources; any other is an object's name
_SUBRESOURCES = frozenset(
    (
        *("approval", "attach", "binding", "ephemeralcontainers", "eviction", "exec", "finalize", "log"),
        *("portforward", "proxy", "resize", "scale", "status", "token"),
    )
)


def right_of(facts: Facts, verb: str, resource: str, namespace: str | None) -> Right:
    """The right that words name, as `kubectl auth can-i` takes them: `pods`, `pods/log`, `deploy/web`, `/healthz`.
    Raises `UsageError` for an unknown resource."""
    if resource.startswith("/"):
        return Right(verb.lower(), url=resource)
    word, _, rest = resource.partition("/")
    sub, _, name = rest.partition("/") if rest.partition("/")[0] in _SUBRESOURCES else ("", "", rest)
    if word == "*":
        return Right(verb.lower(), "*", "*", sub, namespace or "default", name)
    try:
        kind = find_kind(word)
    except UsageError:
        kind = find_kind(word, coverage.resources(facts))
    space = (namespace or "default") if kind.namespaced else ""
    if kind.resource == "namespaces":
        space = name
    return Right(verb.lower(), kind.group, kind.resource, sub, space, name)
