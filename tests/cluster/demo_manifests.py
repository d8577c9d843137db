"""The objects of the demo's cluster: three namespaces, five workloads, and who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.cluster.harness.options import Policy

Object = dict[str, Any]

_EVENTS = [{"group": g, "resources": ["events"]} for g in ("", "events.k8s.io")]

#: Bodies of what changes things, metadata of the rest, and without the noisiest. No RequestReceived: every
#: request of the recording is one record, but for watches and exec.
AUDIT_POLICY: Policy = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/api*", "/openapi*", "/version*"]},
        {"level": "None", "users": ["system:apiserver"]},
        # The driver's own looking on.
        {"level": "None", "users": ["admin"], "verbs": ["get", "list", "watch"]},
        {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
        {
            "level": "None",
            "users": ["system:kube-controller-manager"],
            "resources": [{"group": "", "resources": ["serviceaccounts", "serviceaccounts/token"]}],
        },
        {
            "level": "None",
            "users": ["system:kube-controller-manager", "system:kube-scheduler"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "level": "None",
            "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"],
            "verbs": ["list", "watch"],
        },
        {
            "level": "Metadata",
            "resources": [
                {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
                {"group": "authentication.k8s.io"},
                {"group": "authorization.k8s.io"},
                {"group": "rbac.authorization.k8s.io"},
            ],
        },
        {"level": "Metadata", "resources": [{"group": "", "resources": ["nodes/status", "endpoints"]}]},
        {"level": "Metadata", "resources": [{"group": "discovery.k8s.io"}]},
        {"level": "Request", "resources": _EVENTS},
        {"level": "Request", "verbs": ["update", "patch"], "resources": [{"group": "", "resources": ["pods/status"]}]},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(namespace: str, name: str, replicas: int, image: str = "") -> Object:
    labels = {"app": name}
    container = {"name": name, "image": image or f"{namespace}/{name}:1.0"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def disruption_budget(namespace: str, name: str, minimum: int) -> Object:
    return {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"minAvailable": minimum, "selector": {"matchLabels": {"app": name}}},
    }


def job(namespace: str, name: str, seconds_after_finished: int) -> Object:
    """The image's tag makes the hollow runtime's container end by itself."""
    container = {"name": name, "image": f"{namespace}/{name}:exit0-2s"}
    spec = {"containers": [container], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ttlSecondsAfterFinished": seconds_after_finished, "template": {"spec": spec}},
    }


def _rule(group: str, resources: str, verbs: str, names: Sequence[str] = ()) -> Object:
    rule: Object = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return rule | ({"resourceNames": list(names)} if names else {})


_ROLES: dict[str, list[Object]] = {
    "developer": [
        _rule("", "pods services configmaps", "get list watch create update patch delete"),
        _rule("", "pods/log pods/exec", "get create"),
        _rule("apps", "deployments deployments/scale replicasets", "get list watch create update patch delete"),
        _rule("batch", "jobs", "get list watch create update patch delete"),
    ],
    "site-reliability": [
        _rule("", "nodes", "get list watch patch"),
        _rule("", "pods", "get list watch delete"),
        _rule("", "pods/eviction", "create"),
        _rule("", "secrets", "get"),
        _rule("", "namespaces", "get list delete watch"),
        _rule("apps", "daemonsets", "get list"),
        _rule("", "users", "impersonate", ["carol"]),
        _rule("", "groups", "impersonate", ["auditors"]),
    ],
    "deployer": [
        _rule("", "secrets services", "get create update patch"),
        _rule("apps", "deployments replicasets", "get list watch create update patch"),
        _rule("policy", "poddisruptionbudgets", "get create update patch"),
    ],
    "auditor": [_rule("", "pods", "get list watch delete deletecollection")],
}
_EVERYWHERE = {"site-reliability": "sre", "deployer": "robots"}
_INSIDE = {"developer": ("devs", ("shop", "staging")), "auditor": ("auditors", ("shop", "payments"))}


def roles() -> list[Object]:
    """Roles and bindings. Developers may not read secrets; auditors may clean up pods."""
    rbac = "rbac.authorization.k8s.io"
    made: list[Object] = [
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
        for name, rules in _ROLES.items()
    ]

    def bind(kind: str, role: str, group: str, where: Object) -> Object:
        return {
            "apiVersion": f"{rbac}/v1",
            "kind": kind,
            "metadata": {"name": f"{group}-{role}", **where},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": rbac, "kind": "Group", "name": group}],
        }

    made += [bind("ClusterRoleBinding", role, group, {}) for role, group in _EVERYWHERE.items()]
    for role, (group, spaces) in _INSIDE.items():
        made += [bind("RoleBinding", role, group, {"namespace": space}) for space in spaces]
    return made
