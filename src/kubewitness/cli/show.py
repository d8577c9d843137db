"""An object as it was.

  kubewitness show deploy/web -n shop --at 10:42
  kubewitness show pod/web-1 -n shop -o json

Taken from the newest recorded body (audit at level RequestResponse, or a watch) up to that time. What changed since
without a body is told on stderr as unknown from then on.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from kubewitness.cli import options
from kubewitness.cli.asking import session_of, target_of, time_of
from kubewitness.cli.render import age, clean, local_time, note, print_json
from kubewitness.questions import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="KIND/NAME", help="the object")
    parser.add_argument("--at", metavar="T", help="as it was then (default: last known)")
    parser.add_argument("--managed-fields", action="store_true", help="with metadata.managedFields")
    options.add_object(parser)
    options.add_output(parser, ("text", "json"))
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    with session_of(args) as session:
        ref = target_of(session, args, args.words)
        answer = show.ask(session, show.ShowQuestion(ref, time_of(args, "at"), args.uid))
    if args.output == "json":
        print_json(answer)
        return 0 if answer.found else 1
    if not answer.found:
        note(f"nothing to show of {ref.said()}" + "".join(f"; {n}" for n in answer.notes))
        return 1
    if not args.quiet and answer.when:
        note(f"# {ref} as written {local_time(answer.when)} ({age(answer.when)}), {answer.id}")
        for text in answer.notes:
            note(f"# {clean(text)}")
    print_yaml(answer.object if args.managed_fields else _without_managed(answer.object))
    return 0


def _without_managed(document: Any) -> Any:
    if isinstance(document, dict) and isinstance(document.get("metadata"), dict):
        meta = {k: v for k, v in document["metadata"].items() if k != "managedFields"}
        return {**document, "metadata": meta}
    return document


def print_yaml(document: Any) -> None:
    """As kubectl prints it: block style, keys in their order."""
    import yaml

    yaml.safe_dump(document, sys.stdout, sort_keys=False, default_flow_style=False, allow_unicode=True)
