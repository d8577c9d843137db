"""Filter `log_to_metrics`: counts records, or what their values are, for /metrics. Source: Fluent Bit's manual, "Logs
to metrics"."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE
from kubewitness.filters.grep import Grep
from kubewitness.filters.section import Given, located, options_of, pairs_of, words_of
from kubewitness.formats.accessor import MISSING, Path, Reader, path_of, text_of
from kubewitness.formats.recordform import objects
from kubewitness.record import Chunk

_NOTHING = "accepted, without effect: what is counted is shown by /metrics at once"

KEYS = (
    Key("metric_mode", "text", "counter", "`counter`, `gauge` (the last value) or `histogram`",
        choices=("counter", "gauge", "histogram")),
    Key("metric_name", "text", "a", "name of the metric; `metric_namespace` and `metric_subsystem` go before it"),
    Key("metric_description", doc="what it is"),
    Key("metric_namespace", "text", "log_metric", "the beginning of the name"),
    Key("metric_subsystem", doc="what follows it; none: the mode"),
    Key("value_field", doc="`KEY` of the number, for gauge and histogram"),
    Key("bucket", doc="upper limit of a bucket of a histogram; none: those of Prometheus", multi=True),
    Key("label_field", doc="`KEY`: a label of this name with its value", multi=True),
    Key("add_label", doc="`NAME KEY`: a label with the value of KEY", multi=True),
    Key("kubernetes_mode", "bool", "false", "labels namespace_name, pod_name, container_name, docker_id and pod_id of "
        "the record's `kubernetes`"),
    Key("regex", doc="as in filter `grep`: only these records are counted", multi=True),
    Key("exclude", doc="as in filter `grep`: these are not counted", multi=True),
    Key("discard_logs", "bool", "false", "records are counted and left out, whether they match or not"),
    Key("tag", doc=_NOTHING),
    Key("emitter_name", doc=_NOTHING),
    Key("emitter_mem_buf_limit", "size", "10M", _NOTHING),
    Key("flush_interval_sec", "int", "0", _NOTHING),
    Key("flush_interval_nsec", "int", "0", _NOTHING),
)  # fmt: skip

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POD_LABELS = ("namespace_name", "pod_name", "container_name", "docker_id", "pod_id")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
#: combinations of labels that are kept; a label that never repeats must not fill the memory
MAX_SERIES = 10_000


@dataclass(slots=True)
class _Series:
    """One combination of labels."""

    value: float = 0.0
    #: of a histogram: observations in each bucket, the last one without limit
    buckets: list[int] = field(default_factory=list)


class LogToMetrics:
    """Records keep their bytes. What was refused by the journal is counted when it comes again, not before."""

    def __init__(self, keys: Given, name: str = "log_to_metrics") -> None:
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self.name = name
        self._mode = options.choice("metric_mode")
        self._help = options.text("metric_description")
        parts = (
            options.text("metric_namespace"),
            options.text("metric_subsystem") or self._mode,
            options.text("metric_name"),
        )
        self.metric = _NOT_IN_NAMES.sub("_", "_".join(part for part in parts if part))
        self._grep = Grep([pair for pair in pairs_of(keys) if pair[0] in ("regex", "exclude")], name)
        labels: list[tuple[str, Path]] = []
        if options.flag("kubernetes_mode"):
            labels += [(label, Path(("kubernetes", label))) for label in _POD_LABELS]
        labels += [_label(line, what) for line in options.lines("add_label")]
        labels += [(_label_name(line), located(line.strip(), what)) for line in options.lines("label_field")]
        self._labels = [_NOT_IN_NAMES.sub("_", label) for label, _ in labels]
        value = options.text("value_field").strip()
        if self._mode != "counter" and not value:
            raise UsageError(f"{what}: 'metric_mode' {self._mode} needs 'value_field'")
        self._reader = Reader([located(value, what) if value else path_of("-"), *(path for _, path in labels)])
        self._limits = sorted(_number(line, what) for line in options.lines("bucket")) or list(_BUCKETS)
        self._discards = options.flag("discard_logs")
        self._series: dict[tuple[str, ...], _Series] = {}
        self._pending: list[tuple[tuple[str, ...], float]] = []
        self._unread = self._too_many = 0

    def health(self) -> Mapping[str, object]:
        return {"series": len(self._series), "not_counted": self._too_many, "unread": self._unread}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        for raw in self._grep.kept(objects(chunk)):
            try:
                value, *labels = self._reader.read(raw)
                number = 1.0 if self._mode == "counter" else _numeric(value)
            except UNREADABLE:
                number = None
            if number is None:
                self._unread += 1
            else:
                self._pending.append((tuple("" if v is MISSING else text_of(v) for v in labels), number))
        return [] if self._discards else [chunk]

    def settle(self) -> Callable[[bool], None]:
        pending, self._pending = self._pending, []
        return lambda durable: self._add(pending) if durable else None

    def _add(self, found: Sequence[tuple[tuple[str, ...], float]]) -> None:
        for labels, value in found:
            series = self._series.get(labels)
            if series is None:
                if len(self._series) >= MAX_SERIES:
                    self._too_many += 1
                    continue
                series = self._series[labels] = _Series(buckets=[0] * (len(self._limits) + 1))
            if self._mode == "histogram":
                series.buckets[bisect_left(self._limits, value)] += 1
            series.value = value if self._mode == "gauge" else series.value + value

    # --- showing -----------------------------------------------------------------------------------------------------

    def metrics(self) -> str:
        """As Prometheus text (exposition format 0.0.4); "" before the first record."""
        if not self._series:
            return ""
        described = self._help.replace("\\", "\\\\").replace("\n", "\\n")
        lines = [f"# HELP {self.metric} {described}".rstrip(), f"# TYPE {self.metric} {self._mode}"]
        for values, series in self._series.items():
            labels = [f'{n}="{_escaped(v)}"' for n, v in zip(self._labels, values, strict=True)]
            if self._mode != "histogram":
                lines.append(f"{self.metric}{_braced(labels)} {_written(series.value)}")
                continue
            total = 0
            for limit, count in zip([*map(_written, self._limits), "+Inf"], series.buckets, strict=True):
                total += count
                below = _braced([f'le="{limit}"', *labels])
                lines.append(f"{self.metric}_bucket{below} {total}")
            lines.append(f"{self.metric}_sum{_braced(labels)} {_written(series.value)}")
            lines.append(f"{self.metric}_count{_braced(labels)} {total}")
        return "\n".join(lines) + "\n"


def _label(line: str, what: str) -> tuple[str, Path]:
    words = words_of(line, 2)
    if len(words) != 2:
        raise UsageError(f"{what}: 'add_label' is {line!r}; it takes a name and a key")
    return words[0], located(words[1], what)


def _label_name(key: str) -> str:
    """The key as a label: of an accessor, its parts."""
    text = key.strip().lstrip("$")
    return _NOT_IN_NAMES.sub("_", text.replace("']['", "_").replace("['", "_").replace("']", ""))


def _number(line: str, what: str) -> float:
    number = _numeric(line.strip())
    if number is None:
        raise UsageError(f"{what}: 'bucket' is {line!r}; it takes a number")
    return number


def _numeric(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number == number and abs(number) != float("inf") else None


def _written(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def _braced(labels: Sequence[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
