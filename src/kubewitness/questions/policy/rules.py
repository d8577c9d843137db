"""The rules of an audit policy: which is the first that fits a request, and what it has recorded of it.

Sources: audit.k8s.io/v1 (kubernetes.io/docs/reference/config-api/apiserver-audit.v1) and the API server's own matching
(k8s.io/apiserver pkg/audit/policy/checker.go).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import msgspec

from kubewitness.formats.yamldoc import to_json

#: from the least to the most that is recorded
LEVELS = ("None", "Metadata", "Request", "RequestResponse")


class Asked(NamedTuple):
    """What a policy looks at of a request; `path` of those for no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()


class Resources(msgspec.Struct, rename="camel"):
    group: str = ""
    resources: list[str] = []
    resource_names: list[str] = []

    def match(self, asked: Asked) -> bool:
        if self.group != asked.group:
            return False
        if not self.resources:
            return True
        if self.resource_names and asked.name not in self.resource_names:
            return False
        whole = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        fits = {whole, "*", f"{asked.resource}/*"} | ({f"*/{asked.subresource}"} if asked.subresource else set())
        return not fits.isdisjoint(self.resources)


class Rule(msgspec.Struct, rename="camel"):
    level: str
    users: list[str] = []
    user_groups: list[str] = []
    verbs: list[str] = []
    resources: list[Resources] = []
    namespaces: list[str] = []
    non_resource_urls: list[str] = msgspec.field(default_factory=list, name="nonResourceURLs")
    omit_stages: list[str] = []

    def match(self, asked: Asked) -> bool:
        if self.users and asked.user not in self.users:
            return False
        if self.user_groups and not set(self.user_groups) & set(asked.groups):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.resources or self.namespaces:
            return bool(asked.resource) and self._of_resource(asked)
        if self.non_resource_urls:
            return not asked.resource and any(_covers(p, asked.path) for p in self.non_resource_urls)
        return True

    def _of_resource(self, asked: Asked) -> bool:
        if self.namespaces and asked.namespace not in self.namespaces:
            return False
        return not self.resources or any(r.match(asked) for r in self.resources)


class Policy(msgspec.Struct, rename="camel"):
    rules: list[Rule]
    omit_stages: list[str] = []

    def rule_of(self, asked: Asked) -> int | None:
        """The place of the first rule that fits; None where none does, which is level None."""
        return next((i for i, rule in enumerate(self.rules) if rule.match(asked)), None)

    def records(self, stage: str, rule: int | None) -> str:
        """The level at which that rule has a stage recorded."""
        if rule is None or stage in self.omit_stages or stage in self.rules[rule].omit_stages:
            return "None"
        return self.rules[rule].level


def _covers(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


@cache
def policy_of(text: str) -> Policy:
    """A policy from its YAML. Raises `Malformed`, `msgspec.ValidationError`."""
    return msgspec.json.decode(to_json(text.encode()) or b"", type=Policy)
