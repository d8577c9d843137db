"""Try it: a bundled recording of a real cluster, three questions with their answers, then the server.

Everything happens in a temporary state that is removed at the end; nothing of yours is read or changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from kubewitness.cli import serve, who
from kubewitness.cli.render import style_for
from kubewitness.cli.render_who import who_lines
from kubewitness.config.state import StatePaths, state_paths
from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Store

_CAPTURES = ("audit.jsonl.zst", "events.list.json.zst", "events.watch.jsonl.zst")
_DEFAULT_LISTEN = "127.0.0.1:8420"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-serve", action="store_true", help="end after the answers")
    parser.add_argument(
        "--listen", metavar="ADDR", help=f"address to serve on (default: {_DEFAULT_LISTEN}, or a free port)"
    )


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="kubewitness-demo-") as folder:
        paths = state_paths(folder)
        data = resources.files("kubewitness") / "demo" / "data"
        with resources.as_file(data) as files:
            print(load(paths, files), file=sys.stderr)
            questions = list(three_questions(json.loads((files / "truth.json").read_text())))
        answered = answer(paths, questions)
        if not args.no_serve:
            print(f"\nmore questions: kubewitness who ... --state {folder}", file=sys.stderr)
            from kubewitness.app import Serving
            from kubewitness.web.guard import parse_listen

            serving = Serving(*parse_listen(args.listen or _free(_DEFAULT_LISTEN), 8420))
            asyncio.run(serve.serve(paths, serving))
    return 0 if answered else 1


def load(paths: StatePaths, files: Path) -> str:
    """Imports the recording; says what it did in one line."""
    from kubewitness.inputs.importer.files import find
    from kubewitness.inputs.importer.run import Importer

    begin = time.monotonic()
    done = Importer(paths).run(find([str(files / name) for name in _CAPTURES]))
    seconds = time.monotonic() - begin
    size = f"{done.stored} records ({done.bytes / 1e6:.1f} MB)"
    return f"a recording of a small real cluster: {size} read in {seconds:.1f} s"


def three_questions(truth: dict[str, Any]) -> Iterator[list[str]]:
    """Arguments of `who`: a pod that a drain took, one that a rollout took, and who read a secret."""
    for mechanism in ("drain", "rollout"):
        pods = [v for v in truth["vanished"] if v["mechanism"] == mechanism]
        # the last one of a drain is the one that waited for its disruption budget
        pod = pods[-1] if mechanism == "drain" else pods[0]
        yield ["deleted", f"pod/{pod['name']}", "-n", pod["namespace"]]
    yield from (shlex.split(q["ask"]) for q in truth["questions"] if q["ask"].startswith("read "))


def answer(paths: StatePaths, questions: list[list[str]]) -> bool:
    """Asks and prints; whether all were answered."""
    style = style_for()
    found = True
    parser = argparse.ArgumentParser()
    who.add_arguments(parser)
    store = Store(paths)
    with store.session() as session:
        for words in questions:
            args = parser.parse_args(words)
            verb, target = who.split_verb(args.words)
            ref = parse_target(target, namespace=args.namespace, cluster="default")
            reply = ask(session, WhoQuestion(ref, verb))
            print(f"\n{style('$ kubewitness who ' + shlex.join(words), 'cyan')}")
            print("\n".join(who_lines(reply, style)))
            found = found and reply.found
    store.close()
    sys.stdout.flush()
    return found


def _free(listen: str) -> str:
    """The address, or the same host with any free port when something else has it."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return listen
