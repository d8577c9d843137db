"""Answer questions over HTTP, from what was recorded in this state.

Serves one page to ask from, the JSON API (/api/v1/..., described by /api/openapi.json), /metrics, /healthz and /readyz.
Listens on 127.0.0.1 unless told otherwise; anywhere else every request needs the token of --token-file.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from kubewitness.cli.options import add_state, paths_of
from kubewitness.config.state import StatePaths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)
    add_listen(parser)


def add_listen(parser: argparse.ArgumentParser) -> None:
    """`--listen`, `--token-file`: for every command that serves."""
    parser.add_argument("--listen", default="127.0.0.1:8420", metavar="ADDR", help="address to serve on (port 0: any)")
    parser.add_argument(
        "--token-file", type=Path, metavar="F", help="file with the bearer token that every request must show"
    )


def run(args: argparse.Namespace) -> int:
    return asyncio.run(serve(paths_of(args).require(), args.listen, args.token_file))


async def serve(paths: StatePaths, listen: str, token_file: Path | None) -> int:
    """Serves a state until SIGINT or SIGTERM."""
    from kubewitness.store import Store
    from kubewitness.store.sandbox import run_sql
    from kubewitness.web.guard import parse_listen
    from kubewitness.web.server import DEFAULT_PORT, Server

    store = Store(paths)
    host, port = parse_listen(listen, DEFAULT_PORT)
    server = Server(
        store.session,
        lambda: health_of(paths),
        lambda query, stop: run_sql(store, query, stop=stop),
        host=host,
        port=port,
        token_file=token_file,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    print(f"serving {paths.root} at {await server.start()} (Ctrl-C ends)", file=sys.stderr, flush=True)
    try:
        await stop.wait()
    finally:
        await server.stop()
        store.close()
    return 0


def health_of(paths: StatePaths) -> Mapping[str, object]:
    """What `kubewitness status -o json` says."""
    from kubewitness.store.status import status

    return status(paths)
