"""Prints what a cluster needs to be recorded, for `kubectl apply -f -` and for the API server's host.

  kubewitness deploy                   the recorder: namespace, rights, Service, StatefulSet with a volume
  kubewitness deploy replicas --store s3://BUCKET/PREFIX
                                       two elected recorders instead, which share a store
  kubewitness deploy agent-daemonset   container logs of every node: a DaemonSet
  kubewitness deploy agent-sidecar     logs of one pod: a pod with the agent as a native sidecar container
  kubewitness deploy admission         the webhook configuration for clusters whose API server flags cannot be set
  kubewitness deploy policy|webhook    the files of --audit-policy-file and --audit-webhook-config-file
  kubewitness deploy kubeadm|kind|k3s  how these flags are set there

docs/audit.md, docs/admission.md, docs/replicas.md and docs/agents.md walk through it.
"""

from __future__ import annotations

import argparse
import base64
import re
from importlib.resources import files
from pathlib import Path

from kubewitness.errors import UsageError

PARTS = (
    "recorder",
    "replicas",
    "agent-daemonset",
    "agent-sidecar",
    "policy",
    "webhook",
    "kubeadm",
    "kind",
    "k3s",
    "admission",
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_PLAIN = re.compile(r"[^\s'\"#{}\[\],]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", nargs="?", choices=PARTS, default="recorder", help="what to print")
    parser.add_argument("--image", default="kubewitness:latest", metavar="REF", help="image of the recorder")
    parser.add_argument("--cluster", default="default", metavar="NAME", help="what to call the cluster in the store")
    parser.add_argument("--address", default="10.96.0.200:9444", metavar="HOST:PORT", help="of the audit webhook")
    parser.add_argument(
        "--store", default="", metavar="URI", help="object store that replicas share: s3://BUCKET/PREFIX"
    )
    parser.add_argument("--ca-file", metavar="F", type=Path, help="CA of the admission webhook's certificate (PEM)")


def run(args: argparse.Namespace) -> int:
    print(manifest(args.part, args.image, args.cluster, args.address, args.ca_file, args.store), end="")
    return 0


def manifest(
    part: str,
    image: str = "kubewitness:latest",
    cluster: str = "default",
    address: str = "10.96.0.200:9444",
    ca_file: Path | None = None,
    store: str = "",
) -> str:
    """One file with these values filled in. Raises UsageError for values that do not belong there."""
    if part == "replicas" and "://" not in store:
        raise UsageError(
            "deploy replicas: more than one replica needs a store that all of them reach: --store s3://BUCKET/PREFIX"
        )
    if part != "replicas" and store:
        raise UsageError("--store belongs to `deploy replicas`")
    if not _NAME.fullmatch(cluster):
        raise UsageError(f"--cluster {cluster!r}: letters, digits, '.', '_' and '-' only")
    for option, value in (("--image", image), ("--address", address), ("--store", store or "-")):
        if not _PLAIN.fullmatch(value):
            raise UsageError(f"{option} {value!r}: blanks, quotes, brackets and commas do not belong there")
    text = (files("kubewitness") / "manifests" / f"{part}.yaml").read_text("utf-8")
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
