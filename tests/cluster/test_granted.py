"""Grants given, changed and revoked by several people on a real control plane, asked about at several times."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubewitness.formats.times import parse_us
from kubewitness.questions import granted
from kubewitness.questions.facts import Facts
from kubewitness.questions.granted import GrantedAnswer, GrantedQuestion
from kubewitness.questions.times import now_us
from kubewitness.store import Store
from tests.cluster.demo_manifests import namespace
from tests.cluster.harness import ControlPlane, Options, until
from tests.questions.recordings import imported, without_bodies, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RBAC = "rbac.authorization.k8s.io"
BASE = f"/apis/{RBAC}/v1"


def role(kind: str, name: str, rules: list[dict[str, Any]], **meta: Any) -> dict[str, Any]:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name, **meta}, "rules": rules}


def binding(
    kind: str, name: str, role_kind: str, role_name: str, subject: tuple[str, str], **meta: Any
) -> dict[str, Any]:
    who = {"apiGroup": RBAC, "kind": subject[0], "name": subject[1]}
    ref = {"apiGroup": RBAC, "kind": role_kind, "name": role_name}
    head = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name, **meta}}
    return {**head, "roleRef": ref, "subjects": [who]}


class Story:
    """Plays the story; `moments` are times at which everything before had its effect."""

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster
        self.moments: dict[str, int] = {}

    def mark(self, name: str) -> None:
        time.sleep(0.05)
        self.moments[name] = now_us()
        time.sleep(0.05)

    def send(self, user: str, method: str, path: str, body: Any = None, kind: str = "application/json") -> int:
        status = self.cluster.api(user).request(method, path, body, {"Content-Type": kind}).status
        return int(status)

    def allowed(self, user: str, method: str, path: str, wanted: bool) -> None:
        """Until the API server's authorizer, which watches the rules, has seen them."""
        until(f"{user} {method} {path}", lambda: (self.send(user, method, path) != 403) is wanted, 20)

    def play(self) -> None:
        cluster = self.cluster
        cluster.apply(namespace("shop"))
        cluster.wait_namespace("shop")
        every = [{"apiGroups": [RBAC], "resources": ["*"], "verbs": ["*"]}]
        pods = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
        self.send("admin", "POST", f"{BASE}/clusterroles", role("ClusterRole", "grants", every))
        giver = binding("ClusterRoleBinding", "alice-grants", "ClusterRole", "grants", ("User", "alice"))
        self.send("admin", "POST", f"{BASE}/clusterrolebindings", giver)
        self.allowed("alice", "GET", f"{BASE}/clusterroles", True)
        inside = f"{BASE}/namespaces/shop"
        shop = "/api/v1/namespaces/shop/pods"
        self.mark("before")
        self.allowed("bob", "GET", shop, False)
        assert self.send("alice", "POST", f"{inside}/roles", role("Role", "reader", pods, namespace="shop")) == 201
        readers = binding("RoleBinding", "readers", "Role", "reader", ("Group", "devs"), namespace="shop")
        assert self.send("alice", "POST", f"{inside}/rolebindings", readers) == 201
        self.allowed("bob", "GET", shop, True)
        self.allowed("bob", "DELETE", f"{shop}/none", False)
        self.mark("readers")
        more = [{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]
        assert self.send("admin", "PATCH", f"{inside}/roles/reader", more, "application/json-patch+json") == 200
        self.allowed("bob", "DELETE", f"{shop}/none", True)
        self.mark("deleters")
        assert self.send("alice", "DELETE", f"{inside}/rolebindings/readers") == 200
        self.allowed("bob", "GET", shop, False)
        self.mark("revoked")
        logs = [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]
        whole = {
            **role("ClusterRole", "watchers", []),
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"w": "1"}}]},
        }
        assert self.send("admin", "POST", f"{BASE}/clusterroles", whole) == 201
        part = role("ClusterRole", "part", logs, labels={"w": "1"})
        assert self.send("alice", "POST", f"{BASE}/clusterroles", part) == 201
        to = binding("ClusterRoleBinding", "carol-watches", "ClusterRole", "watchers", ("User", "carol"))
        assert self.send("admin", "POST", f"{BASE}/clusterrolebindings", to) == 201
        self.allowed("carol", "GET", f"{shop}/none/log", True)
        self.mark("aggregated")


def test_every_right_is_traced_to_the_binding_and_to_who_made_it_and_changed_its_role(
    start_cluster: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    cluster = start_cluster(Options(nodes=()))
    story = Story(cluster)
    story.play()
    end = story.moments["aggregated"]
    until("the audit's last line", lambda: parse_us(cluster.audit_records()[-1]["stageTimestamp"]) > end, 60)
    records = cluster.audit_records()
    store = Store(imported(tmp_path / "whole", [written(tmp_path / "a", records)]))
    bare = Store(imported(tmp_path / "bare", [written(tmp_path / "b", map(without_bodies, records))]))

    def asked(state: Store, user: str, verb: str, resource: str, moment: str) -> GrantedAnswer:
        with state.session() as session:
            right = granted.right_of(Facts(session, "default"), verb, resource, "shop")
            return granted.ask(session, GrantedQuestion("default", user, right, story.moments[moment]))

    before = asked(store, "bob", "list", "pods", "before")
    assert not before.found
    [readers] = asked(store, "bob", "list", "pods", "readers").grants
    assert (readers.binding, readers.role, readers.subject) == (
        "RoleBinding/shop/readers",
        "Role/shop/reader",
        "Group devs",
    )
    assert readers.certainty == "proved"
    assert readers.binding_made is not None
    assert readers.binding_made.user == "alice"
    assert readers.role_made is not None
    assert readers.role_made.user == "alice"
    assert readers.used is not None
    refused = asked(store, "bob", "delete", "pods/none", "readers")
    assert not refused.found
    assert refused.refused is not None
    [deleters] = asked(store, "bob", "delete", "pods/none", "deleters").grants
    assert deleters.role_made is not None
    assert deleters.role_made.user == "admin"
    revoked = asked(store, "bob", "delete", "pods/none", "revoked")
    assert not revoked.found
    assert revoked.former[0].revoked is not None
    assert revoked.former[0].revoked.user == "alice"
    assert "until alice took it away" in revoked.summary
    [watches] = asked(store, "carol", "get", "pods/log", "aggregated").grants
    assert watches.binding == "ClusterRoleBinding/carol-watches"
    assert watches.aggregated_from == "ClusterRole/part"
    assert watches.role_made is not None
    assert watches.role_made.user == "alice"
    assert "system:masters" in asked(store, "admin", "delete", "nodes", "aggregated").summary

    [by_word] = asked(bare, "bob", "list", "pods", "readers").grants
    assert by_word.binding == "RoleBinding/shop/readers"
    assert by_word.certainty == "proved"
    assert by_word.binding_made is not None
    assert by_word.binding_made.user == "alice"
    assert not asked(bare, "bob", "list", "pods", "revoked").found
    unused = asked(bare, "bob", "list", "secrets", "readers")
    assert not unused.found
    assert any("whom rolebinding shop/readers names" in m for m in unused.missing)
    store.close()
    bare.close()
