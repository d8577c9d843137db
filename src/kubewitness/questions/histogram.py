"""How much happened when: counts over time, by source and outcome."""

from __future__ import annotations

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Filter
from kubewitness.questions.marks import OUTCOMES, TYPES, bin_width, by_minutes, in_order, parts_of, window_of

#: bins at most
MOST_BINS = 2000

_NAMES = {(1, 0): "Event Normal", (1, 3): "Event Warning", (2, 0): "log info", (3, 3): "finding", (3, 4): "finding"}


class HistogramQuestion(msgspec.Struct):
    filter: Filter
    bins: int = 200
    #: a series for each source, or for each source and outcome
    by: str = "outcome"
    reads: bool = False


class Series(msgspec.Struct):
    """`counts`: one a bin."""

    name: str
    type: str
    outcome: str | None
    total: int
    counts: list[int]


class HistogramAnswer(msgspec.Struct):
    """`since` is the first bin's beginning, `until` the last one's end; both null when nothing was found."""

    since: str | None
    until: str | None
    bin_ms: int
    total: int
    series: list[Series] = msgspec.field(default_factory=list)


def ask(session: Session, question: HistogramQuestion) -> HistogramAnswer:
    """Without times the whole of what is recorded. An Event counts as often as it happened since its last version."""
    parts = parts_of(question.filter, reads=question.reads)
    window = window_of(session, question.filter)
    if window is None or not parts:
        return HistogramAnswer(None, None, 0, 0)
    width = bin_width(*window, question.bins)
    kept = by_minutes(session, question.filter, parts, window, width, reads=question.reads)
    if kept is not None:
        parts, window = kept
    else:
        parts = in_order(session, question.filter, parts)
    first = window[0] // width * width
    bins = (window[1] - first) // width + 1
    select = f"SELECT {{type}} AS type, {{outcome}} AS outcome, ({{time}} - {first}) // {width} AS bin, "
    select += "sum({count})::BIGINT AS n"
    each = [p.marks.fill(select) + f" FROM {p.marks.table} WHERE {p.where} GROUP BY ALL" for p in parts]
    rows = session.query(" UNION ALL ".join(each), [value for p in parts for value in p.params])
    counts: dict[tuple[int, int | None], list[int]] = {}
    for kind, outcome, place, n in rows:
        series = (int(kind), None if question.by == "source" else int(outcome))
        if 0 <= place < bins:
            counts.setdefault(series, [0] * bins)[int(place)] += int(n)
    found = [_series(kind, outcome, counts[kind, outcome]) for kind, outcome in sorted(counts, key=str)]
    return HistogramAnswer(
        format_us(first), format_us(first + bins * width), width // 1000, sum(s.total for s in found), found
    )


def _series(kind: int, outcome: int | None, counts: list[int]) -> Series:
    name = TYPES[kind] if outcome is None else _NAMES.get((kind, outcome), "")
    if not name and outcome is not None:
        name = TYPES[kind] if kind in (4, 5) else f"{TYPES[kind]} {OUTCOMES[outcome]}"
    return Series(name, TYPES[kind], None if outcome is None else OUTCOMES[outcome], sum(counts), counts)
