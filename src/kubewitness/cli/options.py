"""Options that several commands share, spelled once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kubewitness.config.state import StatePaths, state_paths


def add_state(parser: argparse.ArgumentParser) -> None:
    """`--state`, `--store`."""
    parser.add_argument(
        "--state", metavar="DIR", help="state directory (default: $KUBEWITNESS_STATE, or under $XDG_STATE_HOME)"
    )
    parser.add_argument("--store", metavar="URI", help="where the tables are, if not in the state directory")


def add_time(parser: argparse.ArgumentParser) -> None:
    """`--since`, `--until`."""
    parser.add_argument("--since", metavar="T", help="only from then on: RFC 3339, or an age such as 15m, 2h, 3d")
    parser.add_argument("--until", metavar="T", help="only up to then")


def add_object(parser: argparse.ArgumentParser) -> None:
    """What picks one object out of several: `-n`, `--cluster`, `--uid`."""
    parser.add_argument("-n", "--namespace", metavar="NS", help="namespace")
    parser.add_argument("--cluster", metavar="NAME", help="cluster, where several are recorded")
    parser.add_argument("--uid", metavar="UID", help="one object of several with the same name")


def new_cluster(name: str) -> str:
    """The type of a `--cluster` that names what is recorded. Names that could not be asked for later are refused."""
    from kubewitness.formats.names import CLUSTER_NAME, CLUSTER_NAME_RULE

    if not CLUSTER_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{name!r} cannot be a cluster's name: {CLUSTER_NAME_RULE}")
    return name


def add_output(parser: argparse.ArgumentParser, choices: Sequence[str] = ("text", "json", "jsonl")) -> None:
    """`-o`, `-q`."""
    parser.add_argument("-o", "--output", choices=choices, default="text", help="how to print the answer")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the answer")


def paths_of(args: argparse.Namespace) -> StatePaths:
    return state_paths(args.state, args.store)
