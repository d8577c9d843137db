"""Small audit trails built to the published schema (audit.k8s.io/v1), for what no recording holds."""

from __future__ import annotations

import itertools
from typing import Any

from kubewitness.formats.times import format_us, parse_us

BEGIN = parse_us("2026-03-01T10:00:00Z")
CONTROLLERS = "system:serviceaccount:kube-system:"
SECOND = 1_000_000


def uid(n: int) -> str:
    """A uid as Kubernetes writes them."""
    return f"00000000-0000-4000-8000-{n:012d}"


class Trail:
    """Audit events one after another; `clock` is seconds since the trail's beginning."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        #: v1 Events, as a list of the API gives them
        self.core_events: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        #: one count for the whole cluster, as etcd's revisions are
        self.versions = itertools.count(100)

    def add(
        self,
        clock: float,
        user: str,
        verb: str,
        resource: str,
        name: str,
        *,
        namespace: str = "shop",
        group: str = "",
        sub: str = "",
        code: int = 200,
        request: Any = None,
        response: Any = None,
        level: str = "RequestResponse",
        query: str = "",
        acting_as: str = "",
        audit_id: str = "",
        agent: str = "kubectl/v1.31.0",
    ) -> str:
        """One request at stage ResponseComplete; returns its auditID."""
        ident = audit_id or uid(900_000 + next(self._ids))
        at = format_us(BEGIN + int(clock * SECOND))
        ref = {"resource": resource, "apiVersion": "v1", "name": name}
        base = f"/apis/{group}/v1" if group else "/api/v1"
        path = f"{base}/namespaces/{namespace}/{resource}" if namespace else f"{base}/{resource}"
        if namespace:
            ref["namespace"] = namespace
        if group:
            ref["apiGroup"] = group
        if sub:
            ref["subresource"] = sub
        if not name:
            del ref["name"]
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": level,
            "auditID": ident,
            "stage": "ResponseComplete",
            "requestURI": "/".join(p for p in (path, name, sub) if p) + (f"?{query}" if query else ""),
            "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]},
            "sourceIPs": ["10.0.0.7"],
            "userAgent": agent,
            "objectRef": ref,
            "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": at,
            "stageTimestamp": format_us(BEGIN + int(clock * SECOND) + 4000),
        }
        if acting_as:
            event["impersonatedUser"] = {"username": acting_as}
        if request is not None and level in ("Request", "RequestResponse"):
            event["requestObject"] = request
        if response is not None and level == "RequestResponse":
            event["responseObject"] = response
        self.events.append(event)
        return ident

    def pod(
        self, name: str, number: int, *, owner: tuple[str, str, str] | None = None, node: str = "n1", **meta: Any
    ) -> dict[str, Any]:
        """A Pod's body. `owner` is (kind, name, uid)."""
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": "shop",
            "uid": uid(number),
            "resourceVersion": str(next(self.versions)),
            **meta,
        }
        if owner is not None:
            kind, owner_name, owner_uid = owner
            metadata["ownerReferences"] = [
                {"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": owner_uid, "controller": True}
            ]
        return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"nodeName": node}}

    def create_pod(self, clock: float, user: str, name: str, number: int, **rest: Any) -> None:
        """A pod that somebody creates by name."""
        body = self.pod(name, number, **rest)
        self.add(clock, user, "create", "pods", name, code=201, request=body, response=body)

    def going(self, clock: float, grace: int = 30) -> dict[str, Any]:
        """The metadata of an object whose deletion was asked for at that time."""
        ends = BEGIN + (int(clock) + grace) * SECOND
        return {"deletionTimestamp": format_us(ends)[:19] + "Z", "deletionGracePeriodSeconds": grace}

    def kubelet_ends(self, clock: float, asked: float, name: str, number: int, node: str = "n1") -> None:
        """The kubelet's final delete of a pod whose deletion was asked for at `asked`."""
        body = self.pod(name, number, node=node, **self.going(asked, 0))
        options = {"kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid(number)}}
        user = f"system:node:{node}"
        self.add(clock, user, "delete", "pods", name, request=options, response=body, agent="kubelet/v1.31.0")

    def preempted(self, clock: float, name: str, number: int, by: str) -> None:
        """The scheduler's Event about a pod that made room, as Kubernetes 1.20 words it."""
        message = f"Preempted by shop/{by} on node n1"
        self.event(clock, name, number, "Preempted", message, "default-scheduler", kind="Pod")

    def event(
        self,
        clock: float,
        name: str,
        number: int,
        reason: str,
        message: str,
        component: str,
        *,
        host: str = "",
        kind: str = "Pod",
    ) -> None:
        """An Event about an object in shop."""
        at = format_us(BEGIN + int(clock * SECOND))
        self.core_events.append(
            {
                "kind": "Event",
                "apiVersion": "v1",
                "metadata": {
                    "name": f"{name}.{len(self.core_events)}",
                    "namespace": "shop",
                    "uid": uid(800_000 + len(self.core_events)),
                    "resourceVersion": str(next(self.versions)),
                    "creationTimestamp": at[:19] + "Z",
                },
                "involvedObject": {
                    "kind": kind,
                    "apiVersion": "v1",
                    "namespace": "shop",
                    "name": name,
                    "uid": uid(number),
                },
                "reason": reason,
                "message": message,
                "type": "Normal",
                "eventTime": at,
                "reportingComponent": component,
                "reportingInstance": host,
            }
        )
