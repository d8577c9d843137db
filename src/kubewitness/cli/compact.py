"""Merges small files and sorts closed days by object, as the recorder does in between.

Refused while another process records into the state: that one does it by itself.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from kubewitness.cli.options import add_output, add_state, paths_of
from kubewitness.cli.render import print_json
from kubewitness.store import StoreWriter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all-days", action="store_true", help="sort days that are not over too")
    add_state(parser)
    add_output(parser, ("text", "json"))


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args).require()
    with StoreWriter.acquire(paths) as writer:
        result = writer.compact(all_days=args.all_days)
        freed = writer.vacuum()
    if args.output == "json":
        print_json({**asdict(result), "freed": freed})
    else:
        print(
            f"{result.removed} files merged into {result.added}, {result.sorted_days} days sorted, {freed} bytes freed"
        )
        if result.removed:
            print("the files that were merged are deleted after 10 minutes, when nobody can be reading them any more")
    return 0
