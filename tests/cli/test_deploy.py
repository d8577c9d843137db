"""What `kubewitness deploy` prints: complete, tight, and in step with the recorder's own flags."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewitness.cli import build_parser, main, record
from kubewitness.manifests import PARTS, manifest

ROOT = Path(__file__).resolve().parents[2]


#: what `deploy/replicas.yaml` was printed with
STORE = "s3://bucket/kubewitness"


def documents(part: str, **values: Any) -> list[dict[str, Any]]:
    if part == "replicas":
        values.setdefault("store", STORE)
    return list(yaml.safe_load_all(manifest(part, **values)))


def recorder(kind: str, part: str = "recorder") -> dict[str, Any]:
    (found,) = (d for d in documents(part) if d["kind"] == kind)
    return found


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_printed_and_is_the_file_in_deploy(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", part, *(["--store", STORE] if part == "replicas" else [])]) == 0
    assert capsys.readouterr().out == (ROOT / "deploy" / f"{part}.yaml").read_text()
    for document in documents(part):
        if part != "k3s":
            assert document["kind"]
            assert document["apiVersion"]


def test_the_values_given_are_filled_in(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("PEM")
    (set_,) = (d for d in documents("recorder", image="my/kw:1", cluster="prod") if d["kind"] == "StatefulSet")
    (container,) = set_["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "my/kw:1"
    assert "--cluster=prod" in container["args"]
    (config,) = documents("webhook", cluster="prod", address="192.0.2.7:30444")
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.7:30444/audit/prod"
    (webhook,) = documents("admission", cluster="prod", ca_file=ca)[0]["webhooks"]
    assert webhook["clientConfig"]["service"]["path"] == "/admission/prod"
    assert base64.b64decode(webhook["clientConfig"]["caBundle"]) == b"PEM"


@pytest.mark.parametrize("flag", ["--image=a b", "--cluster=a/b", "--address=x,y", "--ca-file=/no/such/file"])
def test_values_that_would_break_the_yaml_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "admission", flag]) == 2
    assert flag.partition("=")[0] in capsys.readouterr().err


def test_the_recorders_arguments_are_ones_that_it_takes() -> None:
    (container,) = recorder("StatefulSet")["spec"]["template"]["spec"]["containers"]
    command, *args = container["args"]
    assert command == "record"
    parsed = build_parser("record", record).parse_args(args)
    ports = {port["containerPort"] for port in container["ports"]}
    listened = {int(a.rpartition(":")[2]) for a in (parsed.listen, parsed.audit_listen, parsed.admission_listen)}
    assert listened == ports
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    files = (parsed.serve_token_file, parsed.audit_token_file, parsed.tls_cert, parsed.tls_key, parsed.state)
    for file in files:
        assert any(str(file).startswith(mount) for mount in mounts), file


def test_the_pod_is_unprivileged_and_takes_credentials_as_files_only() -> None:
    pod = recorder("StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = container["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "env" not in container
    assert "envFrom" not in container
    assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= container.keys()
    assert not pod.get("hostNetwork")


def test_the_rights_are_the_ones_needed_and_each_verb_says_why() -> None:
    assert recorder("ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]},
    ]
    lines = manifest("recorder").splitlines()
    verbs = [line for line in lines if line.strip().startswith(("- list", "- watch", "- get"))]
    assert len(verbs) == 3
    assert all("  # " in line for line in verbs)


def test_services_ports_lead_to_the_container_and_the_webhooks_to_the_service() -> None:
    (container,) = recorder("StatefulSet")["spec"]["template"]["spec"]["containers"]
    service = recorder("Service")
    assert {p["targetPort"] for p in service["spec"]["ports"]} == {p["name"] for p in container["ports"]}
    (webhook,) = documents("admission")[0]["webhooks"]
    target = webhook["clientConfig"]["service"]
    assert (target["name"], target["namespace"]) == (service["metadata"]["name"], service["metadata"]["namespace"])
    assert target["port"] in {p["port"] for p in service["spec"]["ports"]}
    assert (webhook["failurePolicy"], webhook["sideEffects"], webhook["timeoutSeconds"]) == ("Ignore", "None", 1)


def test_the_three_ways_to_set_the_flags_set_the_same_ones() -> None:
    kubeadm = documents("kubeadm")[0]["apiServer"]
    kind = yaml.safe_load(documents("kind")[0]["nodes"][0]["kubeadmConfigPatches"][0])["apiServer"]
    k3s = dict(flag.split("=", 1) for flag in documents("k3s")[0]["kube-apiserver-arg"])
    assert kubeadm["extraArgs"] == kind["extraArgs"] == k3s
    folder = documents("kind")[0]["nodes"][0]["extraMounts"][0]["containerPath"]
    for volume in (kubeadm["extraVolumes"][0], kind["extraVolumes"][0]):
        assert volume["mountPath"] == folder
    (config,) = documents("webhook")
    named = (config["clusters"][0]["cluster"]["certificate-authority"], config["users"][0]["user"]["tokenFile"])
    for path in (*named, k3s["audit-policy-file"], k3s["audit-webhook-config-file"]):
        assert path.startswith(folder)


def test_the_policy_keeps_bodies_of_secrets_out() -> None:
    rules = documents("policy")[0]["rules"]
    first = next(r for r in rules if any("secrets" in part.get("resources", ()) for part in r.get("resources", ())))
    assert first["level"] == "Metadata"
    assert rules.index(first) < next(i for i, r in enumerate(rules) if r["level"] == "RequestResponse")


@pytest.mark.parametrize("part", ["agent-daemonset", "agent-sidecar"])
def test_the_pipelines_of_the_agents_are_ones_that_run_takes(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (config,) = (d for d in documents(part, cluster="prod") if d["kind"] == "ConfigMap")
    monkeypatch.setenv("NODE_NAME", "worker-1")
    (tmp_path / "pipeline.yaml").write_text(config["data"]["pipeline.yaml"])
    assert "cluster: prod" in config["data"]["pipeline.yaml"]
    assert main(["run", "-c", str(tmp_path / "pipeline.yaml"), "--dry-run", "--state", str(tmp_path / "state")]) == 0
    assert "1 inputs, 1 outputs" in capsys.readouterr().out


def test_with_metadata_the_agent_may_read_pods_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {d["kind"]: d for d in documents("agent-daemonset", metadata=True)}
    assert found["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    ]
    assert found["DaemonSet"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    monkeypatch.setenv("NODE_NAME", "worker-1")
    (tmp_path / "pipeline.yaml").write_text(found["ConfigMap"]["data"]["pipeline.yaml"])
    assert main(["run", "-c", str(tmp_path / "pipeline.yaml"), "--dry-run", "--state", str(tmp_path / "state")]) == 0
    assert main(["deploy", "recorder", "--metadata"]) == 2
    assert "--metadata belongs to" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["agent-daemonset", "agent-sidecar"])
def test_the_agents_have_no_token_no_writable_root_and_no_right_they_do_not_need(part: str) -> None:
    (found,) = (d for d in documents(part) if d["kind"] in ("DaemonSet", "Pod"))
    pod = found["spec"]["template"]["spec"] if found["kind"] == "DaemonSet" else found["spec"]
    assert pod["automountServiceAccountToken"] is False
    (agent,) = (c for c in [*pod.get("initContainers", []), *pod["containers"]] if c["image"] == "kubewitness:latest")
    context = agent["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    if part == "agent-sidecar":
        assert agent["restartPolicy"] == "Always"
        assert pod["securityContext"]["runAsNonRoot"] is True
    else:
        assert context["capabilities"]["add"] == ["DAC_READ_SEARCH"]
        assert all(m.get("readOnly") for m in agent["volumeMounts"] if m["name"] in ("logs", "docker", "config"))
