"""Who or what did it: the cause chain of an effect, each link with its evidence.

  kubewitness who deleted pod/web-1 -n shop
  kubewitness who pod/web-1 -n shop            the same, if the pod is gone
  kubewitness who drained node/n1 --at 10:42
  kubewitness who read secret/db -n shop -o json
  kubewitness who granted bob delete pods -n shop --at 10:42
                                               which binding gave that right, and who made it

VERB: deleted, evicted, killed, created, changed, scaled, read, exec, granted; for nodes also cordoned, uncordoned,
drained, tainted. Without one: deleted, if the object is gone, else changed (or scaled, if that came later).
Exit code 1 when the records do not tell; the answer then says which records would have.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kubewitness.cli import options
from kubewitness.cli.asking import session_of, target_of, time_of
from kubewitness.cli.render import print_json, print_jsonl, style_for
from kubewitness.cli.render_who import who_lines
from kubewitness.errors import UsageError
from kubewitness.questions import who

#: `granted KIND NAME` asks about a binding; more words ask about a right
_BINDING_WORDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="[VERB] KIND/NAME", help="what happened to which object")
    parser.add_argument("--at", metavar="T", help="the object that had this name then, and what was done up to then")
    parser.add_argument(
        "--group", action="append", default=[], metavar="G", help="of granted: a group that the user is in (repeatable)"
    )
    options.add_object(parser)
    options.add_time(parser)
    options.add_output(parser)
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    if args.words[0] == "granted" and len(args.words) > _BINDING_WORDS:
        from kubewitness.cli import granted

        return granted.run(args)
    verb, words = split_verb(args.words)
    with session_of(args) as session:
        question = who.WhoQuestion(
            target_of(session, args, words),
            verb,
            args.uid,
            time_of(args, "at"),
            time_of(args, "since"),
            time_of(args, "until"),
        )
        answer = who.ask(session, question)
    if args.output == "json":
        print_json(answer)
    elif args.output == "jsonl":
        print_jsonl([answer])
    elif args.quiet:
        print(answer.summary)
    else:
        print("\n".join(who_lines(answer, style_for())))
    return 0 if answer.found else 1


def split_verb(words: Sequence[str]) -> tuple[str, list[str]]:
    """`deleted pod/x`, `deleted pod x`, `pod/x`, `pod x` -> (verb or "", object words). Raises `UsageError`."""
    known = (*who.VERBS, *who.NODE_VERBS)
    if words[0] in known:
        return words[0], list(words[1:])
    if len(words) == 1 or (len(words) == 2 and "/" not in words[1]):
        return "", list(words)
    import difflib

    near = difflib.get_close_matches(words[0], known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise UsageError(f"unknown verb {words[0]!r}; {hint}")
