"""The command line. One file per command; only the chosen command's module is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from kubewitness import __version__
from kubewitness.cli import early
from kubewitness.errors import KubewitnessError

#: Every command: (name, module in this package, one line of help). The module has
#: `add_arguments(parser)` and `run(args) -> int` (the exit code).
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("demo", "demo", "try it: a bundled recording of a real cluster, three questions, then the server"),
    ("record", "record", "record the cluster that kubeconfig (or the pod's service account) reaches"),
    ("run", "run", "run a pipeline file"),
    ("import", "import_", "read audit logs, Events and other captures into the store"),
    ("ask", "ask", "ask in your own words; without any: questions that this store can answer"),
    ("who", "who", "who or what did it: the cause chain of an effect"),
    ("trace", "trace", "what followed: everything that one request set off, as a tree"),
    ("timeline", "timeline", "everything known about one object, in order"),
    ("show", "show", "an object as it was"),
    ("diff", "diff", "what changed in an object between two times, and who changed each field"),
    ("search", "search", "records by any field and text"),
    ("top", "top", "the most frequent values of a field"),
    ("sql", "sql", "read-only SQL over the store"),
    ("tail", "tail", "follow what arrives"),
    ("status", "status", "what is being recorded, lag, drops, sizes"),
    ("doctor", "doctor", "what is misconfigured or missing, and how to mend it"),
    ("serve", "serve", "answer questions over HTTP"),
    ("deploy", "deploy", "print manifests of the recorder and what the API server needs"),
    ("compact", "compact", "merge small files and sort closed days now"),
    ("prune", "prune", "apply retention now"),
)

_EPILOG = "kubectl witness ... is the same program. `kubewitness COMMAND --help` tells more."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code (console-script entry point)."""
    args = list(sys.argv[1:] if argv is None else argv)
    command = args[0] if args else ""
    table = {name: module for name, module, _ in COMMANDS}
    if command not in table:
        return _top_level(args)
    if command == "run":
        early.note()
    module = importlib.import_module(f"kubewitness.cli.{table[command]}")
    parser = build_parser(command, module)
    try:
        return _finish(int(module.run(parser.parse_args(args[1:]))))
    except KubewitnessError as e:
        print(f"kubewitness {command}: {e}", file=sys.stderr)
        return e.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`); nothing is wrong with us.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def drop_in() -> int:
    """`kubewitness-fluent-bit` (console-script entry point)."""
    early.note()
    return int(importlib.import_module("kubewitness.cli.fluent_bit").main())


def build_parser(command: str, module: ModuleType) -> argparse.ArgumentParser:
    """The parser of one command, as `--help` shows it."""
    summary = next(text for name, _, text in COMMANDS if name == command)
    parser = _Parser(
        prog=f"kubewitness {command}",
        description=(module.__doc__ or summary).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse, but wrong usage is one line that says how to mend it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _finish(code: int) -> int:
    sys.stdout.flush()
    return code


def _top_level(args: list[str]) -> int:
    if args and args[0] in ("--version", "-V", "version"):
        print(f"kubewitness {__version__}")
        return 0
    lines = ["usage: kubewitness COMMAND [options]", ""]
    lines.append(
        "When something happened in a Kubernetes cluster: who or what did it, when, from where, what followed."
    )
    lines += ["", *(f"  {name:<10} {text}" for name, _, text in COMMANDS), "", _EPILOG]
    text = "\n".join(lines)
    if not args or args[0] in ("-h", "--help", "help"):
        print(text)
        return 0
    import difflib

    near = difflib.get_close_matches(args[0], [name for name, _, _ in COMMANDS], 1, 0.7)
    hint = f"; did you mean {near[0]!r}?" if near else "; `kubewitness --help` lists the commands"
    print(f"kubewitness: unknown command {args[0]!r}{hint}", file=sys.stderr)
    return 2
