"""The harness does what the other suites rely on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.demo_manifests import deployment, namespace
from tests.cluster.harness import Api, ControlPlane, Options, RawWatch, Webhook, WebhookSink, until
from tests.cluster.harness.kubectl import Version

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(start_cluster: Callable[[Options], ControlPlane], sink: WebhookSink) -> ControlPlane:
    cluster = start_cluster(Options(webhook=Webhook(sink.url), audit_max_mb=1))
    cluster.apply(namespace("shop"), deployment("shop", "web", 2))
    cluster.wait_pods("shop", "app=web", 2)
    return cluster


def _last(cluster: ControlPlane, **fields: str) -> dict[str, Any]:
    """The newest finished audit record whose objectRef and verb are these."""

    def matches(record: dict[str, Any]) -> bool:
        said = {"verb": record["verb"], **record.get("objectRef", {})}
        return record["stage"] == "ResponseComplete" and all(said.get(k) == v for k, v in fields.items())

    def find() -> list[dict[str, Any]]:
        return [record for record in cluster.audit_records() if matches(record)]

    return until(f"an audit record {fields}", find, 10)[-1]


@pytest.mark.parametrize("version", ["old", "current"])
def test_both_kubectls_work_and_print_nothing_but_the_answer_on_stdout(cluster: ControlPlane, version: Version) -> None:
    pods = json.loads(cluster.kubectl("admin", "-n", "shop", "get", "pods", "-o", "json", version=version))
    assert len(pods["items"]) == 2
    done = cluster.kubectl_of("bob", version).run("-n", "shop", "get", "pods")
    assert done.returncode == 1
    assert 'User "bob" cannot list' in done.stderr
    assert "protobuf" not in done.stderr


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("admin", {"system:masters"}),
        ("alice", {"devs", "sre"}),
        ("bob", {"devs"}),
        ("carol", {"auditors"}),
        ("ci-bot", {"robots"}),
    ],
)
def test_each_user_has_its_name_and_groups_in_the_audit_trail(
    cluster: ControlPlane, user: str, groups: set[str]
) -> None:
    cluster.api(user).request("GET", f"/api/v1/namespaces/shop/pods/asked-by-{user}")
    said = _last(cluster, name=f"asked-by-{user}")["user"]
    assert said["username"] == user
    assert set(said["groups"]) == groups | {"system:authenticated"}


def test_the_webhook_gets_what_the_audit_file_gets(cluster: ControlPlane, sink: WebhookSink) -> None:
    cluster.api("admin").request("GET", "/api/v1/namespaces/shop/pods/seen-twice")
    wanted = _last(cluster, name="seen-twice")["auditID"]
    until("the webhook's batch", lambda: any(r["auditID"] == wanted for r in sink.records()), 15)


def test_the_audit_file_rotates_and_no_line_is_missed(cluster: ControlPlane) -> None:
    api = cluster.api("admin")
    big = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "annotations": {"a": "b" * 60_000}}}
    for _ in range(12):
        # Refused as invalid, which is in the trail with its body all the same.
        api.request("POST", "/apis/apps/v1/namespaces/shop/deployments", big)
    until("a rotated audit file", lambda: len(cluster.audit_files()) > 1, 10)
    assert sum(r["verb"] == "create" and r["level"] == "RequestResponse" for r in cluster.audit_records()) >= 12


def test_an_independent_watch_sees_every_version_of_an_object(cluster: ControlPlane) -> None:
    path = "/api/v1/namespaces/shop/configmaps"
    watch = RawWatch(cluster.api("admin"), path).start()
    uids = set()
    for n in range(5):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}, "data": {"n": str(n)}}
        reply = _put(cluster.api("admin"), path, body)
        uids.add((reply["metadata"]["uid"], reply["metadata"]["resourceVersion"]))
    until("five versions", lambda: len(uids & watch.versions()) == 5, 10)
    watch.stop()


def _put(api: Api, path: str, body: Mapping[str, object]) -> dict[str, dict[str, str]]:
    reply = api.request("PUT", f"{path}/seen", body)
    if reply.status == 404:
        reply = api.request("POST", path, body)
    made: dict[str, dict[str, str]] = reply.json()
    return made


def test_a_watch_goes_on_when_the_api_server_was_killed_and_comes_back(cluster: ControlPlane) -> None:
    watch = RawWatch(cluster.api("admin"), "/api/v1/namespaces").start()
    cluster.restart(cluster.apiserver, kill=True)
    cluster.apply(namespace("after-the-restart"))
    until(
        "the namespace in the watch",
        lambda: any(e["object"]["metadata"]["name"] == "after-the-restart" for e in watch.events()),
        20,
    )
    watch.stop()


def test_a_paused_api_server_answers_nothing_and_goes_on_when_resumed(cluster: ControlPlane) -> None:
    cluster.apiserver.pause()
    with pytest.raises(OSError, match="timed out"):
        cluster.api("admin").request("GET", "/readyz", seconds=2)
    cluster.apiserver.resume()
    assert until("the answer", lambda: cluster.api("admin").request("GET", "/readyz").status == 200, 20)


def test_etcd_can_be_killed_and_started_again_with_its_data(cluster: ControlPlane) -> None:
    cluster.restart(cluster.etcd, kill=True)
    names = [i["metadata"]["name"] for i in until("a list", lambda: cluster.api().get("/api/v1/namespaces"))["items"]]
    assert "shop" in names


def test_controllers_and_scheduler_can_be_stopped_and_started(cluster: ControlPlane) -> None:
    cluster.controllers.stop()
    cluster.scheduler.stop()
    cluster.kubectl("admin", "-n", "shop", "scale", "deployment/web", "--replicas=3")
    with pytest.raises(TimeoutError):
        cluster.wait_pods("shop", "app=web", 3, seconds=4)
    cluster.controllers.start()
    cluster.scheduler.start()
    cluster.wait_pods("shop", "app=web", 3)


def test_a_paused_node_becomes_not_ready_and_recovers(cluster: ControlPlane) -> None:
    cluster.nodes["worker-2"].pause()
    cluster.wait_node("worker-2", "Unknown")
    cluster.nodes["worker-2"].resume()
    cluster.wait_node("worker-2")


def test_nothing_survives_a_killed_test_process(binaries: object) -> None:
    """The driver is killed -9: no atexit, no fixture; the kernel ends the parts."""
    script = textwrap.dedent("""
        import sys, time
        from tests.cluster.harness import ControlPlane, Options
        cluster = ControlPlane(Options(nodes=("worker-1",)))
        cluster.etcd.start()
        cluster.scheduler.start()
        cluster.etcd.pause()
        print(cluster.etcd.pid, cluster.scheduler.pid, cluster.folder, flush=True)
        time.sleep(60)
    """)
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    etcd, scheduler, folder = driver.stdout.readline().split()
    assert _alive(int(etcd))
    assert _alive(int(scheduler))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    until("the end of both", lambda: not _alive(int(etcd)) and not _alive(int(scheduler)), 5)
    subprocess.run(["rm", "-r", folder], check=True)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    # Nobody may be there to collect the exit code.
    return state != "Z" and os.path.exists(f"/proc/{pid}")


def test_without_a_control_plane_the_suite_is_left_out_and_says_so_but_fails_in_ci(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "cluster",
        "-p",
        "no:cacheprovider",
        "tests/cluster/test_harness.py",
    ]
    for ci, code in (("", 0), ("true", 1)):
        env = {**os.environ, "KUBEWITNESS_TEST_CONTROL_PLANE": str(tmp_path), "CI": ci}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert "cluster suite left out (" in done.stdout
        assert f"{tmp_path} has no kube-apiserver" in done.stdout
        assert done.returncode == code
