"""Records a cluster: its Events, and the API server's audit trail, into the state; and serves answers from it.

Without --kubeconfig the cluster is the one of KUBECONFIG, ~/.kube/config or the pod's service account; where there is
none, only what --audit-file and --audit-listen give is recorded. A cluster that cannot be reached yet is waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kubewitness.cli.elect import add_election, election_of
from kubewitness.cli.options import add_state, bytes_of, new_cluster, paths_of, seconds_of
from kubewitness.cli.serve import tls_of
from kubewitness.errors import UsageError

if TYPE_CHECKING:
    from kubewitness.app import Serving
    from kubewitness.config.state import StatePaths
    from kubewitness.contracts import Input
    from kubewitness.election import ElectionOptions
    from kubewitness.inputs.kubernetes_admission import KubernetesAdmission
    from kubewitness.inputs.kubernetes_audit import KubernetesAudit
    from kubewitness.inputs.kubernetes_events import KubernetesEvents

_AUDIT_PORT = 9444
_ADMISSION_PORT = 9445
_NO_AUDIT = """\
  audit trail     not recorded, so that who did something can only be inferred. Let the API server write it:
                    --audit-policy-file=... --audit-log-path=/var/log/kubernetes/audit.log, then add --audit-file here
                    or --audit-webhook-config-file=..., then add --audit-listen 0.0.0.0:9444 here
                  (docs/recording.md has a policy and the webhook's configuration)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)
    cluster = parser.add_argument_group("the cluster")
    cluster.add_argument("--kubeconfig", metavar="F", help="kubeconfig file (default: as kubectl finds it)")
    cluster.add_argument("--context", metavar="C", help="context of the kubeconfig")
    cluster.add_argument("--server", metavar="URL", help="address of the API server, instead of a kubeconfig")
    cluster.add_argument("--token-file", metavar="F", help="bearer token for it; read again when it changes")
    cluster.add_argument("--ca-file", metavar="F", help="certificate authority of the API server")
    cluster.add_argument("-n", "--namespace", metavar="NS", help="Events of this namespace only")
    cluster.add_argument("--no-events", action="store_true", help="record no Events, only the audit trail")
    cluster.add_argument(
        "--resources", metavar="KINDS", help="versions of these, too, as kubectl names them: pods,nodes,deploy,..."
    )
    cluster.add_argument(
        "--cluster", type=new_cluster, metavar="NAME", default="default", help="what to call the cluster in the store"
    )
    audit = parser.add_argument_group("the audit trail")
    audit.add_argument("--audit-file", metavar="P", action="append", default=[], help="audit log file (repeatable)")
    audit.add_argument("--audit-listen", metavar="ADDR", help=f"webhook, e.g. 127.0.0.1:{_AUDIT_PORT}; POST /audit")
    audit.add_argument("--audit-cert-file", metavar="F", help="the webhook's TLS certificate")
    audit.add_argument("--audit-key-file", metavar="F", help="and its key")
    audit.add_argument("--audit-client-ca-file", metavar="F", help="client certificates must be signed by it")
    audit.add_argument("--audit-token-file", metavar="F", help="bearer token that the API server must show")
    audit.add_argument(
        "--admission-listen", metavar="ADDR", help="admission webhook, where there is no audit trail; POST /admission"
    )
    audit.add_argument("--tls-cert", metavar="F", help="TLS certificate of the webhooks (admission cannot do without)")
    audit.add_argument("--tls-key", metavar="F", help="and its key")
    add_election(parser)
    serving = parser.add_argument_group("serving and storing")
    serving.add_argument("--listen", default="127.0.0.1:8420", metavar="ADDR", help="answer questions there")
    serving.add_argument("--serve-token-file", metavar="F", type=Path, help="bearer token that requests must show")
    serving.add_argument(
        "--serve-auth", choices=("token", "cluster"), help="cluster: its users log in, and see what they may read there"
    )
    serving.add_argument("--serve-tls-cert", metavar="F", help="answer by TLS with this certificate")
    serving.add_argument("--serve-tls-key", metavar="F", help="and its key; both are read again when they change")
    serving.add_argument("--access-log", metavar="F", type=Path, help="who asked what (with a login: in the state)")
    serving.add_argument("--no-serve", action="store_true", help="only record")
    serving.add_argument("--flush-seconds", type=float, default=30.0, metavar="S", help="write tables so often")
    serving.add_argument(
        "--journal-limit",
        metavar="SIZE",
        help="records not yet in the tables take at most so much, compressed; then capture waits (default: 2.1GB)",
    )
    serving.add_argument("--max-age", metavar="AGE", help="keep records so long: 30d, 12w (default: for ever)")
    serving.add_argument(
        "--max-bytes", metavar="SIZE", help="keep so much, newest days first: 10GB (default: no limit)"
    )
    serving.add_argument("-v", "--verbose", action="store_true", help="log more")


def run(args: argparse.Namespace) -> int:
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    from kubewitness.store.memory import hold_little_memory

    hold_little_memory()
    args.max_age = None if args.max_age is None else seconds_of(args.max_age, "--max-age")
    args.max_bytes = None if args.max_bytes is None else bytes_of(args.max_bytes, "--max-bytes")
    args.journal_limit = None if args.journal_limit is None else bytes_of(args.journal_limit, "--journal-limit")
    paths = paths_of(args)
    redact_key = paths.create().redact_key()
    audit = _audit_inputs(args, redact_key)
    admission = _admission_inputs(args, redact_key)
    events, why_not = _events_input(args, redact_key)
    if events is None and not audit and not admission:
        raise UsageError(f"{why_not}; name a cluster with --kubeconfig or --server, or give --audit-file")
    election = election_of(args, paths)
    text = _start_text(events, why_not, [*audit, *admission], paths)
    if election is not None:
        text += f"\n  election        by lease {election.name}: records while it leads, else stands by"
    inputs: list[Input] = [*([events] if events else []), *(a for a in audit if not a.listens)]
    receivers: list[Input] = [*(a for a in audit if a.listens), *admission]
    return asyncio.run(_record(args, paths, inputs, receivers, election, text))


async def _record(
    args: argparse.Namespace,
    paths: StatePaths,
    inputs: list[Input],
    receivers: list[Input],
    election: ElectionOptions | None,
    text: str,
) -> int:
    from kubewitness.app import KeeperOptions, Recorder

    serving = None
    if not args.no_serve:
        serving = _serving(args, paths)

    def started(address: str) -> None:
        answers = f"  answers         {address}" if address else "  answers         kubewitness who|timeline|search ..."
        print(f"{text}\n{answers}\n(Ctrl-C ends)", file=sys.stderr, flush=True)

    keeping = KeeperOptions(flush_seconds=args.flush_seconds, max_age=args.max_age, max_bytes=args.max_bytes)
    recorder = Recorder(paths, inputs, serving, keeping, on_started=started, receivers=receivers, election=election)
    recorder.journal_limit = args.journal_limit or recorder.journal_limit
    await recorder.run()
    return 0


def _serving(args: argparse.Namespace, paths: StatePaths) -> Serving:
    """Where questions are answered, and whose."""
    from kubewitness.app import ClusterAccess, Serving
    from kubewitness.kube.access import KubeAccess
    from kubewitness.web.guard import parse_listen

    cluster = None
    if args.serve_auth == "cluster":
        if args.serve_token_file is not None:
            raise UsageError("--serve-auth cluster and --serve-token-file: choose one")
        access = KubeAccess(args.kubeconfig, args.context, args.server, args.token_file, args.ca_file)
        access.describe()
        cluster = ClusterAccess(access, args.cluster)
    elif args.serve_auth == "token" and args.serve_token_file is None:
        raise UsageError("--serve-auth token: --serve-token-file FILE says which")
    log = args.access_log
    if log is None and (cluster is not None or args.serve_token_file is not None):
        log = paths.access_log
    tls = tls_of(args.serve_tls_cert, args.serve_tls_key, "--serve-tls")
    return Serving(*parse_listen(args.listen, 8420), args.serve_token_file, cluster, log, tls)


def _events_input(args: argparse.Namespace, redact_key: bytes) -> tuple[KubernetesEvents | None, str]:
    """The Events of the cluster named or found; None and the reason when there is none to be found."""
    if args.no_events and not args.resources:
        return None, "--no-events was given"
    from kubewitness.inputs.kubernetes_events import KubernetesEvents

    keys = {
        "kubeconfig": args.kubeconfig,
        "context": args.context,
        "kube_url": args.server,
        "kube_token_file": args.token_file,
        "kube_ca_file": args.ca_file,
        "kube_namespace": args.namespace,
        "resources": args.resources,
        "events": "off" if args.no_events else "",
        "cluster": args.cluster,
    }
    source = KubernetesEvents({k: v for k, v in keys.items() if v}, redact_key=redact_key)
    try:
        source.access.find()
    except UsageError as e:
        if (
            args.kubeconfig
            or args.context
            or args.server
            or not (args.audit_file or args.audit_listen or args.admission_listen)
        ):
            raise
        return None, str(e)
    return source, ""


def _audit_inputs(args: argparse.Namespace, redact_key: bytes) -> list[KubernetesAudit]:
    from kubewitness.inputs.kubernetes_audit import KubernetesAudit

    found = [
        KubernetesAudit({"audit_file": path, "cluster": args.cluster}, redact_key=redact_key)
        for path in args.audit_file
    ]
    if args.audit_listen:
        from kubewitness.web.guard import is_loopback, parse_listen

        host, port = parse_listen(args.audit_listen, _AUDIT_PORT)
        if not is_loopback(host) and not (args.audit_token_file or args.audit_client_ca_file):
            logging.getLogger(__name__).warning(
                "the audit webhook on %s takes records from anyone who can reach it; "
                "set --audit-token-file or --audit-client-ca-file",
                args.audit_listen,
            )
        keys = {
            "listen": host,
            "port": str(port),
            "cluster": args.cluster,
            "tls.crt_file": args.audit_cert_file or args.tls_cert,
            "tls.key_file": args.audit_key_file or args.tls_key,
            "tls.ca_file": args.audit_client_ca_file,
            "token_file": args.audit_token_file,
        }
        found.append(KubernetesAudit({k: v for k, v in keys.items() if v}, redact_key=redact_key))
    elif args.audit_cert_file or args.audit_token_file or args.audit_client_ca_file:
        raise UsageError("--audit-cert-file and its relatives belong to --audit-listen, which is not given")
    return found


def _admission_inputs(args: argparse.Namespace, redact_key: bytes) -> list[KubernetesAdmission]:
    if not args.admission_listen:
        return []
    from kubewitness.inputs.kubernetes_admission import KubernetesAdmission
    from kubewitness.web.guard import is_loopback, parse_listen

    host, port = parse_listen(args.admission_listen, _ADMISSION_PORT)
    if not args.tls_cert and not is_loopback(host):
        raise UsageError(
            "--admission-listen: an API server calls webhooks by https only; give --tls-cert and --tls-key"
        )
    keys = {
        "listen": host,
        "port": str(port),
        "cluster": args.cluster,
        "tls.crt_file": args.tls_cert,
        "tls.key_file": args.tls_key,
    }
    return [KubernetesAdmission({k: v for k, v in keys.items() if v}, redact_key=redact_key)]


def _start_text(
    events: KubernetesEvents | None,
    why_not: str,
    audit: Sequence[KubernetesAudit | KubernetesAdmission],
    paths: StatePaths,
) -> str:
    """What is recorded, where, and what is missing, for the person who has just started it."""
    lines = [f"recording into {paths.root}"]
    if events is not None:
        for label, words in (("Events", [w for w in events.watches if w == "events"]), ("objects", events.kinds)):
            of = f"{', '.join(words)} of " if label == "objects" else ""
            lines += [f"  {label:<15} {of}{events.access.describe()}"] if words else []
    else:
        lines.append(f"  Events          not recorded: {why_not}")
    lines += [f"  audit trail     {source.describe()}" for source in audit] or [_NO_AUDIT]
    return "\n".join(lines)
