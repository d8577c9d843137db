"""The options of `record` for more than one replica."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kubewitness.errors import UsageError

if TYPE_CHECKING:
    from kubewitness.config.state import StatePaths
    from kubewitness.election import ElectionOptions

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def add_election(parser: argparse.ArgumentParser) -> None:
    """`--leader-elect` and its relatives, named and meant as Kubernetes' own components have them."""
    group = parser.add_argument_group("more than one replica")
    group.add_argument(
        "--leader-elect",
        action="store_true",
        help="record only while leading; replicas on several machines need --store s3://... in common",
    )
    group.add_argument("--lease-name", default="kubewitness", metavar="NAME", help="the Lease that replicas stand for")
    group.add_argument("--lease-namespace", metavar="NS", help="its namespace (default: the pod's, or the context's)")
    group.add_argument("--identity", metavar="NAME", help="this replica in the Lease (default: the host's name)")
    group.add_argument("--lease-duration", type=_duration, default=15.0, metavar="T", help="15s: others wait so long")
    group.add_argument(
        "--renew-deadline", type=_duration, default=10.0, metavar="T", help="10s: a leader stops if it cannot renew"
    )
    group.add_argument("--retry-period", type=_duration, default=2.0, metavar="T", help="2s: between two tries")


def election_of(args: argparse.Namespace, paths: StatePaths) -> ElectionOptions | None:
    """What the options ask for; None without --leader-elect. UsageError for what cannot work."""
    if not args.leader_elect:
        return None
    if paths.shared_store and args.audit_file:
        raise UsageError(
            "--audit-file with --leader-elect: a file is on one machine only, and nobody would read it while another "
            "replica leads; let the API server send the trail (--audit-listen), or record files without election"
        )
    from kubewitness.election import ElectionOptions
    from kubewitness.kube import KubeAccess
    from kubewitness.kube.lease import Times

    access = KubeAccess(
        kubeconfig=args.kubeconfig,
        context=args.context,
        url=args.server,
        token_file=args.token_file,
        ca_file=args.ca_file,
    )
    access.find()
    return ElectionOptions(
        access,
        args.lease_name,
        args.lease_namespace or "",
        args.identity or "",
        Times(args.lease_duration, args.renew_deadline, args.retry_period),
    )


def _duration(text: str) -> float:
    """Seconds of `15s`, `500ms`, `1m`, or of a bare number."""
    number = text.rstrip("ms")
    try:
        seconds = float(number) * _SECONDS[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r}: write a time such as 15s or 500ms") from None
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: between 0 and a day")
    return seconds
