"""Certificates, tokens and kubeconfigs of a control plane that lives for one test run (openssl, ECDSA keys)."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: People and machines that the tests speak as: name -> groups. They have no rights but what a test gives them.
PEOPLE: dict[str, tuple[str, ...]] = {
    "admin": ("system:masters",),
    "alice": ("devs", "sre"),
    "bob": ("devs",),
    "carol": ("auditors",),
}
COMPONENTS = ("system:kube-controller-manager", "system:kube-scheduler")
TOKEN_USERS: dict[str, tuple[str, ...]] = {"ci-bot": ("robots",), "load": ("robots",)}


@dataclass(frozen=True)
class User:
    """Who somebody is to the API server: a client certificate, or a bearer token."""

    name: str
    kubeconfig: Path
    certificate: Path | None = None
    key: Path | None = None
    token: str = ""


class Pki:
    """A folder of keys. Files are readable by their owner only."""

    def __init__(self, folder: Path, server: str, nodes: Sequence[str]) -> None:
        self.folder = folder
        self.server = server
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._authority()
        self._leaf(
            "apiserver", "/CN=kube-apiserver", server_names="IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes"
        )
        self._leaf("kubelet-serving", "/CN=kubelet", server_names="IP:127.0.0.1")
        self._leaf("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        people = dict(PEOPLE) | dict.fromkeys(COMPONENTS, ())
        people |= {f"system:node:{node}": ("system:nodes",) for node in nodes}
        self.users = {name: self._certified(name, groups) for name, groups in people.items()}
        self.users |= self._token_users()

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def _authority(self) -> None:
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
        self._openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=test-ca", "-days", "30", "-out", "ca.crt")

    def _leaf(self, name: str, subject: str, *, server_names: str = "") -> None:
        usage = (
            f"extendedKeyUsage=serverAuth\nsubjectAltName={server_names}\n"
            if server_names
            else "extendedKeyUsage=clientAuth\n"
        )
        (self.folder / f"{name}.ext").write_text(usage)
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        signed_by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed_by, "-out", f"{name}.crt")

    def _certified(self, name: str, groups: Sequence[str]) -> User:
        file = name.replace(":", "-")
        self._leaf(file, "".join(f"/O={g}" for g in groups) + f"/CN={name}")
        certificate, key = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        credentials = {"client-certificate": str(certificate), "client-key": str(key)}
        return User(name, self._kubeconfig(file, name, credentials), certificate, key)

    def _token_users(self) -> dict[str, User]:
        users, rows = {}, []
        for name, groups in TOKEN_USERS.items():
            token = secrets.token_hex(16)
            rows.append(f'{token},{name},uid-{name},"{",".join(groups)}"\n')
            users[name] = User(name, self._kubeconfig(name, name, {"token": token}), token=token)
        (self.folder / "tokens.csv").write_text("".join(rows))
        return users

    def _kubeconfig(self, file: str, user: str, credentials: dict[str, str]) -> Path:
        """JSON is YAML; clients read both."""
        path = self.folder / f"{file}.kubeconfig"
        cluster = {"server": self.server, "certificate-authority": self.file("ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))
        return path

    def _openssl(self, *args: str) -> None:
        done = subprocess.run(["openssl", *args], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"openssl {' '.join(args)}: {done.stderr.strip()}")
