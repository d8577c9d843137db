"""Options that several commands share, spelled once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from kubewitness.config.state import StatePaths, state_paths
from kubewitness.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


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


def seconds_of(text: str, option: str) -> float:
    """Seconds of `30d`, `12h`. UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower())
    if match is None:
        raise UsageError(f"{option} {text!r}: write an age such as 30d, 12w or 36h")
    return float(match[1]) * _SECONDS[match[2]]


def bytes_of(text: str, option: str) -> int:
    """Bytes of `10GB`, `500M` (powers of 1000). UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", text.strip().upper())
    if match is None:
        raise UsageError(f"{option} {text!r}: write a size such as 10GB or 500MB")
    return int(float(match[1]) * _BYTES[match[2]])
