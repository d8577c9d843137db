"""Applies retention now: drops whole days by age and by size, and gives their space back to the disk.

The newest day stays, whatever its size. Days are those of the records' own times (UTC).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from kubewitness.cli.options import add_output, add_state, bytes_of, paths_of, seconds_of
from kubewitness.cli.render import print_json
from kubewitness.cli.status import size
from kubewitness.errors import UsageError
from kubewitness.store import StoreWriter
from kubewitness.store.upkeep import GRACE_SECONDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-age", metavar="AGE", help="drop days older than this: 30d, 12w, 36h")
    parser.add_argument("--max-bytes", metavar="SIZE", help="drop the oldest days until all fits: 10GB, 500MB")
    parser.add_argument(
        "--grace",
        default=f"{int(GRACE_SECONDS)}s",
        metavar="AGE",
        help="delete files this long after they were dropped; readers may still need them (default 600s)",
    )
    add_state(parser)
    add_output(parser, ("text", "json"))


def run(args: argparse.Namespace) -> int:
    age = None if args.max_age is None else seconds_of(args.max_age, "--max-age")
    limit = None if args.max_bytes is None else bytes_of(args.max_bytes, "--max-bytes")
    if age is None and limit is None:
        raise UsageError("say what to keep: --max-age 30d and/or --max-bytes 10GB")
    grace = seconds_of(args.grace, "--grace")
    with StoreWriter.acquire(paths_of(args).require()) as writer:
        result = writer.prune(max_age=age, max_bytes=limit, grace=grace)
    if args.output == "json":
        print_json(asdict(result))
    else:
        print(f"dropped {result.days} days of tables: {result.records} records, {size(result.bytes)}")
        print(f"freed {size(result.freed)} on the disk" + (_LATER if result.bytes and grace else ""))
    return 0


_LATER = "; the rest follows at the next compaction or prune, when readers have let go of it"
