"""Credentials that a real API server does not accept any more while nobody watches, and their successors.

Four recorders of one cluster, each with another kind of credential: all are taken away, Events are told, the versions
that the recorders stood at are compacted, and the credentials are replaced on disk as kubelets and plugins do.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.faults import Teller, kept, wait_kept, wait_watching
from tests.cluster.harness import Binaries, ControlPlane, Options, until
from tests.cluster.recorder import Recorder
from tests.faults import Fault
from tests.inputs.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_REFUSED = "the API server does not accept our credentials (401)"
_RIGHTS = [{"apiGroups": [""], "resources": ["events", "namespaces"], "verbs": ["get", "list", "watch"]}]


def swap(link: Path, target: Path) -> None:
    """As the kubelet replaces a projected volume: a new folder, and a symbolic link renamed over the old one."""
    new = link.with_name(link.name + ".new")
    new.symlink_to(target)
    new.rename(link)


class Account:
    """A ServiceAccount and the tokens that are issued for it."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._api = cluster.api()
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "kw", "namespace": "default"}}
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "kw"}}
        binding = {**role, "kind": "ClusterRoleBinding"}
        subjects = [{"kind": "ServiceAccount", "name": "kw", "namespace": "default"}, {"kind": "User", "name": "kw"}]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kw"}
        cluster.apply(account, {**role, "rules": _RIGHTS}, {**binding, "subjects": subjects, "roleRef": reference})
        self._uid = self._api.get("/api/v1/namespaces/default/serviceaccounts/kw")["metadata"]["uid"]

    def bound(self, name: str) -> str:
        """A token that is good for as long as Secret `name` is there."""
        assert self._api.request("POST", _SECRETS, {"metadata": {"name": name}}).status == 201
        bound = {"apiVersion": "v1", "kind": "Secret", "name": name}
        spec = {"expirationSeconds": 3600, "boundObjectRef": bound}
        reply = self._api.request("POST", "/api/v1/namespaces/default/serviceaccounts/kw/token", {"spec": spec})
        assert reply.status == 201, reply.body
        return str(reply.json()["status"]["token"])

    def revoke(self, name: str) -> None:
        assert self._api.request("DELETE", f"{_SECRETS}/{name}").status == 200

    def lasting(self, seconds: float) -> str:
        """A token that ends so soon as the API server itself issues none: signed with its key."""
        now = int(time.time()) - _LEEWAY
        account = {"namespace": "default", "serviceaccount": {"name": "kw", "uid": self._uid}}
        claims: dict[str, Any] = {"sub": "system:serviceaccount:default:kw", "kubernetes.io": account}
        claims |= {"iss": _ISSUER, "aud": [_ISSUER], "iat": now, "nbf": now, "exp": int(now + seconds)}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims))
        sign = ["openssl", "dgst", "-sha256", "-sign", self._cluster.pki.file("sa.key")]
        made = subprocess.run(sign, input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{_base64url(made.stdout)}"


#: seconds that the API server allows clocks to differ by
_LEEWAY = 60
_ISSUER = "https://kubernetes.default.svc"
_SECRETS = "/api/v1/namespaces/default/secrets"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def kubeconfig(cluster: ControlPlane, path: Path, user: dict[str, Any]) -> Path:
    named = {"server": cluster.server, "certificate-authority": cluster.pki.file("ca.crt")}
    config = {
        "clusters": [{"name": "c", "cluster": named}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(json.dumps(config))
    return path


@dataclass(frozen=True)
class Clients:
    """The CAs of client certificates that the API server trusts beside its own."""

    bundle: Path
    own: Path

    def trust(self, authority: Authority) -> None:
        self.bundle.write_bytes(self.own.read_bytes() + authority.certificate.read_bytes())


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path / "clients.crt", tmp_path / "own.crt")


@pytest.fixture
def cluster(binaries: Binaries, clients: Clients) -> Iterator[ControlPlane]:
    flags = (f"--client-ca-file={clients.bundle}",)
    cluster = ControlPlane(
        Options(nodes=(), controllers=False, scheduler=False, compaction="3s", apiserver=flags), binaries
    )
    clients.own.write_bytes(Path(cluster.pki.file("ca.crt")).read_bytes())
    clients.bundle.write_bytes(clients.own.read_bytes())
    with cluster:
        yield cluster


def compacted(cluster: ControlPlane, version: str) -> bool:
    """Whether a watch from there is answered with 410."""
    path = f"/api/v1/events?watch=1&timeoutSeconds=1&resourceVersion={version}"
    with cluster.api().stream(path) as lines:
        return any(b'"code":410' in line for line in lines)


def test_credentials_revoked_expired_and_replaced_on_disk_cost_no_event(
    cluster: ControlPlane, clients: Clients, tmp_path: Path, fault: Fault
) -> None:
    account = Account(cluster)
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    clients.trust(first)
    cluster.restart(cluster.apiserver)  # it looks at the file once a minute only

    for folder in ("old", "new", "shown"):
        (tmp_path / folder).mkdir()
    (tmp_path / "old" / "token").write_text(account.bound("one"))
    (tmp_path / "data").symlink_to("old")
    (tmp_path / "given").write_text(account.bound("three"))
    crt, key = first.issue("kw")
    certificate = {"client-certificate": str(tmp_path / "shown" / "crt"), "client-key": str(tmp_path / "shown" / "key")}
    crt.rename(certificate["client-certificate"])
    key.rename(certificate["client-key"])
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "interactiveMode": "Never",
        "command": sys.executable,
    }
    plugin |= {"args": ["-c", _PLUGIN, str(tmp_path / "given")]}  # type: ignore[dict-item]
    users: dict[str, dict[str, Any]] = {
        "symlink": {"tokenFile": str(tmp_path / "data" / "token")},
        "plugin": {"exec": plugin},
        "certificate": certificate,
        "expiring": {"tokenFile": str(tmp_path / "short")},
    }
    recorders = {}
    for name, user in users.items():
        (tmp_path / name).mkdir()
        config = kubeconfig(cluster, tmp_path / name / "kubeconfig", user)
        recorders[name] = Recorder(tmp_path / name / "state", "--kubeconfig", str(config))
    teller = Teller(cluster.api(), "e", again=False)
    try:
        for recorder in recorders.values():
            if recorder is recorders["expiring"]:
                (tmp_path / "short").write_text(account.lasting(15))
            recorder.start()
        for recorder in recorders.values():
            wait_watching(recorder)
        teller.tell(5)
        for recorder in recorders.values():
            wait_kept(recorder, teller.said)
        stood_at = teller.said[-1][1]

        account.revoke("one")
        account.revoke("three")
        clients.trust(second)
        until("the short token to end", lambda: _ended(tmp_path / "short"), 60)
        cluster.restart(cluster.apiserver, kill=True)
        for name, recorder in recorders.items():
            until(f"401 for {name}", partial(_refused, recorder), 60)
        teller.tell(5)
        until("the compaction", lambda: compacted(cluster, stood_at), 60, every=0.5)

        began = time.monotonic()
        (tmp_path / "new" / "token").write_text(account.bound("two"))
        swap(tmp_path / "data", Path("new"))
        (tmp_path / "short.new").write_text(account.lasting(3600))
        (tmp_path / "short.new").rename(tmp_path / "short")
        (tmp_path / "given").write_text(account.bound("four"))
        crt, key = second.issue("kw")
        crt.rename(certificate["client-certificate"])
        key.rename(certificate["client-key"])
        teller.tell(5)
        took = {name: wait_kept(recorder, teller.said) - began for name, recorder in recorders.items()}
        stored = {name: kept(recorder, teller.said) for name, recorder in recorders.items()}
        logs = {name: recorder.log.read_text() for name, recorder in recorders.items()}
    finally:
        for recorder in recorders.values():
            recorder.stop()
    assert [name for name, log in logs.items() if "the server no longer has our version" not in log] == []
    said = teller.said
    fault(
        "bound token revoked, the next one by symlink swap",
        said=said, kept=stored["symlink"], on=_ON, within=took["symlink"],
    )  # fmt: skip
    fault("token expired, then replaced", said=said, kept=stored["expiring"], on=_ON, within=took["expiring"])
    fault("token of an exec plugin revoked", said=said, kept=stored["plugin"], on=_ON, within=took["plugin"])
    fault(
        "client certificate not trusted any more, then replaced",
        said=said, kept=stored["certificate"], on=_ON, within=took["certificate"],
    )  # fmt: skip
    longest = max(took.values())
    fault("resourceVersion compacted meanwhile: 410", said=said, kept=stored["symlink"], on=_ON, within=longest)


_ON = "real control plane"
#: a credential plugin: prints the token in a file
_PLUGIN = """\
import json, sys
token = open(sys.argv[1]).read()
credential = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential"}
print(json.dumps({**credential, "status": {"token": token}}))
"""


def _refused(recorder: Recorder) -> bool:
    return _REFUSED in recorder.log.read_text()


def _ended(token: Path) -> bool:
    claims = token.read_text().split(".")[1]
    return bool(json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] + _LEEWAY < time.time())
