"""`serve --auth cluster` on a real control plane: users log in with the cluster's tokens and see what they may read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.web.clusterlogin import TOKEN_SECONDS
from kubewitness.web.endpoints import ENDPOINTS
from tests.cluster.harness import Binaries, ControlPlane, Options, until
from tests.cluster.harness.ports import free_port
from tests.questions.recordings import imported, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

#: everything of a namespace but Secrets and RBAC: what `view` has, which controllers would make of it
_TEAM = "system:aggregate-to-view"


class Served:
    """`kubewitness serve --auth cluster` as a process."""

    def __init__(self, state: Path, kubeconfig: Path) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "kubewitness", "serve", "--state", str(state), "--auth", "cluster"]
        command += ["--kubeconfig", str(kubeconfig), "--listen", self.address.removeprefix("http://")]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.log = state / "access.jsonl"
        until("the server", self._answers)

    def _answers(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str, token: str = "", body: Any = None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[ControlPlane]:
    with ControlPlane(Options(nodes=(), controllers=False, scheduler=False), binaries) as cluster:
        for namespace in ("shop", "vault"):
            make(cluster, "/api/v1/namespaces", "Namespace", namespace)
            inside = f"/api/v1/namespaces/{namespace}"
            make(cluster, f"{inside}/configmaps", "ConfigMap", f"{namespace}-settings", data={"of": namespace})
            make(cluster, f"{inside}/secrets", "Secret", f"{namespace}-keys", stringData={"k": "v"})
            cluster.api("admin").request("DELETE", f"{inside}/configmaps/{namespace}-settings")
        for name in ("team", "operator", "nobody", "watcher", "kubewitness"):
            make(cluster, "/api/v1/namespaces/default/serviceaccounts", "ServiceAccount", name)
        bind(cluster, "team", _TEAM, namespace="shop")
        bind(cluster, "operator", "cluster-admin")
        bind(cluster, "watcher", _TEAM)
        bind(cluster, "kubewitness", "system:auth-delegator")
        yield cluster


def make(cluster: ControlPlane, path: str, kind: str, name: str, **rest: Any) -> None:
    reply = cluster.api("admin").request("POST", path, {"kind": kind, "metadata": {"name": name}, **rest})
    assert reply.status == 201, reply


def bind(cluster: ControlPlane, name: str, role: str, namespace: str = "") -> None:
    """Gives a role to the service account of that name: in one namespace, or everywhere."""
    group = "rbac.authorization.k8s.io"
    ref = {"apiGroup": group, "kind": "ClusterRole", "name": role}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]
    kind, place = ("RoleBinding", f"namespaces/{namespace}/rolebindings") if namespace else ("ClusterRoleBinding", "")
    path = f"/apis/{group}/v1/{place or 'clusterrolebindings'}"
    body = {"apiVersion": f"{group}/v1", "roleRef": ref, "subjects": subjects}
    make(cluster, path, kind, name, **body)


def token_of(cluster: ControlPlane, name: str) -> str:
    path = f"/api/v1/namespaces/default/serviceaccounts/{name}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token: str = cluster.api("admin").request("POST", path, body).json()["status"]["token"]
    return token


@pytest.fixture(scope="module")
def served(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves what the audit trail of this very cluster says, with no rights but those to ask for reviews."""
    folder = tmp_path_factory.mktemp("served")
    until("the audit trail", lambda: any("vault-settings" in json.dumps(r) for r in cluster.audit_records()))
    paths = imported(folder / "state", [written(folder / "capture", cluster.audit_records())])
    user = {"name": "kw", "user": {"token": token_of(cluster, "kubewitness")}}
    where = {"server": cluster.pki.server, "certificate-authority": str(cluster.pki.file("ca.crt"))}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "kw",
        "clusters": [{"name": "kw", "cluster": where}],
        "users": [user],
        "contexts": [{"name": "kw", "context": {"cluster": "kw", "user": "kw"}}],
    }
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    served = Served(paths.root, kubeconfig)
    yield served
    served.stop()


def asked(served: Served, path: str, token: str, body: Any = None) -> Any:
    status, text = served.get(path, token, body)
    assert status == 200, text
    return json.loads(text)


def test_a_user_bound_to_a_namespace_sees_its_records_and_no_others_on_any_path(
    served: Served, cluster: ControlPlane
) -> None:
    token = token_of(cluster, "team")
    standing = asked(served, "/api/v1/session", token)
    assert standing["user"] == "system:serviceaccount:default:team"
    assert (standing["restricted"], standing["namespaces"]) == (True, ["shop"])
    answer = asked(served, "/api/v1/who?object=cm/shop-settings&namespace=shop&verb=deleted", token)
    assert answer["root"]["user"]
    rows = asked(served, "/api/v1/search?limit=5000", token)
    assert any(row["object"] == "ConfigMap/shop/shop-settings" for row in rows)
    needed = {
        "object": "cm/x",
        "id": "audit:default/x/ResponseComplete",
        "field": "name",
        "text": "x",
        "user": "x",
        "verb": "get",
        "resource": "pods",
    }
    for endpoint in ENDPOINTS:
        given = [f"{p.name}={needed[p.name]}" for p in endpoint.parameters if p.required]
        names = {p.name for p in endpoint.parameters}
        given += [f"limit={min(1000, p.most)}" for p in endpoint.parameters if p.name == "limit"]
        given += ["key=default/ConfigMap/vault/x"] if "key" in names else []
        status, text = served.get(f"/api/v1/{endpoint.name}?{'&'.join(given)}", token)
        assert status in (200, 404), (endpoint.name, text)
        for hidden in ("vault-settings", "vault-keys", "shop-keys", "clusterrolebindings", "operator"):
            assert hidden not in text, (endpoint.name, hidden)
    for query in ("SELECT * FROM audit", "SELECT raw FROM audit", "SELECT * FROM activity"):
        text = json.dumps(asked(served, "/api/v1/sql", token, {"query": query}))
        assert "shop-settings" in text
        assert "vault" not in text
        assert "shop-keys" not in text
    assert served.get("/metrics", token)[0] == 403


def test_what_a_user_may_read_everywhere_is_shown_of_every_namespace(served: Served, cluster: ControlPlane) -> None:
    text = json.dumps(asked(served, "/api/v1/search?limit=5000", token_of(cluster, "watcher")))
    assert "vault-settings" in text
    assert "shop-settings" in text
    assert "vault-keys" not in text
    assert "ClusterRoleBinding" not in text


def test_an_operator_sees_everything_and_somebody_without_rights_nothing(served: Served, cluster: ControlPlane) -> None:
    operator = token_of(cluster, "operator")
    assert "vault-keys" in json.dumps(asked(served, "/api/v1/search?limit=5000", operator))
    assert asked(served, "/api/v1/session", operator)["restricted"] is False
    assert served.get("/metrics", operator)[0] == 200
    nobody = token_of(cluster, "nobody")
    assert asked(served, "/api/v1/search?limit=5000", nobody) == []
    assert asked(served, "/api/v1/sql", nobody, {"query": "SELECT count(*) FROM audit"})["rows"] == [[0]]
    assert served.get("/api/v1/search", "no-token-of-this-cluster")[0] == 401
    assert served.get("/api/v1/search")[0] == 401


def test_a_token_that_is_revoked_stops_working(served: Served, cluster: ControlPlane) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    make(cluster, accounts, "ServiceAccount", "leaver")
    token = token_of(cluster, "leaver")
    assert served.get("/api/v1/examples", token)[0] == 200
    cluster.api("admin").request("DELETE", f"{accounts}/leaver")
    began = time.monotonic()
    until("the end of the login", lambda: served.get("/api/v1/examples", token)[0] == 401, seconds=TOKEN_SECONDS + 20)
    assert time.monotonic() - began < TOKEN_SECONDS + 20


def test_who_asked_what_is_kept_by_the_clusters_names(served: Served, cluster: ControlPlane) -> None:
    token = token_of(cluster, "team")
    asked(served, "/api/v1/top?field=verb", token)
    text = served.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[-1]["user"] == "system:serviceaccount:default:team"
    assert (lines[-1]["path"], lines[-1]["asked"], lines[-1]["restricted"]) == (
        "/api/v1/top",
        {"field": ["verb"]},
        True,
    )
    assert token not in text
