"""Ask in your own words: what is understood is printed, and asked.

  kubewitness ask who evicted web-7
  kubewitness ask pod/web-7 -n shop
  kubewitness ask 6b8c9a4e-...                 an auditID, a uid, an evidence id
  kubewitness ask alice --since 2h
  kubewitness ask                              questions that this store can answer

Options of this command come before the words. -o json prints what is understood, and what else it may mean, and asks
nothing. docs/api.md (`line`) tells more.
"""

from __future__ import annotations

import argparse
import shlex

from kubewitness.cli.asking import session_of
from kubewitness.cli.options import add_state
from kubewitness.cli.render import local_time, note, print_json
from kubewitness.questions import examples, line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="json: only what is understood"
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="WORDS", help="the question")


def run(args: argparse.Namespace) -> int:
    with session_of(args) as session:
        if not args.words:
            return _examples(examples.ask(session), args.output)
        understood = line.understand(session, shlex.join(args.words) if len(args.words) > 1 else args.words[0])
    if args.output == "json":
        print_json(understood)
        return 0 if understood.understood else 1
    note(understood.command)
    for other in understood.others:
        note(f"or: {other.command}")
    return _asked(understood.command, args)


def _asked(command: str, args: argparse.Namespace) -> int:
    """Runs the command, on the same state."""
    from kubewitness.cli import main

    state = [w for option in ("state", "store") if (value := getattr(args, option)) for w in (f"--{option}", value)]
    return main([*shlex.split(command)[1:], *state])


def _examples(found: list[examples.Example], output: str) -> int:
    if output == "json":
        print_json(found)
    else:
        for example in found:
            print(f"{example.command}    # {example.why}, {local_time(example.at)}")
    return 0 if found else 1
