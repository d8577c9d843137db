"""`who granted USER VERB RESOURCE`: which binding gave that right, and who made it. Part of the command `who`."""

from __future__ import annotations

import argparse

from kubewitness.cli.asking import session_of, time_of
from kubewitness.cli.render import Style, clean, local_time, print_json, print_jsonl, style_for
from kubewitness.errors import UsageError
from kubewitness.questions import granted
from kubewitness.questions.coverage import cluster_of
from kubewitness.questions.facts import Facts

_SURE = {"proved": "green", "inferred": "yellow", "unknown": "red"}


def run(args: argparse.Namespace) -> int:
    """Exit code 1 when no recorded binding gave the right."""
    words = args.words[1:]
    if len(words) != 3:
        raise UsageError("who granted USER VERB RESOURCE, for instance: who granted bob delete pods -n shop")
    user, verb, resource = words
    with session_of(args) as session:
        cluster = cluster_of(session, args.cluster)
        right = granted.right_of(Facts(session, cluster), verb, resource, args.namespace)
        answer = granted.ask(session, granted.GrantedQuestion(cluster, user, right, time_of(args, "at"), args.group))
    if args.output == "json":
        print_json(answer)
    elif args.output == "jsonl":
        print_jsonl([answer])
    elif args.quiet:
        print(clean(answer.summary))
    else:
        print("\n".join(granted_lines(answer, style_for())))
    return 0 if answer.found else 1


def granted_lines(answer: granted.GrantedAnswer, style: Style) -> list[str]:
    """All lines of one answer."""
    lines = [style(clean(answer.summary), "bold"), ""]
    if answer.question.groups:
        lines.append(f"{style('groups', 'dim')} {clean(', '.join(answer.question.groups))}")
    for title, grants in (("gave it", answer.grants), ("had given it", answer.former)):
        if grants:
            lines += ["", style(title, "dim")]
        for number, grant in enumerate(grants, 1):
            lines += _grant(number, grant, style)
    if answer.refused:
        lines += ["", f"{style('refused', 'yellow')} the last request for it: {answer.refused}"]
    if answer.missing:
        lines += ["", style("not recorded", "dim"), *(f"  - {clean(m)}" for m in answer.missing)]
    return lines


def _grant(number: int, grant: granted.Grant, style: Style) -> list[str]:
    sure = style(grant.certainty, _SURE[grant.certainty])
    lines = [f"{number:>3}. {clean(f'{grant.binding} of {grant.role} to {grant.subject}')}, {sure}"]
    for what, made in (("binding", grant.binding_made), ("rule", grant.role_made), ("taken away", grant.revoked)):
        if made is not None:
            who = f"{made.user or 'somebody'}{f' (acting as {made.acting_as})' if made.acting_as else ''}"
            text = f"{what} by {who}: {made.action} {made.object}, {local_time(made.when)}, {made.evidence[0]}"
            lines.append(f"     {clean(text)}")
    if grant.used:
        lines.append(f"     {clean(f'the API server allowed a request by it: {grant.used}')}")
    return lines
