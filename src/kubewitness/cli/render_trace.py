"""The answer of `trace` as text: a tree, each node on one line, its id below it with `--ids`."""

from __future__ import annotations

from collections.abc import Iterator

from kubewitness.cli.render import Style, age, clean, local_time
from kubewitness.questions.trace import TraceAnswer, TraceNode

_SURE = {"inferred": "yellow", "unknown": "red"}


def trace_lines(answer: TraceAnswer, style: Style, *, ids: bool = False, now: int | None = None) -> list[str]:
    """All lines of one answer."""
    lines = [style(clean(answer.summary), "bold")]
    if answer.root is not None:
        lines += ["", f"{local_time(answer.root.when)}  ({age(answer.root.when, now)})"]
        if answer.cause is not None:
            lines.append(f"{style('set off by', 'dim')} {clean(answer.cause.sentence)} {answer.cause.evidence[0]}")
        lines += ["", *_node(answer.root, "", "", style, ids)]
    for title, texts in (("cut", answer.cut), ("note", answer.notes), ("not recorded", answer.missing)):
        if texts:
            lines += ["", style(title, "dim"), *(f"  - {clean(t)}" for t in texts)]
    for gap in answer.gaps:
        lines += ["", f"{style('gap', 'yellow')} {gap.source}: {clean(gap.why)}"]
        lines.append(f"    {local_time(gap.since)} to {local_time(gap.until)}")
    return lines


def _node(node: TraceNode, branch: str, stem: str, style: Style, ids: bool) -> Iterator[str]:
    sure = "" if node.certainty == "proved" else style(f"  {node.certainty}", _SURE[node.certainty])
    event = node.evidence[0].startswith("event:")
    text = clean(node.sentence)
    yield f"{branch}{style(local_time(node.when, day=False), 'dim')}  {style(text, 'dim') if event else text}{sure}"
    if ids:
        yield f"{stem}{style(f'   {clean(node.evidence[0])}', 'dim')}"
    for i, child in enumerate(node.children):
        last = i == len(node.children) - 1
        yield from _node(child, stem + ("└─ " if last else "├─ "), stem + ("   " if last else "│  "), style, ids)
