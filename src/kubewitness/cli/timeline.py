"""Everything known about one object, in order.

  kubewitness timeline deploy/web -n shop --since 2h
  kubewitness timeline pod/web-1 -n shop --related     its owners, its node and what it owns too

Reads (get, list, watch) are left out unless they were refused, touch a secret, or --reads is given.
"""

from __future__ import annotations

import argparse

from kubewitness.cli import options
from kubewitness.cli.asking import session_of, target_of, time_of
from kubewitness.cli.render import note, style_for
from kubewitness.cli.render_rows import print_rows
from kubewitness.questions import timeline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="KIND/NAME", help="the object")
    parser.add_argument("--related", action="store_true", help="its owners, its node and what it owns too")
    parser.add_argument("--reads", action="store_true", help="gets, lists and watches too")
    parser.add_argument("--limit", type=int, default=5000, metavar="N", help="at most the newest N lines (5000)")
    options.add_object(parser)
    options.add_time(parser)
    options.add_output(parser, ("text", "json", "jsonl", "csv"))
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    with session_of(args) as session:
        ref = target_of(session, args, args.words)
        answer = timeline.ask(
            session,
            timeline.TimelineQuestion(
                ref,
                args.related,
                args.uid,
                time_of(args, "since"),
                time_of(args, "until"),
                args.reads,
                max(1, args.limit),
            ),
        )
    print_rows(answer.rows, args.output, style_for())
    if answer.more and not args.quiet:
        note(f"only the newest {len(answer.rows)}; --limit or --since for others")
    if not answer.rows and not args.quiet:
        note(f"nothing was recorded of {ref.said()}" + "".join(f"; {hint}" for hint in answer.hints))
    return 0 if answer.rows else 1
