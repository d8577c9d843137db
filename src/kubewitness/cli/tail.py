"""Follow what arrives, whoever records it.

  kubewitness tail ns=shop
  kubewitness tail source=event type=Warning
  kubewitness tail verb=delete,deletecollection user!=system:*  -o jsonl

Fields and operators are those of `kubewitness search`. Ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
import time

from kubewitness.cli import options
from kubewitness.cli.options import paths_of
from kubewitness.cli.render import note, style_for
from kubewitness.cli.render_rows import print_rows
from kubewitness.errors import StateError
from kubewitness.questions.filters import Filter, parse_words
from kubewitness.questions.tail import Follower, TailQuestion
from kubewitness.questions.times import age_us, now_us
from kubewitness.store import Store

_PAUSE_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="TEXT|field=value", help="only these records")
    parser.add_argument("--cluster", metavar="NAME", help="only this cluster")
    parser.add_argument("--since", metavar="AGE", default="0s", help="begin with what arrived in the last 5m, 1h ...")
    parser.add_argument("--for", dest="lasting", metavar="AGE", help="end after 30s, 10m ... (default: never)")
    options.add_output(parser, ("text", "jsonl"))
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    conditions, text = parse_words(args.words)
    begin = now_us()
    follower = Follower(TailQuestion(Filter(conditions, text, cluster=args.cluster), begin - age_us(args.since)))
    ends = begin + age_us(args.lasting) if args.lasting else None
    store = Store(paths_of(args))
    style = style_for()
    waiting = False
    try:
        while True:
            try:
                with store.session() as session:
                    rows = follower.poll(session)
                waiting = False
            except StateError as e:
                if ends is not None and now_us() >= ends:
                    raise
                if not waiting and not args.quiet:
                    note(f"waiting: {e}")
                rows, waiting = [], True
            print_rows(rows, args.output, style)
            sys.stdout.flush()
            if ends is not None and now_us() >= ends:
                return 0
            time.sleep(_PAUSE_SECONDS)
    finally:
        store.close()
