"""How a control plane of a test is set up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Policy = dict[str, Any]

_NOT_SAID = {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]}
_SECRET_KINDS = [
    {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
    {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
]


def policy(level: str) -> Policy:
    """Everything at one level (Metadata, Request, RequestResponse), secrets never above Metadata."""
    rules = [_NOT_SAID, {"level": "Metadata", "resources": _SECRET_KINDS}, {"level": level}]
    return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}


#: What a careful operator would set: bodies of what changes things, metadata of the rest.
HARNESS_POLICY: Policy = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        _NOT_SAID,
        {"level": "Metadata", "resources": _SECRET_KINDS},
        {
            "level": "Metadata",
            "omitStages": ["RequestReceived"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {
            "level": "Request",
            "verbs": ["update", "patch"],
            "resources": [{"group": "", "resources": ["pods/status", "nodes/status"]}],
        },
        {
            "level": "Request",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [{"group": g, "resources": ["events"]} for g in ("", "events.k8s.io")],
        },
        {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class Webhook:
    """Where the API server sends its audit trail: batches of at most `batch` records, every `wait` seconds."""

    url: str
    ca_file: str = ""
    token: str = ""
    certificate: str = ""
    key: str = ""
    batch: int = 200
    wait: float = 1.0

    def kubeconfig(self, own_ca: str) -> str:
        """`own_ca`: who issued the certificate of an https receiver unless `ca_file` tells."""
        ca = self.ca_file or (own_ca if self.url.startswith("https:") else "")
        cluster = {"server": self.url} | ({"certificate-authority": ca} if ca else {})
        user = {"token": self.token, "client-certificate": self.certificate, "client-key": self.key}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "sink", "cluster": cluster}],
                "users": [{"name": "apiserver", "user": {k: v for k, v in user.items() if v}}],
                "contexts": [{"name": "sink", "context": {"cluster": "sink", "user": "apiserver"}}],
                "current-context": "sink",
            }
        )


@dataclass(frozen=True)
class Options:
    """`nodes` are the names of the hollow nodes; times are as Kubernetes writes them (`30s`, `1h`)."""

    nodes: Sequence[str] = ("worker-1", "worker-2")
    #: an audit policy, or the path of one
    policy: Policy | Path = field(default_factory=lambda: HARNESS_POLICY)
    webhook: Webhook | None = None
    event_ttl: str = "1h"
    #: how long etcd's history is kept: short ones give 410 Gone
    compaction: str = "5m"
    #: rotate the audit file at that many MB, keeping `audit_backups`; 0: at 100 MB, all kept, as by default
    audit_max_mb: int = 0
    audit_backups: int = 10
    #: seconds that pods stay on a node that is not ready
    tolerate_seconds: int = 10
    #: seconds between a hollow node's status reports and lease renewals
    status_seconds: int = 3
    lease_seconds: int = 8
    controllers: bool = True
    scheduler: bool = True
    #: further flags; later ones win
    apiserver: Sequence[str] = ()
    controller_manager: Sequence[str] = ()
