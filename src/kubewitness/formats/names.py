"""Names of things: kinds and resources as kubectl users type them, object keys, kinds of users."""

from __future__ import annotations

import hashlib
import re
from typing import Literal, NamedTuple

UserKind = Literal["human", "serviceaccount", "node", "system", "anonymous", "unknown"]

#: what may be the name of a cluster: it is part of ids (audit:<cluster>/...), of URLs and of folders
CLUSTER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
#: the rule in words
CLUSTER_NAME_RULE = "letters and digits, with '.', '_' and '-' between them, at most 253"


class Resource(NamedTuple):
    """A resource type. `group` is "" for core."""

    group: str
    resource: str
    kind: str
    namespaced: bool


# (group, plural, kind, namespaced, other names kubectl takes).
# Source: `kubectl api-resources` of Kubernetes 1.20 and 1.36.
_BUILT_IN: tuple[tuple[str, str, str, bool, str], ...] = (
    ("", "pods", "Pod", True, "po"),
    ("", "nodes", "Node", False, "no"),
    ("", "namespaces", "Namespace", False, "ns"),
    ("", "services", "Service", True, "svc"),
    ("", "secrets", "Secret", True, ""),
    ("", "configmaps", "ConfigMap", True, "cm"),
    ("", "serviceaccounts", "ServiceAccount", True, "sa"),
    ("", "events", "Event", True, "ev"),
    ("", "endpoints", "Endpoints", True, "ep"),
    ("", "replicationcontrollers", "ReplicationController", True, "rc"),
    ("", "persistentvolumes", "PersistentVolume", False, "pv"),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim", True, "pvc"),
    ("", "limitranges", "LimitRange", True, "limits"),
    ("", "resourcequotas", "ResourceQuota", True, "quota"),
    ("", "podtemplates", "PodTemplate", True, ""),
    ("", "bindings", "Binding", True, ""),
    ("apps", "deployments", "Deployment", True, "deploy"),
    ("apps", "replicasets", "ReplicaSet", True, "rs"),
    ("apps", "statefulsets", "StatefulSet", True, "sts"),
    ("apps", "daemonsets", "DaemonSet", True, "ds"),
    ("apps", "controllerrevisions", "ControllerRevision", True, ""),
    ("batch", "jobs", "Job", True, ""),
    ("batch", "cronjobs", "CronJob", True, "cj"),
    ("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa"),
    ("policy", "poddisruptionbudgets", "PodDisruptionBudget", True, "pdb"),
    ("networking.k8s.io", "ingresses", "Ingress", True, "ing"),
    ("networking.k8s.io", "ingressclasses", "IngressClass", False, ""),
    ("networking.k8s.io", "networkpolicies", "NetworkPolicy", True, "netpol"),
    ("rbac.authorization.k8s.io", "roles", "Role", True, ""),
    ("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", True, ""),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", False, ""),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", False, ""),
    ("storage.k8s.io", "storageclasses", "StorageClass", False, "sc"),
    ("storage.k8s.io", "volumeattachments", "VolumeAttachment", False, ""),
    ("storage.k8s.io", "csidrivers", "CSIDriver", False, ""),
    ("storage.k8s.io", "csinodes", "CSINode", False, ""),
    ("coordination.k8s.io", "leases", "Lease", True, ""),
    ("scheduling.k8s.io", "priorityclasses", "PriorityClass", False, "pc"),
    ("node.k8s.io", "runtimeclasses", "RuntimeClass", False, ""),
    ("discovery.k8s.io", "endpointslices", "EndpointSlice", True, ""),
    ("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest", False, "csr"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False, ""),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False, ""),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False, ""),
    ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", False, "crd,crds"),
    ("apiregistration.k8s.io", "apiservices", "APIService", False, ""),
    ("authentication.k8s.io", "tokenreviews", "TokenReview", False, ""),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", False, ""),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False, ""),
    ("events.k8s.io", "events", "Event", True, ""),
)

RESOURCES: tuple[Resource, ...] = tuple(Resource(g, p, k, n) for g, p, k, n, _ in _BUILT_IN)
_BY_WORD: dict[str, Resource] = {}
_BY_KIND: dict[tuple[str, str], Resource] = {}
_BY_RESOURCE: dict[tuple[str, str], Resource] = {}
for _row, _short in zip(RESOURCES, (s for *_, s in _BUILT_IN), strict=True):
    _BY_KIND[_row.group, _row.kind] = _row
    _BY_RESOURCE[_row.group, _row.resource] = _row
    for _word in (_row.resource, _row.kind.lower(), *filter(None, _short.split(","))):
        _BY_WORD.setdefault(_word, _row)  # the first wins: core before events.k8s.io


def find_resource(word: str) -> Resource:
    """What `pod`, `po`, `Pods`, `deployment.apps`, `widgets.example.com` or `Widget` means.

    A word that is not built in is taken as a custom resource: plural as typed (or made from the singular),
    group after the first dot, kind as typed or "" when unknown.
    """
    name, _, group = word.partition(".")
    lower = name.lower()
    version, _, rest = group.partition(".")
    if version[:1] == "v" and version[1:2].isdigit():
        group = rest  # deployments.v1.apps
    known = _BY_WORD.get(lower)
    if known is not None and (not group or group == known.group):
        return known
    if group:
        for row in RESOURCES:
            if row.group == group and lower in (row.resource, row.kind.lower()):
                return row
    is_kind = name[:1].isupper()
    return Resource(group, plural(lower) if is_kind else lower, name if is_kind else "", True)


def resource_of_kind(kind: str, api_version: str = "") -> Resource:
    """The resource of a kind in an `apiVersion` ("v1", "apps/v1", "" if unknown)."""
    group = api_version.rpartition("/")[0]
    known = _BY_KIND.get((group, kind))
    if known is None and not api_version:
        known = _BY_WORD.get(kind.lower())
    return known if known is not None else Resource(group, plural(kind.lower()), kind, True)


def kind_of_resource(resource: str, group: str = "") -> str:
    """The kind of a resource as people read it; a custom resource's plural is made singular and capitalised."""
    known = _BY_RESOURCE.get((group, resource))
    if known is None:
        known = _BY_WORD.get(resource) if not group else None
    if known is not None:
        return known.kind
    single = resource[:-3] + "y" if resource.endswith("ies") else resource[:-1] if resource.endswith("s") else resource
    return single[:1].upper() + single[1:]


def plural(kind: str) -> str:
    """The plural that Kubernetes' own generator makes of a lower-case kind (meta.UnsafeGuessKindToResource)."""
    if kind.endswith("endpoints"):
        return kind
    if kind.endswith("s"):
        return kind + "es"
    if kind.endswith("y"):
        return kind[:-1] + "ies"
    return kind + "s"


_keys: dict[tuple[str, str, str, str, str], int] = {}
# some 300 bytes each; names come in runs, so that more would hardly be found more often
_KEY_CACHE_LIMIT = 8_192


def object_key(cluster: str, group: str, resource: str, namespace: str, name: str) -> int:
    """Signed 64-bit key of an object's name: the same for its audit records, Events, versions and logs.

    It only narrows a search; the names themselves are compared too. The events.k8s.io and core Events share "events".
    """
    parts = (cluster, group, resource, namespace, name)
    key = _keys.get(parts)
    if key is None:
        if len(_keys) >= _KEY_CACHE_LIMIT:
            _keys.clear()
        digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8, person=b"kw.object")
        key = _keys[parts] = int.from_bytes(digest.digest(), "little", signed=True)
    return key


def record_key(kind: str, *parts: str) -> bytes:
    """16-byte key of a record's identity. Collision-resistant, because parts of it are chosen by clients."""
    text = "\0".join(parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=kind.encode()[:16]).digest()


def user_kind(username: str) -> UserKind:
    """What sort of user a name stands for (Kubernetes authentication conventions)."""
    if not username:
        return "unknown"
    if not username.startswith("system:"):
        return "human"
    if username.startswith("system:serviceaccount:"):
        return "serviceaccount"
    if username.startswith("system:node:"):
        return "node"
    if username in ("system:anonymous", "system:unauthenticated"):
        return "anonymous"
    if username == "system:admin":
        return "human"  # the person with the admin kubeconfig of k3s, OpenShift and others
    return "system"
