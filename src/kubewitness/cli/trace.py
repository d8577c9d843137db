"""What followed: everything that one request set off, as a tree.

  kubewitness trace 560c4dad-7249-489d-8581-72db45d85357
  kubewitness trace audit:default/560c4dad-7249-489d-8581-72db45d85357/ResponseComplete -o json

AUDIT_ID is a request's auditID, or its id as `who`, `timeline` and `search` print it. A request is below the one that
`who` says set it off; lines marked `inferred` are joined by time and place only. Events are the dim lines.
"""

from __future__ import annotations

import argparse

from kubewitness.cli import options
from kubewitness.cli.asking import session_of, time_of
from kubewitness.cli.render import print_json, style_for
from kubewitness.cli.render_trace import trace_lines
from kubewitness.questions import trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audit_id", metavar="AUDIT_ID", help="the request's auditID, or its id as answers print it")
    parser.add_argument("--cluster", metavar="NAME", help="cluster, where several are recorded")
    parser.add_argument("--until", metavar="T", help="look no further than then (default: an hour after the request)")
    parser.add_argument(
        "--limit", metavar="N", type=_count, default=trace.MOST_NODES, help="nodes at most (default: %(default)s)"
    )
    parser.add_argument(
        "--depth", metavar="N", type=_count, default=trace.DEEPEST, help="steps at most (default: %(default)s)"
    )
    parser.add_argument("--no-events", action="store_true", help="without Events about the objects")
    parser.add_argument("--ids", action="store_true", help="with the id of each record")
    options.add_output(parser, ("text", "json"))
    options.add_state(parser)


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    question = trace.TraceQuestion(
        args.audit_id, args.cluster, time_of(args, "until"), args.limit, args.depth, not args.no_events
    )
    with session_of(args) as session:
        answer = trace.ask(session, question)
    if args.output == "json":
        print_json(answer)
    elif args.quiet:
        print(answer.summary)
    else:
        print("\n".join(trace_lines(answer, style_for(), ids=args.ids)))
    return 0 if answer.found else 1
