"""Records by any field and text, newest first.

  kubewitness search user=alice verb=delete --since 2h
  kubewitness search code>=400 ns=shop user!=bob
  kubewitness search name=web-* reason~'(oom|kill)'
  kubewitness search id=audit:default/6b8c.../ResponseComplete --raw

Operators: = != ~ !~ > < >= <= (quote > and < in a shell). `a,b` is either, `web-*` a pattern, `~` a regular
expression. Words without an operator are looked for in names, messages, users and URIs. Fields: docs/search.md.
"""

from __future__ import annotations

import argparse
import sys

from kubewitness.cli import options
from kubewitness.cli.asking import session_of, time_of
from kubewitness.cli.render import note, style_for
from kubewitness.cli.render_rows import print_rows
from kubewitness.questions import search
from kubewitness.questions.filters import Filter, parse_words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="TEXT|field=value", help="what to look for")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most N records (100)")
    parser.add_argument("--oldest", action="store_true", help="oldest first")
    parser.add_argument("--raw", action="store_true", help="the original records, one a line, instead of a summary")
    parser.add_argument("--cluster", metavar="NAME", help="only this cluster")
    options.add_time(parser)
    options.add_output(parser, ("text", "json", "jsonl", "csv"))
    options.add_state(parser)


def filter_of(args: argparse.Namespace, words: list[str]) -> Filter:
    """The filter that words and options ask for. Raises `UsageError`."""
    conditions, text = parse_words(words)
    return Filter(conditions, text, time_of(args, "since"), time_of(args, "until"), args.cluster)


def run(args: argparse.Namespace) -> int:
    question = search.SearchQuestion(filter_of(args, args.words), max(1, args.limit), args.oldest, args.raw)
    with session_of(args) as session:
        answer = search.ask(session, question)
    if args.raw:
        for raw in answer.raws:
            sys.stdout.buffer.write(raw + b"\n")
    else:
        print_rows(answer.rows, args.output, style_for())
    if answer.more and not args.quiet:
        note(f"only the first {len(answer.rows)}; --limit for more")
    elif not answer.rows and not args.quiet:
        note("nothing that was recorded fulfils all of this")
    return 0 if answer.rows else 1
