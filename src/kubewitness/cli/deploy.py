"""Prints what a cluster needs to be recorded, for `kubectl apply -f -` and for the API server's host.

  kubewitness deploy                   the recorder: namespace, rights, Service, StatefulSet with a volume
  kubewitness deploy replicas --store s3://BUCKET/PREFIX
                                       two elected recorders instead, which share a store
  kubewitness deploy agent-daemonset   container logs of every node: a DaemonSet; with --metadata, with labels and
                                       workloads of the pods, for which it may list the cluster's pods
  kubewitness deploy agent-sidecar     logs of one pod: a pod with the agent as a native sidecar container
  kubewitness deploy admission         the webhook configuration for clusters whose API server flags cannot be set
  kubewitness deploy policy|webhook    the files of --audit-policy-file and --audit-webhook-config-file
  kubewitness deploy kubeadm|kind|k3s  how these flags are set there

docs/audit.md, docs/admission.md, docs/replicas.md and docs/agents.md walk through it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kubewitness.manifests import PARTS, manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", nargs="?", choices=list(PARTS), default="recorder", help="what to print")
    parser.add_argument("--image", default="kubewitness:latest", metavar="REF", help="image of the recorder")
    parser.add_argument("--cluster", default="default", metavar="NAME", help="what to call the cluster in the store")
    parser.add_argument("--address", default="10.96.0.200:9444", metavar="HOST:PORT", help="of the audit webhook")
    parser.add_argument(
        "--store", default="", metavar="URI", help="object store that replicas share: s3://BUCKET/PREFIX"
    )
    parser.add_argument("--metadata", action="store_true", help="agent-daemonset: labels and workloads of pods")
    parser.add_argument("--ca-file", metavar="F", type=Path, help="CA of the admission webhook's certificate (PEM)")


def run(args: argparse.Namespace) -> int:
    print(manifest(args.part, args.image, args.cluster, args.address, args.ca_file, args.store, args.metadata), end="")
    return 0
