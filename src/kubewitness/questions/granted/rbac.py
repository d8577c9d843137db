"""RBAC's own rules, on bodies: whom a binding names, and whether a rule allows a request.

Source: the Kubernetes documentation's reference/access-authn-authz/rbac. Pure; nothing here knows records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"
_SA = "system:serviceaccount:"
#: `RBAC: allowed by RoleBinding "x/ns" of ClusterRole "y" to User "z"`: the API server's own reason, an annotation
_REASON = re.compile(
    r'RBAC: allowed by (ClusterRoleBinding|RoleBinding) "([^"]+)" of (ClusterRole|Role) "([^"]+)" to '
    r'(User|Group|ServiceAccount) "([^"]+)"'
)


class Right(msgspec.Struct, frozen=True):
    """What is asked for: a verb on a resource (`namespace` "" for cluster-wide ones), or on a URL that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    url: str = ""


class Reason(msgspec.Struct, frozen=True):
    """The binding that the API server said it allowed a request by."""

    binding_kind: str
    binding: str
    namespace: str
    role_kind: str
    role: str
    subject: str


def reason_of(text: str) -> Reason | None:
    """The annotation authorization.k8s.io/reason, read; None when it is no binding's (Node, ABAC, Webhook ...)."""
    found = _REASON.match(text)
    if found is None:
        return None
    kind, binding, role_kind, role, subject_kind, subject = found.groups()
    name, _, namespace = binding.partition("/") if kind == "RoleBinding" else (binding, "", "")
    if subject_kind == "ServiceAccount":  # name/namespace
        subject = "/".join(reversed(subject.split("/")))
    return Reason(kind, name, namespace, role_kind, role.partition("/")[0], f"{subject_kind} {subject}")


def implied_groups(user: str) -> list[str]:
    """Groups that every API server adds by itself."""
    if user == "system:anonymous":
        return ["system:unauthenticated"]
    if user.startswith(_SA):
        namespace = user.removeprefix(_SA).partition(":")[0]
        return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return ["system:authenticated"]


def subject_of(binding: Any, user: str, groups: Sequence[str]) -> str | None:
    """`User alice`, `Group devs`: the subject of a binding by which a user is meant; None when they are not."""
    subjects = binding.get("subjects") if isinstance(binding, Mapping) else None
    for subject in subjects if isinstance(subjects, list) else []:
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "ServiceAccount" and user == f"{_SA}{subject.get('namespace')}:{name}":
            return f"ServiceAccount {subject.get('namespace')}/{name}"
        if (kind == "User" and name == user) or (kind == "Group" and name in groups):
            return f"{kind} {name}"
    return None


def rule_of(role: Any, right: Right) -> dict[str, Any] | None:
    """The first rule of a role that allows a right."""
    rules = role.get("rules") if isinstance(role, Mapping) else None
    for rule in rules if isinstance(rules, list) else []:
        if isinstance(rule, dict) and _allows(rule, right):
            return rule
    return None


def _allows(rule: dict[str, Any], right: Right) -> bool:
    if not _in(right.verb, rule.get("verbs")):
        return False
    if right.url:
        urls = rule.get("nonResourceURLs") or []
        return any(u in ("*", right.url) or (u.endswith("*") and right.url.startswith(u[:-1])) for u in urls)
    if not _in(right.group, rule.get("apiGroups")):
        return False
    names = rule.get("resourceNames")
    if names and right.name not in names:
        return False
    wanted = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    resources = rule.get("resources") or []
    return "*" in resources or wanted in resources or bool(right.subresource and f"*/{right.subresource}" in resources)


def _in(value: str, allowed: Any) -> bool:
    return isinstance(allowed, list) and ("*" in allowed or value in allowed)


def only_by_name(role: Any, right: Right) -> bool:
    """Whether a role allows the right for some named objects only, and none was asked about."""
    if right.name or rule_of(role, right) is not None:
        return False
    rules = role.get("rules") if isinstance(role, Mapping) else None
    return any(
        isinstance(rule, dict) and rule.get("resourceNames") and _allows({**rule, "resourceNames": []}, right)
        for rule in (rules if isinstance(rules, list) else [])
    )


def aggregates(role: Any, labels: Any) -> bool:
    """Whether an aggregated ClusterRole takes in one with these labels (matchLabels and matchExpressions)."""
    selectors = ((role or {}).get("aggregationRule") or {}).get("clusterRoleSelectors")
    held = labels if isinstance(labels, dict) else {}
    return any(_selects(s, held) for s in selectors or [] if isinstance(s, dict))


def _selects(selector: dict[str, Any], labels: dict[str, Any]) -> bool:
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for e in selector.get("matchExpressions") or []:
        value, values = labels.get(e.get("key")), e.get("values") or []
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits.get(e.get("operator"), False):
            return False
    return True
