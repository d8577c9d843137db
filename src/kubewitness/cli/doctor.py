"""What is misconfigured, missing or damaged in a state, and how to mend it. Changes nothing.

Exit code 0 when all is well or there are only warnings, 1 when something is broken.
"""

from __future__ import annotations

import argparse

from kubewitness.cli.options import add_output, add_state, paths_of
from kubewitness.cli.render import print_json, style_for
from kubewitness.store.checks import diagnose

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)
    add_output(parser, ("text", "json"))


def run(args: argparse.Namespace) -> int:
    found = diagnose(paths_of(args))
    if args.output == "json":
        print_json([f._asdict() for f in found])
    else:
        style = style_for()
        for f in found:
            print(f"{style(f.level.ljust(8), _COLOURS[f.level])} {f.check}: {f.text}")
            if f.mend:
                print(f"         mend: {f.mend}")
    return 1 if any(f.level == "error" for f in found) else 0
