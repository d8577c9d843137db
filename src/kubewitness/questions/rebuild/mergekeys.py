"""How the API server merges lists of built-in types in a strategic merge patch.

From the struct tags `patchStrategy` and `patchMergeKey` of k8s.io/api (core/v1, apps/v1, batch/v1, meta/v1,
admissionregistration/v1, storage/v1 types.go), which the API server publishes as `x-kubernetes-patch-strategy` and
`x-kubernetes-patch-merge-key` at /openapi/v2; tests/cluster/test_rebuild.py compares this table with a server's own.
Lists that are not here are replaced as a whole (`tolerations`, `taints`, `rules`, `subjects`, `args`, `command` ...).
"""

from __future__ import annotations

from typing import Any

#: list field -> keys that may tell its items apart; the first that the items have is taken
_KEYS: dict[str, tuple[str, ...]] = {
    "addresses": ("type",),  # NodeStatus
    "conditions": ("type",),  # every status
    "containers": ("name",),
    "drivers": ("name",),  # CSINodeSpec
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip", "hostname"),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "matchConditions": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "hostIPs": ("ip",),
    "ports": ("containerPort", "port"),  # Container, ServiceSpec
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "secrets": ("name",),  # ServiceAccount
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "webhooks": ("name",),  # Mutating- and ValidatingWebhookConfiguration
}
#: lists of scalars that are merged
_PRIMITIVE = frozenset({"finalizers", "podCIDRs"})
#: groups whose types the API server itself defines: only they know strategic merge patches
_BUILT_IN = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions", "events.k8s.io"})


def built_in(group: str) -> bool:
    """Whether the API server knows the type, and so its merge keys; a custom resource's patch is a merge patch."""
    return group in _BUILT_IN or (group.endswith(".k8s.io") and group.count(".") >= 2 and "x-k8s" not in group)


def merge_key(field: str, items: list[Any]) -> str | None:
    """The key of a list field's items; None for a list that is replaced. Only fields, never values, choose it."""
    for key in _KEYS.get(field, ()):
        if items and all(isinstance(i, dict) and (key in i or "$patch" in i) for i in items):
            return key
    keys = _KEYS.get(field, ())
    return keys[0] if keys and all(isinstance(i, dict) for i in items) else None


def merges_scalars(field: str) -> bool:
    return field in _PRIMITIVE
