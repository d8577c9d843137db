"""Filter `kubernetes` on a real API server: the DaemonSet's own pipeline and rights, real pods, files where kubelets
lay them. The hollow kubelets write no logs: the test writes them, under the names that the pods' own status asks for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewitness.filters.kubernetes import Kubernetes
from kubewitness.manifests import manifest
from tests.cluster.harness import Binaries, ControlPlane, Options, Part, until
from tests.cluster.harness.ports import free_port
from tests.cluster.recorder import Recorder
from tests.cluster.scenarios.manifests import workload
from tests.filters.pods import cri, lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_NODE = {"kubernetes.io/hostname": "worker-1"}
_ACCOUNT = "kubewitness-agent"


def documents() -> dict[str, Any]:
    return {d["kind"]: d for d in yaml.safe_load_all(manifest("agent-daemonset", metadata=True))}


@pytest.fixture(scope="module")
def cluster(binaries: Binaries) -> Iterator[ControlPlane]:
    with ControlPlane(Options(nodes=("worker-1",)), binaries) as cluster:
        kubectl = cluster.kubectl_of("admin")
        for kind in ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"):
            kubectl("apply", "-f", "-", stdin=json.dumps(documents()[kind]))
        kubectl("create", "namespace", "shop")
        yield cluster


class Node:
    """/var/log of a node, and the agent on it."""

    def __init__(self, folder: Path, cluster: ControlPlane) -> None:
        self.folder = folder
        (folder / "log" / "containers").mkdir(parents=True)
        kubectl = cluster.kubectl_of("admin")
        token = kubectl("create", "token", _ACCOUNT, "-n", _ACCOUNT, "--duration=1h")
        (folder / "token").write_text(token)
        self.keys = {
            "kube_url": cluster.server,
            "kube_ca_file": str(cluster.pki.file("ca.crt")),
            "kube_token_file": str(folder / "token"),
        }

    def log(self, pod: dict[str, Any], text: str) -> str:
        """A line of the pod's container; the link's name."""
        meta, (status,) = pod["metadata"], pod["status"]["containerStatuses"]
        file = self.folder / "log" / "pods" / f"shop_{meta['name']}_{meta['uid']}" / status["name"] / "0.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as out:
            out.write(cri(text)[0] + "\n")
        container_id = status["containerID"].rpartition("//")[2].rjust(64, "0")[-64:]
        link = self.folder / "log" / "containers" / f"{meta['name']}_shop_{status['name']}-{container_id}.log"
        if not link.exists():
            link.symlink_to(file)
        return str(link)

    def pipeline(self, port: int) -> Path:
        """The DaemonSet's, with this node's folders; what a pod has mounted is given by name."""
        text = documents()["ConfigMap"]["data"]["pipeline.yaml"]
        text = text.replace("/var/log/", f"{self.folder}/log/").replace("/var/lib/kubewitness", f"{self.folder}/lib")
        text = text.replace("0.0.0.0", "127.0.0.1").replace("2020", str(port)).replace("${NODE_NAME}", "worker-1")
        document = yaml.safe_load(text)
        document["pipeline"]["filters"][0] |= {**self.keys, "kube_node_name": "worker-1"}
        path = self.folder / "pipeline.yaml"
        path.write_text(yaml.safe_dump(document))
        return path


def requests_of(cluster: ControlPlane) -> Counter[str]:
    """What the agent asked the API server for, by the audit trail."""
    asked: Counter[str] = Counter()
    for line in cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        if event["user"].get("username", "").endswith(f":{_ACCOUNT}") and event["stage"] == "RequestReceived":
            asked[event["verb"]] += 1
    return asked


def test_the_daemonsets_agent_knows_the_pods_of_its_node_by_one_list_and_one_watch(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    kubectl = cluster.kubectl_of("admin")
    for kind, app in (("Deployment", "web"), ("StatefulSet", "db")):
        kubectl("apply", "-f", "-", stdin=json.dumps(workload(kind, "shop", app, _NODE, 2 if app == "web" else 1)))
    pods = [*cluster.wait_pods("shop", "app=web", 2), *cluster.wait_pods("shop", "app=db", 1)]
    node = Node(tmp_path, cluster)
    for pod in pods:
        node.log(pod, "first")
    recorder = Recorder(tmp_path / "lib" / "state")
    command = [sys.executable, "-m", "kubewitness", "run", "-c", str(node.pipeline(free_port()))]
    agent = Part("agent", command, tmp_path / "agent.log", env=recorder.env)
    agent.start()
    try:

        def stored(text: str) -> dict[str, dict[str, Any]]:
            agent.check()
            wanted = "pod, pod_uid, node, labels, owner_kind, owner_name, fields"
            query = f"select {wanted} from logs where message = '{text}'"
            answer = recorder.ask("sql", query, "-o", "json")  # fails as long as nothing has been recorded
            return {row["pod"]: row for row in json.loads(answer.stdout)} if answer.returncode == 0 else {}

        first = until("the first lines", lambda: f if len(f := stored("first")) == 3 else None, 60, every=1)
        for pod in pods:
            meta, row = pod["metadata"], first[pod["metadata"]["name"]]
            app = meta["labels"]["app"]
            assert (row["pod_uid"], row["node"]) == (meta["uid"], "worker-1")
            assert json.loads(row["labels"]) == meta["labels"]
            owner = ("Deployment", "web") if app == "web" else ("StatefulSet", "db")
            assert (row["owner_kind"], row["owner_name"]) == owner
            said = json.loads(row["fields"])["kubernetes"]
            assert (said["pod_ip"], said["container_image"]) == (pod["status"]["podIP"], f"shop/{app}:1.0")
        # a label that changes, and a pod that goes
        kubectl("label", "pod", pods[0]["metadata"]["name"], "-n", "shop", "track=canary")
        kubectl("delete", "pod", pods[2]["metadata"]["name"], "-n", "shop")
        (later,) = until("the next db-0", lambda: [
            p for p in cluster.wait_pods("shop", "app=db", 1) if p["metadata"]["uid"] != pods[2]["metadata"]["uid"]
        ])  # fmt: skip
        node.log(pods[0], "second")
        node.log(pods[2], "second")
        node.log(later, "third")
        second = until("the second lines", lambda: f if len(f := stored("second")) == 2 else None, 60, every=1)
        assert json.loads(second[pods[0]["metadata"]["name"]]["labels"])["track"] == "canary"
        assert json.loads(second["db-0"]["labels"]) == pods[2]["metadata"]["labels"]
        third = until("the third line", lambda: stored("third"), 60, every=1)
        assert third["db-0"]["pod_uid"] == later["metadata"]["uid"]
        assert third["db-0"]["owner_name"] == "db"
    finally:
        agent.stop()
    asked = requests_of(cluster)
    assert (asked["list"], asked["get"]) == (1, 0)
    assert asked["watch"] >= 1
    assert set(asked) <= {"list", "watch"}


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
async def test_with_one_right_less_it_says_which_and_goes_on(cluster: ControlPlane, tmp_path: Path, verb: str) -> None:
    kubectl = cluster.kubectl_of("admin")
    node = Node(tmp_path, cluster)
    role = documents()["ClusterRole"]
    less = {**role, "rules": [{**role["rules"][0], "verbs": [v for v in ("get", "list", "watch") if v != verb]}]}
    kubectl("apply", "-f", "-", stdin=json.dumps(less))
    who = f"system:serviceaccount:{_ACCOUNT}:{_ACCOUNT}"
    until(
        "the right to be gone", lambda: kubectl.run("auth", "can-i", verb, "pods", "--as", who, "-A").stdout == "no\n"
    )
    filter_ = Kubernetes([*node.keys.items(), ("kube_node_name", "worker-2")])
    serving = asyncio.create_task(filter_.serve())

    def missing() -> list[str]:
        return filter_.health()["pods"]["missing_rights"]  # type: ignore[index, no-any-return]

    try:
        stranger = lines_of(f"/var/log/containers/gone_shop_app-{'a' * 64}.log", cri("x"))
        async with asyncio.timeout(60):
            while missing() != [f"{verb} pods"]:
                if (wait := filter_.missing(stranger)) is not None:
                    await wait
                await asyncio.sleep(0.1)
        kubectl("apply", "-f", "-", stdin=json.dumps(role))
        if verb == "list":  # the others are found out when they are needed next
            async with asyncio.timeout(60):
                while missing():
                    await asyncio.sleep(0.1)
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        kubectl("apply", "-f", "-", stdin=json.dumps(role))
