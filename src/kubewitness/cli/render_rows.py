"""Lines of `timeline`, `search` and `tail`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kubewitness.cli.render import Style, clean, local_time, print_csv, print_json, print_jsonl
from kubewitness.questions.model import TimelineRow

#: shorter sessions tell no end
_WORTH_MS = 100

FIELDS = tuple(f.name for f in msgspec.structs.fields(TimelineRow))


def print_rows(rows: Sequence[TimelineRow], output: str, style: Style) -> None:
    """All rows in the form asked for."""
    if output == "json":
        print_json(rows)
    elif output == "jsonl":
        print_jsonl(rows)
    elif output == "csv":
        print_csv(([_cell(getattr(r, f)) for f in FIELDS] for r in rows), FIELDS)
    else:
        for row in _folded(rows):
            print(row_line(row, style))


def _cell(value: Any) -> Any:
    """Lists as words: the names of stages, the ids of joined records."""
    return " ".join(v if isinstance(v, str) else v.id for v in value) if isinstance(value, list) else value


def _folded(rows: Sequence[TimelineRow]) -> list[TimelineRow]:
    """Lines that only repeat the one before (a controller's status writes) become one with a count; JSON keeps all."""
    folded: list[TimelineRow] = []
    for row in rows:
        before = folded[-1] if folded else None
        if before is not None and row.source == "audit" and _same(before, row):
            folded[-1] = msgspec.structs.replace(before, count=before.count + row.count)
        else:
            folded.append(row)
    return folded


def _same(a: TimelineRow, b: TimelineRow) -> bool:
    return (a.source, a.summary, a.outcome) == (b.source, b.summary, b.outcome)


def row_line(row: TimelineRow, style: Style) -> str:
    """`2026-11-22 20:26:05.038+01:00  audit   alice patch ...`; refusals and warnings stand out."""
    times = f"  (x{row.count})" if row.count > 1 else ""
    bad = row.outcome[:1] in ("4", "5") or row.outcome == "Warning"
    text = clean(row.summary)
    if row.source not in ("audit", "admission"):
        actor = f" ({clean(row.actor)})" if row.actor else ""
        text = f"{clean(row.object)}: {text}{actor}"
    if row.until is not None and (row.duration_ms or 0) >= _WORTH_MS:
        text += f", until {_ended(row)}"
    told = style(text, "red") if bad else text
    return f"{style(local_time(row.when), 'dim')}  {style(row.source.ljust(9), 'cyan')}  {told}{times}"


def _ended(row: TimelineRow) -> str:
    """The end of a session; the day only where it is another."""
    assert row.until is not None
    end = local_time(row.until)
    day, _, clock = end.partition(" ")
    return clock if local_time(row.when).startswith(day) else end
