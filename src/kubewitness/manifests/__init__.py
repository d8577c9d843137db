"""Manifests and files that a cluster needs to be recorded, with one installation's values filled in."""

from __future__ import annotations

import base64
import re
from importlib.resources import files
from pathlib import Path

from kubewitness.errors import UsageError

#: every part, and what it is
PARTS = {
    "recorder": "the recorder: namespace, rights, Service, StatefulSet with a volume",
    "replicas": "two elected recorders instead, which share an object store",
    "agent-daemonset": "container logs of every node: a DaemonSet",
    "agent-sidecar": "logs of one pod: a pod with the agent as a native sidecar container",
    "policy": "the audit policy: the API server's --audit-policy-file",
    "webhook": "where audit records go: the API server's --audit-webhook-config-file",
    "kubeadm": "how these flags are set with kubeadm",
    "kind": "how these flags are set with kind",
    "k3s": "how these flags are set with k3s",
    "admission": "the webhook configuration for clusters whose API server flags cannot be set",
}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_PLAIN = re.compile(r"[^\s'\"#{}\[\],]+")

#: stands for the object store in a manifest that is only shown
_SOME_STORE = "s3://bucket/kubewitness"


def example(part: str) -> str:
    """A part as it is without any options. Raises UsageError for what is no part."""
    if part not in PARTS:
        raise UsageError(f"for: {part!r} is none of {', '.join(PARTS)}")
    return manifest(part, store=_SOME_STORE if part == "replicas" else "")


def manifest(
    part: str,
    image: str = "kubewitness:latest",
    cluster: str = "default",
    address: str = "10.96.0.200:9444",
    ca_file: Path | None = None,
    store: str = "",
    metadata: bool = False,
) -> str:
    """One file with these values filled in. Raises UsageError for values that do not belong there."""
    if part == "replicas" and "://" not in store:
        raise UsageError(
            "deploy replicas: more than one replica needs a store that all of them reach: --store s3://BUCKET/PREFIX"
        )
    if part != "replicas" and store:
        raise UsageError("--store belongs to `deploy replicas`")
    if metadata and part != "agent-daemonset":
        raise UsageError("--metadata belongs to `deploy agent-daemonset`")
    if not _NAME.fullmatch(cluster):
        raise UsageError(f"--cluster {cluster!r}: letters, digits, '.', '_' and '-' only")
    for option, value in (("--image", image), ("--address", address), ("--store", store or "-")):
        if not _PLAIN.fullmatch(value):
            raise UsageError(f"{option} {value!r}: blanks, quotes, brackets and commas do not belong there")
    text = _text(part)
    if metadata:
        text = _with_metadata(text)
    text = text.replace("image: kubewitness:latest", f"image: {image}").replace(
        "--cluster=default", f"--cluster={cluster}"
    )
    text = text.replace("--store=s3://bucket/kubewitness", f"--store={store}")
    text = text.replace("cluster: default", f"cluster: {cluster}") if part.startswith("agent-") else text
    text = text.replace("https://10.96.0.200:9444/audit/default", f"https://{address}/audit/{cluster}")
    text = text.replace("/admission/default", f"/admission/{cluster}")
    if ca_file is not None:
        try:
            bundle = base64.b64encode(ca_file.read_bytes()).decode()
        except OSError as e:
            raise UsageError(f"--ca-file {ca_file}: {e.strerror}") from e
        text = text.replace("caBundle: Cg==", f"caBundle: {bundle}")
    return text


def _text(part: str) -> str:
    return (files("kubewitness") / "manifests" / f"{part}.yaml").read_text("utf-8")


_TOKENLESS = "automountServiceAccountToken: false"
_FILTER = """      filters:
        - name: kubernetes
          match: kube.*
          workload: on
      outputs:
"""


def _with_metadata(text: str) -> str:
    """The agent with a filter that asks the API server about pods, and with the rights for it."""
    text = re.sub(rf"{_TOKENLESS}.*", "automountServiceAccountToken: true", text)
    return text.replace("      outputs:\n", _FILTER, 1) + _text("agent-metadata")
