"""The answer of `who` as text: the sentence first, then the chain from the effect to the root."""

from __future__ import annotations

from kubewitness.cli.render import Style, age, clean, local_time
from kubewitness.cli.render_changes import change_lines
from kubewitness.questions.model import Link, Root, WhoAnswer

_SURE = {"proved": "green", "inferred": "yellow", "unknown": "red"}


def who_lines(answer: WhoAnswer, style: Style, *, now: int | None = None) -> list[str]:
    """All lines of one answer."""
    lines = [style(clean(answer.summary), "bold"), ""]
    if answer.found and answer.when:
        facts = [
            ("when", f"{local_time(answer.when)}  ({age(answer.when, now)})"),
            ("how", f"{answer.mechanism}, {style(answer.certainty, _SURE[answer.certainty])}"),
        ]
        if answer.root is not None:
            facts.append(("root", _root(answer.root)))
        if answer.actor is not None:
            facts.append(("done by", _actor(answer)))
        lines += [f"{style(name.ljust(8), 'dim')} {text}" for name, text in facts]
        lines.append("")
    if answer.chain:
        lines.append(style("chain, from the effect to its root" if len(answer.chain) > 1 else "evidence", "dim"))
        for i, link in enumerate(answer.chain, 1):
            lines += _link(i, link, style, now)
    if answer.changes:
        lines += ["", style("fields that were changed", "dim")]
        lines += [line for change in answer.changes for line in change_lines(change, style, author=False)]
    if answer.candidates:
        lines += ["", style("as likely", "dim"), *(f"  - {_root(c)}, {local_time(c.when)}" for c in answer.candidates)]
    if answer.missing:
        lines += ["", style("not recorded", "dim"), *(f"  - {clean(m)}" for m in answer.missing)]
    for gap in answer.gaps:
        lines += ["", f"{style('gap', 'yellow')} {gap.source}: {clean(gap.why)}"]
        lines.append(f"    {local_time(gap.since)} to {local_time(gap.until)}")
    return lines


def _link(number: int, link: Link, style: Style, now: int | None) -> list[str]:
    sure = style(link.certainty, _SURE[link.certainty])
    head = f"{number:>3}. {local_time(link.when)}  {clean(link.sentence)}"
    lines = [head, f"     {sure}, {clean(link.action)} {clean(link.object)}, {age(link.when, now)}"]
    joined = {j.id: j.certainty for j in link.joined}
    return lines + [style(f"     {clean(e)}{_how(joined.get(e))}", "dim") for e in link.evidence]


def _how(joined: str | None) -> str:
    return f"  (the same deed by user, object and time: {joined})" if joined else ""


def _root(root: Root) -> str:
    who = root.user or "nobody"
    playing = f" (acting as {root.acting_as})" if root.acting_as else ""
    return clean(f"{who}{playing}, {root.kind}: {root.action} {root.object}")


def _actor(answer: WhoAnswer) -> str:
    actor = answer.actor
    assert actor is not None
    parts = [actor.user or "unknown"]
    if actor.peer_ip:
        parts.append(f"from {actor.peer_ip}")
    if actor.claimed_ips:
        parts.append(f"(said to come from {', '.join(actor.claimed_ips)})")
    if actor.user_agent:
        parts.append(f"as {actor.user_agent.split(' ')[0]}")
    return clean(" ".join(parts))
