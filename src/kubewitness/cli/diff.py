"""What changed in an object between two times, field by field, and who changed each.

  kubewitness diff deploy/web -n shop --from 10:00 --to 10:42
  kubewitness diff deploy/web -n shop -o json

Without --from: since its first known version; without --to: up to its last. Versions are taken from recorded bodies,
and rebuilt from patches where only those are recorded; what no body tells is said to be unknown. Exit code 1 when no
version of the object is known.
"""

from __future__ import annotations

import argparse

from kubewitness.cli import options
from kubewitness.cli.asking import session_of, target_of
from kubewitness.cli.render import Style, clean, local_time, note, print_json, style_for
from kubewitness.cli.render_changes import change_lines
from kubewitness.errors import UsageError
from kubewitness.questions import diff
from kubewitness.questions.times import parse_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="KIND/NAME", help="the object")
    parser.add_argument("--from", dest="since", metavar="T", help="as it was then (default: first known)")
    parser.add_argument("--to", dest="until", metavar="T", help="as it was then (default: last known)")
    parser.add_argument("--all", action="store_true", help="with status and what the API server moves by itself")
    options.add_object(parser)
    options.add_output(parser, ("text", "json"))
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    since = parse_time(args.since, option="--from") if args.since else None
    until = parse_time(args.until, option="--to") if args.until else None
    if since is not None and until is not None and since > until:
        raise UsageError(f"--from {args.since} is later than --to {args.until}")
    with session_of(args) as session:
        ref = target_of(session, args, args.words)
        answer = diff.ask(session, diff.DiffQuestion(ref, since, until, args.uid, args.all))
    if args.output == "json":
        print_json(answer)
    elif not answer.found:
        note(f"no version of {ref.said()} is known" + "".join(f"; {clean(n)}" for n in answer.notes))
    else:
        print("\n".join(diff_lines(answer, style_for(), quiet=args.quiet)))
    return 0 if answer.found else 1


def diff_lines(answer: diff.DiffAnswer, style: Style, *, quiet: bool = False) -> list[str]:
    """All lines of one answer."""
    lines: list[str] = []
    before, after = answer.before, answer.after
    if not quiet and before is not None and after is not None:
        lines.append(style(f"--- {answer.object} as of {local_time(before.when)} ({before.how}, {before.id})", "red"))
        lines.append(style(f"+++ {answer.object} as of {local_time(after.when)} ({after.how}, {after.id})", "green"))
    for change in answer.changes:
        lines += change_lines(change, style)
    if not answer.changes:
        lines.append("no difference" if answer.exact else "no known difference")
    if quiet:
        return lines
    for gap in answer.unknown:
        until = f" to {local_time(gap.until)}" if gap.until else " on"
        lines.append(
            f"{style('unknown', 'yellow')} from {local_time(gap.since)}{until}: {clean(gap.why)}, {gap.evidence}"
        )
    if answer.deleted:
        lines.append(f"{style('deleted', 'yellow')} its deletion was asked for at {local_time(answer.deleted)}")
    lines += [f"{style('note', 'dim')} {clean(n)}" for n in answer.notes]
    lines += [f"{style('gap', 'yellow')} {g.source}: {clean(g.why)}" for g in answer.gaps]
    return lines
