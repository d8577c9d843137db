"""The most frequent values of a field.

  kubewitness top user verb=delete --since 1d
  kubewitness top reason source=event type=Warning
  kubewitness top agent user=system:anonymous

Fields and operators are those of `kubewitness search`.
"""

from __future__ import annotations

import argparse

from kubewitness.cli import options
from kubewitness.cli.asking import session_of
from kubewitness.cli.render import local_time, print_csv, print_json, print_jsonl, style_for, table
from kubewitness.cli.search import filter_of
from kubewitness.questions import top


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("field", metavar="FIELD", help="the field whose values are counted")
    parser.add_argument("words", nargs="*", metavar="TEXT|field=value", help="only of these records")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most N values (20)")
    parser.add_argument("--cluster", metavar="NAME", help="only this cluster")
    options.add_time(parser)
    options.add_output(parser, ("text", "json", "jsonl", "csv"))
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    question = top.TopQuestion(args.field, filter_of(args, args.words), max(1, args.limit))
    with session_of(args) as session:
        answer = top.ask(session, question)
    if args.output == "json":
        print_json(answer.rows)
    elif args.output == "jsonl":
        print_jsonl(answer.rows)
    elif args.output == "csv":
        print_csv(((r.value, r.count, r.first, r.last) for r in answer.rows), ("value", "count", "first", "last"))
    else:
        rows = [(str(r.count), r.value, local_time(r.last, digits=0)) for r in answer.rows]
        print("\n".join(table(rows, ("COUNT", f"{args.field.upper()} ({answer.source})", "LAST"), style_for())))
    return 0 if answer.rows else 1
