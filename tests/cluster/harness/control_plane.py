"""A whole control plane in one temporary folder."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.harness import flags
from tests.cluster.harness.api import Api
from tests.cluster.harness.binaries import Binaries, locate
from tests.cluster.harness.kubectl import Kubectl, Version
from tests.cluster.harness.options import Options
from tests.cluster.harness.pki import Pki
from tests.cluster.harness.ports import free_port
from tests.cluster.harness.process import Part, stop_all
from tests.cluster.harness.waiting import until


class ControlPlane:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and hollow nodes; a context manager.

    Each is a `Part` that can be stopped, killed, paused, resumed and started again (same ports, same data).
    Raises NotInstalled where there are no programs.
    """

    def __init__(self, options: Options | None = None, binaries: Binaries | None = None) -> None:
        self.options = options or Options()
        self.binaries = binaries or locate()
        self.folder = Path(tempfile.mkdtemp(prefix="kubewitness-cluster-"))
        self._ports = flags.Ports(*(free_port() for _ in range(5)))
        self.server = f"https://127.0.0.1:{self._ports.api}"
        self.pki = Pki(self.folder / "pki", self.server, self.options.nodes)
        self.audit_log = self.folder / "audit" / "audit.log"
        self.audit_log.parent.mkdir()
        self.etcd = self._part("etcd", flags.etcd(self.binaries, self._ports, self.folder / "etcd"))
        self.apiserver = self._part("apiserver", self._apiserver_flags(), hostname="control-plane")
        self.controllers = self._part(
            "controller-manager",
            flags.controller_manager(self.binaries, self._ports, self.pki, self.options),
            hostname="control-plane",
        )
        self.scheduler = self._part(
            "scheduler", flags.scheduler(self.binaries, self._ports, self.pki), hostname="control-plane"
        )
        self.nodes = {name: self._node(number, name) for number, name in enumerate(self.options.nodes, 1)}

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> ControlPlane:
        """Everything, until the API server is ready and every node is."""
        self.etcd.start()
        self._wait("etcd", self.etcd, self._etcd_healthy)
        self.apiserver.start()
        self.wait_ready()
        if self.options.scheduler:
            self.scheduler.start()
        for node in self.nodes.values():
            node.start()
        for name in self.nodes:
            self.wait_node(name)
        # Last: the node controller of 1.20 that once saw a node not ready keeps it at the head of its queue of
        # taints ("was in a taint queue, but it's ready now") and never evicts from a node lost later.
        if self.options.controllers:
            self.controllers.start()
            for name in self.nodes:
                self.wait_schedulable(name)
        return self

    def stop(self) -> None:
        """Clients first; then the folder goes."""
        stop_all([*self.nodes.values(), self.scheduler, self.controllers, self.apiserver, self.etcd])
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> ControlPlane:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def parts(self) -> list[Part]:
        return [self.etcd, self.apiserver, self.controllers, self.scheduler, *self.nodes.values()]

    def restart(self, part: Part, *, kill: bool = False) -> None:
        """Stops (or kills) the part and starts it again; waits for the API server if it is that."""
        if kill:
            part.kill()
        else:
            part.stop()
        part.start()
        if part in (self.apiserver, self.etcd):
            self.wait_ready()

    # --- waiting ------------------------------------------------------------------------------------------

    def wait_ready(self, seconds: float = 90.0) -> None:
        admin = self.api("admin")
        self._wait("the API server", self.apiserver, lambda: admin.request("GET", "/readyz").status == 200, seconds)

    def wait_node(self, name: str, ready: str = "True", seconds: float = 60.0) -> None:
        """Until the node's Ready condition is that: True, False or Unknown."""
        admin = self.api("admin")

        def says() -> bool:
            conditions = admin.get(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", [])
            return any(c["type"] == "Ready" and c["status"] == ready for c in conditions)

        until(f"node {name} Ready={ready}", says, seconds)

    def wait_schedulable(self, name: str, seconds: float = 60.0) -> None:
        """Until the node has no taint (a new one is tainted until the node controller has seen it ready)."""
        admin = self.api("admin")
        until(
            f"node {name} without taints", lambda: not admin.get(f"/api/v1/nodes/{name}")["spec"].get("taints"), seconds
        )

    def wait_pods(self, namespace: str, selector: str, count: int, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Until exactly that many pods match, all Ready and none terminating; gives them."""
        admin = self.api("admin")
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"

        def settled() -> list[dict[str, Any]] | None:
            pods: list[dict[str, Any]] = admin.get(path)["items"]
            good = len(pods) == count and all(is_ready(pod) for pod in pods)
            return pods or [{}] if good else None

        return [pod for pod in until(f"{count} pods {selector} in {namespace}", settled, seconds) if pod]

    def wait_namespace(self, name: str, seconds: float = 30.0) -> None:
        """Until pods can be made there (the default service account exists)."""
        admin = self.api("admin")
        path = f"/api/v1/namespaces/{name}/serviceaccounts/default"

        def usable() -> bool:
            reply = admin.request("GET", path)
            # Versions without bound tokens refuse pods until the account's secret is there too.
            return reply.status == 200 and (bool(reply.json().get("secrets")) or not self._has_token_secrets)

        until(f"service account of namespace {name}", usable, seconds)

    @property
    def _has_token_secrets(self) -> bool:
        return int(self.binaries.version.split(".")[1]) < 24

    # --- talking ------------------------------------------------------------------------------------------

    def api(self, user: str = "admin", user_agent: str = "kubewitness-tests") -> Api:
        return Api(self.pki, self.pki.users[user], user_agent)

    def kubectl_of(self, user: str, version: Version = "current") -> Kubectl:
        return Kubectl(self.binaries, self.pki.users[user], self.folder / "homes" / f"{user}-{version}", version)

    def kubectl(
        self, user: str, *args: str, stdin: str = "", version: Version = "current", seconds: float = 60.0
    ) -> str:
        """What `kubectl ARGS` of that user printed; KubectlError if it failed."""
        return self.kubectl_of(user, version)(*args, stdin=stdin, seconds=seconds)

    def apply(self, *objects: dict[str, Any], user: str = "admin") -> None:
        self.kubectl(user, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    # --- what it said -------------------------------------------------------------------------------------

    def audit_files(self) -> list[Path]:
        """Oldest first: rotated files carry the time of rotation in their name."""
        rotated = sorted(p for p in self.audit_log.parent.glob("audit-*.log*"))
        return [*rotated, *([self.audit_log] if self.audit_log.exists() else [])]

    def audit_lines(self) -> Iterator[bytes]:
        """The whole lines of the audit trail so far."""
        for path in self.audit_files():
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    yield line[:-1]

    def audit_records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_lines()]

    # --- parts --------------------------------------------------------------------------------------------

    def _part(self, name: str, command: list[str], env: dict[str, str] | None = None, hostname: str = "") -> Part:
        return Part(name, command, self.folder / "logs" / f"{name}.log", env=env, hostname=hostname)

    def _apiserver_flags(self) -> list[str]:
        policy, webhook = self.options.policy, None
        if not isinstance(policy, Path):
            path = self.folder / "audit-policy.json"
            path.write_text(json.dumps(policy))
            policy = path
        if self.options.webhook:
            webhook = self.folder / "audit-webhook.kubeconfig"
            webhook.touch(mode=0o600)
            webhook.write_text(self.options.webhook.kubeconfig(self.pki.file("ca.crt")))
        said = flags.audit(self.options, policy, self.audit_log, webhook)
        return flags.apiserver(self.binaries, self._ports, self.pki, self.options, said)

    def _node(self, number: int, name: str) -> Part:
        folder = self.folder / "nodes" / name
        (folder / "tmp").mkdir(parents=True)
        env = {
            "TMPDIR": str(folder / "tmp"),
            "HOLLOW_CRI_SOCK": str(folder / "cri.sock"),
            "HOLLOW_POD_NET": f"10.244.{number}",
            "HOLLOW_STATUS_SECONDS": str(self.options.status_seconds),
            "HOLLOW_LEASE_SECONDS": str(self.options.lease_seconds),
            "HOLLOW_LOG_ROOT": str(folder / "pods"),
            "HOLLOW_TLS_CERT": self.pki.file("kubelet-serving.crt"),
            "HOLLOW_TLS_KEY": self.pki.file("kubelet-serving.key"),
        }
        return self._part(name, flags.kubelet(self.binaries, self.pki, name, free_port()), env, hostname=name)

    def _etcd_healthy(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports.etcd}/health", timeout=2) as reply:
            return b"true" in reply.read()

    def _wait(self, what: str, part: Part, probe: Any, seconds: float = 60.0) -> None:
        def alive_and_ready() -> bool:
            part.check()
            return bool(probe())

        try:
            until(f"{what} ready", alive_and_ready, seconds, every=0.05)
        except TimeoutError as e:
            raise TimeoutError(f"{e}; the end of its log:\n{part.tail()}") from None


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
