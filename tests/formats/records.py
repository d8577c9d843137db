"""Records built to the published schemas, for the tests of formats and of the importer."""

from __future__ import annotations

import json
from typing import Any

KEY = b"k" * 32


def dumps(value: object) -> bytes:
    """JSON as the API server writes it: compact."""
    return json.dumps(value, separators=(",", ":")).encode()


def audit_event(audit_id: str = "a-1", **fields: Any) -> dict[str, Any]:
    """A request by alice at level Metadata."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/web-1",
        "verb": "delete",
        "user": {"username": "alice", "groups": ["sre", "system:authenticated"]},
        "sourceIPs": ["10.0.0.7"],
        "userAgent": "kubectl/v1.31.0",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-22T19:26:04.500000Z",
        "stageTimestamp": "2026-11-22T19:26:05.038000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        **fields,
    }


def core_event(uid: str = "e-1", version: str = "100", **fields: Any) -> dict[str, Any]:
    """An Event as the kubelet writes it (core/v1)."""
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": f"web-1.{uid}",
            "namespace": "shop",
            "uid": uid,
            "resourceVersion": version,
            "creationTimestamp": "2026-11-22T19:20:00Z",
        },
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "p-1", "apiVersion": "v1"},
        "reason": "Killing",
        "message": "Stopping container web",
        "source": {"component": "kubelet", "host": "n1"},
        "firstTimestamp": "2026-11-22T19:20:00Z",
        "lastTimestamp": "2026-11-22T19:26:05Z",
        "count": 3,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
        **fields,
    }


def new_event(uid: str = "e-2", **fields: Any) -> dict[str, Any]:
    """An Event as the scheduler writes it, read through events.k8s.io/v1."""
    return {
        "kind": "Event",
        "apiVersion": "events.k8s.io/v1",
        "metadata": {
            "name": f"web-1.{uid}",
            "namespace": "shop",
            "uid": uid,
            "resourceVersion": "200",
            "creationTimestamp": "2026-11-22T19:20:00Z",
        },
        "eventTime": "2026-11-22T19:20:00.123456Z",
        "reportingController": "default-scheduler",
        "reportingInstance": "default-scheduler-m1",
        "action": "Scheduling",
        "reason": "FailedScheduling",
        "regarding": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "p-1", "apiVersion": "v1"},
        "note": "0/3 nodes are available",
        "type": "Warning",
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
        **fields,
    }


def pod(name: str = "web-1", **metadata: Any) -> dict[str, Any]:
    """A pod's version."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "resourceVersion": "300",
            "creationTimestamp": "2026-11-22T19:00:00Z",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "rs-1", "controller": True}
            ],
            **metadata,
        },
        "spec": {"containers": [{"name": "web"}]},
    }


def review(operation: str = "DELETE", **fields: Any) -> dict[str, Any]:
    """An AdmissionReview of a pod by alice."""
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "r-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web-1",
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "alice", "groups": ["sre"]},
            "object": None if operation == "DELETE" else pod(),
            "oldObject": pod() if operation == "DELETE" else None,
            "dryRun": False,
            "options": {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"},
        },
        **fields,
    }


def gke_entry(**payload: Any) -> dict[str, Any]:
    """A Cloud Logging LogEntry of a pod's deletion."""
    return {
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": "alice@example.com"},
            "authorizationInfo": [
                {"granted": True, "permission": "io.k8s.core.v1.pods.delete", "resource": "core/v1/namespaces/shop"}
            ],
            "methodName": "io.k8s.core.v1.pods.delete",
            "requestMetadata": {"callerIp": "203.0.113.9", "callerSuppliedUserAgent": "kubectl/v1.31.0"},
            "resourceName": "core/v1/namespaces/shop/pods/web-1",
            "serviceName": "k8s.io",
            "status": {"code": 0},
            **payload,
        },
        "insertId": "5b41e1ef",
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "c1", "location": "europe-west1"}},
        "timestamp": "2026-11-22T19:26:04.500000Z",
        "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"id": "g-1", "producer": "k8s.io", "first": True, "last": True},
        "receiveTimestamp": "2026-11-22T19:26:06.1Z",
    }


def aks_row(**columns: Any) -> dict[str, Any]:
    """A row of AKSAudit as `az monitor log-analytics query` prints it: dynamic columns are text."""
    return {
        "AuditId": "k-1",
        "Stage": "ResponseComplete",
        "Level": "RequestResponse",
        "Verb": "delete",
        "RequestUri": "/api/v1/namespaces/shop/pods/web-1",
        "User": '{"username":"alice","groups":["sre"]}',
        "SourceIps": '["10.0.0.7"]',
        "UserAgent": "kubectl/v1.31.0",
        "ObjectRef": '{"resource":"pods","namespace":"shop","name":"web-1","apiVersion":"v1"}',
        "ResponseStatus": '{"metadata":{},"code":200}',
        "RequestObject": "",
        "ResponseObject": "skipped-too-big-size-object",
        "RequestReceivedTime": "2026-11-22T19:26:04.5Z",
        "StageReceivedTime": "2026-11-22T19:26:05.038Z",
        "Annotations": '{"authorization.k8s.io/decision":"allow"}',
        "PodName": "kube-apiserver-0",
        **columns,
    }
