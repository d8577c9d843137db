"""A pipeline's numbers under Fluent Bit's names, in its three forms: Prometheus (v1 and v2), cmetrics' text, JSON.

`Counts` is {"input" | "filter" | "output": {name of the part: {what: how many}}}.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Counts = Mapping[str, Mapping[str, Mapping[str, int]]]

#: (kind of part, what is counted) -> what that means
_COUNTERS = {
    ("input", "records"): "Number of input records.",
    ("input", "bytes"): "Number of input bytes.",
    ("input", "files_opened"): "Number of files that were opened.",
    ("input", "files_closed"): "Number of files that were closed.",
    ("input", "files_rotated"): "Number of files that were rotated.",
    ("input", "long_line_skipped"): "Number of lines that were skipped because they are too long.",
    ("filter", "records"): "Number of records that a filter was given.",
    ("filter", "bytes"): "Number of bytes that a filter was given.",
    ("filter", "add_records"): "Number of records that a filter added.",
    ("filter", "drop_records"): "Number of records that a filter dropped.",
    ("filter", "emit_records"): "Number of records that a filter emitted under another tag.",
    ("output", "proc_records"): "Number of records that an output delivered.",
    ("output", "proc_bytes"): "Number of bytes that an output delivered.",
    ("output", "errors"): "Number of batches that failed for good.",
    ("output", "retries"): "Number of tries again.",
    ("output", "retries_failed"): "Number of batches given up after retry_limit.",
    ("output", "dropped_records"): "Number of records that were not delivered: refused, or given up.",
    ("output", "retried_records"): "Number of records that were tried again.",
}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `values`: labels -> value."""

    name: str
    kind: str
    meaning: str
    values: Sequence[tuple[Mapping[str, str], float]]


def counters(counts: Counts) -> list[Family]:
    """What v1 has: what went through each part."""
    families = []
    for (kind, what), meaning in _COUNTERS.items():
        values = [({"name": name}, told[what]) for name, told in counts.get(kind, {}).items() if what in told]
        if values:
            families.append(Family(f"fluentbit_{kind}_{what}_total", "counter", meaning, values))
    return families


def of_parts(kind: str, what: str, meaning: str, values: Mapping[str, float]) -> Family:
    """A gauge for each part."""
    return Family(f"fluentbit_{kind}_{what}", "gauge", meaning, [({"name": n}, v) for n, v in values.items()])


def of_process(what: str, kind: str, meaning: str, value: float, labels: Mapping[str, str]) -> Family:
    return Family(f"fluentbit_{what}", kind, meaning, [(labels, value)])


def prometheus_text(families: Iterable[Family], *, stamped: bool = False) -> str:
    """Exposition format 0.0.4; `stamped`: with the time in milliseconds, as v1 has it."""
    stamp = f" {time.time_ns() // 1_000_000}" if stamped else ""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.meaning}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(labels)} {value:.15g}{stamp}" for labels, value in family.values]
    return "\n".join(lines) + "\n" if lines else ""


def cmetrics_text(families: Iterable[Family]) -> str:
    """`2026-11-27T12:00:00.123456789Z fluentbit_input_records_total{name="tail.0"} = 5`."""
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
    return "".join(
        f"{stamp} {family.name}{_labels(labels)} = {value:.15g}\n"
        for family in families
        for labels, value in family.values
    )


def _labels(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
