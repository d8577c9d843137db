"""Answer questions over HTTP, from what was recorded in this state.

  kubewitness serve                                          on 127.0.0.1, for whoever is on this machine
  kubewitness serve --listen 0.0.0.0:8420 --token-file F     for whoever shows the token
  kubewitness serve --listen 0.0.0.0:8420 --auth cluster     for users of the cluster: what they may read there
      ... --tls-cert F --tls-key F                           by TLS

Serves one page to ask from, the JSON API (/api/v1/..., described by /api/openapi.json), /metrics, /healthz and /readyz.
docs/access.md tells what a user of the cluster sees, and which rights the server needs.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kubewitness.cli.options import add_state, new_cluster, paths_of
from kubewitness.config.state import StatePaths
from kubewitness.errors import UsageError

#: memory (MB) of all questions that run; what is more is spilled into the state's tmp
_MEMORY_MB = 224

if TYPE_CHECKING:
    from kubewitness.app import Serving
    from kubewitness.inputs.server_tls import TlsFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)
    add_listen(parser)
    parser.add_argument(
        "--auth",
        choices=("token", "cluster"),
        help="who may ask: who shows the token of --token-file, or the cluster's users",
    )
    parser.add_argument(
        "--kubeconfig", metavar="F", help="of --auth cluster: its kubeconfig (default: as kubectl finds it)"
    )
    parser.add_argument("--context", metavar="C", help="context of the kubeconfig")
    parser.add_argument(
        "--auth-cluster", type=new_cluster, default="default", metavar="NAME", help="what the store calls that cluster"
    )
    parser.add_argument("--tls-cert", metavar="F", help="serve by TLS with this certificate (PEM, with its chain)")
    parser.add_argument("--tls-key", metavar="F", help="and its key; both are read again when they change")
    parser.add_argument(
        "--access-log", type=Path, metavar="F", help="who asked what (default with a login: access.jsonl in the state)"
    )


def add_listen(parser: argparse.ArgumentParser) -> None:
    """`--listen`, `--token-file`: for every command that serves."""
    parser.add_argument("--listen", default="127.0.0.1:8420", metavar="ADDR", help="address to serve on (port 0: any)")
    parser.add_argument(
        "--token-file", type=Path, metavar="F", help="file with the bearer token that every request must show"
    )


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args).require()
    return asyncio.run(serve(paths, serving_of(args, paths)))


def serving_of(args: argparse.Namespace, paths: StatePaths) -> Serving:
    """Where and to whom, of the options. Raises UsageError for options that do not go together."""
    from kubewitness.app import ClusterAccess, Serving
    from kubewitness.kube.access import KubeAccess
    from kubewitness.web.guard import parse_listen
    from kubewitness.web.server import DEFAULT_PORT

    if args.auth == "cluster" and args.token_file is not None:
        raise UsageError("--auth cluster and --token-file: choose one")
    if args.auth == "token" and args.token_file is None:
        raise UsageError("--auth token: --token-file FILE says which")
    if args.auth != "cluster" and (args.kubeconfig or args.context):
        raise UsageError("--kubeconfig and --context belong to --auth cluster")
    cluster = None
    if args.auth == "cluster":
        access = KubeAccess(kubeconfig=args.kubeconfig, context=args.context)
        access.describe()
        cluster = ClusterAccess(access, args.auth_cluster)
    log = args.access_log
    if log is None and (cluster is not None or args.token_file is not None):
        log = paths.access_log
    host, port = parse_listen(args.listen, DEFAULT_PORT)
    return Serving(host, port, args.token_file, cluster, log, tls_of(args.tls_cert, args.tls_key, "--tls"))


def tls_of(cert: str | None, key: str | None, flag: str) -> TlsFiles | None:
    """The files that `<flag>-cert` and `<flag>-key` name. Raises UsageError for one without the other."""
    if not cert and not key:
        return None
    if not cert or not key:
        raise UsageError(f"{flag}-cert and {flag}-key: TLS needs both, the certificate and its key")
    from kubewitness.inputs.server_tls import TlsFiles

    return TlsFiles(crt_file=cert, key_file=key, said=f"{flag}-cert {cert} or {flag}-key {key}")


async def serve(paths: StatePaths, serving: Serving) -> int:
    """Serves a state until SIGINT or SIGTERM."""
    from kubewitness.app import server_of
    from kubewitness.store import Store
    from kubewitness.store.session import Limits

    store = Store(paths, Limits(memory_mb=_MEMORY_MB))
    server = server_of(store, serving, lambda: health_of(paths))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    print(f"serving {paths.root} at {await server.start()} (Ctrl-C ends)", file=sys.stderr, flush=True)
    warming = asyncio.create_task(server.warm())
    try:
        await stop.wait()
    finally:
        warming.cancel()
        await server.stop()
        store.close()
    return 0


def health_of(paths: StatePaths) -> Mapping[str, object]:
    """What `kubewitness status -o json` says."""
    from kubewitness.store.status import status

    return status(paths)
