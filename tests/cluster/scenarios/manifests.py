"""Objects of the scenarios. Pods are pinned to nodes by label: what happens to a node is its own scenario's doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.cluster import demo_manifests

Object = dict[str, Any]

#: the audit policy of the demo: bodies of what changes things
AUDIT_POLICY = demo_manifests.AUDIT_POLICY
GENERAL = {"pool": "general"}


def pod_spec(app: str, image: str, where: Mapping[str, str], **spec: Any) -> Object:
    container = {"name": app, "image": image, **spec.pop("container", {})}
    return {"containers": [container], "terminationGracePeriodSeconds": 2, "nodeSelector": dict(where), **spec}


def pod(namespace: str, app: str, where: Mapping[str, str], image: str = "", **spec: Any) -> Object:
    meta = {"name": app, "namespace": namespace, "labels": {"app": app}, **spec.pop("metadata", {})}
    spec = pod_spec(app, image or f"shop/{app}:1.0", where, **spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def template(app: str, image: str, where: Mapping[str, str], **spec: Any) -> Object:
    return {"metadata": {"labels": {"app": app}}, "spec": pod_spec(app, image or f"shop/{app}:1.0", where, **spec)}


def workload(
    kind: str, namespace: str, app: str, where: Mapping[str, str], replicas: int | None, image: str = "", **rest: Any
) -> Object:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet; `rest` goes into its spec, `pod` into the pods'."""
    inner = template(app, image, where, **rest.pop("pod", {}))
    spec = {"selector": {"matchLabels": {"app": app}}, "template": inner, **rest}
    if replicas is not None:
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = app
    meta = {"name": app, "namespace": namespace, "labels": {"app": app}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec}


def job(namespace: str, name: str, image: str, *, restart: str = "Never", **spec: Any) -> Object:
    inner = template(name, image, GENERAL, restartPolicy=restart)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": inner, **spec},
    }


def cron_job(namespace: str, name: str, image: str, **spec: Any) -> Object:
    inner = {"spec": {"template": template(name, image, GENERAL, restartPolicy="Never")}}
    return {
        "apiVersion": "batch/v1beta1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"schedule": "*/1 * * * *", "jobTemplate": inner, **spec},
    }


def autoscaler(namespace: str, app: str, low: int, high: int) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": app, "namespace": namespace},
        "spec": {"minReplicas": low, "maxReplicas": high, "scaleTargetRef": target},
    }


def budget(namespace: str, app: str, minimum: int) -> Object:
    return demo_manifests.disruption_budget(namespace, app, minimum)


def eviction(namespace: str, pod: str) -> Object:
    return {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"namespace": namespace, "name": pod}}


def everybody_may_everything() -> list[Object]:
    """The scenarios are about what was done, not about who may."""
    rbac = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    groups = ("devs", "auditors", "robots", "system:serviceaccounts")
    return [
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": "operator"}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "operators"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "operator"},
            "subjects": [{"apiGroup": rbac, "kind": "Group", "name": group} for group in groups],
        },
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "vital"},
            "value": 100000,
        },
    ]


#: where an object of that kind is made
PATHS = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1beta1/namespaces/{}/cronjobs",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v1/namespaces/{}/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1beta1/namespaces/{}/poddisruptionbudgets",
}
