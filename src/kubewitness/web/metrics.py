"""What the recorder knows of itself, as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[^a-zA-Z0-9_]+")


def prometheus(health: Mapping[str, object]) -> str:
    """Every number in a nested mapping as a gauge: `{"journal": {"bytes": 5}}` is `kubewitness_journal_bytes 5`.

    Mappings below the second level become the label `name`: `inputs.kubernetes_events.lag_s` is
    `kubewitness_inputs_lag_s{name="kubernetes_events"}`.
    """
    families: dict[str, list[str]] = {}
    for path, value in _numbers(health, ()):
        name, labels = _split(path)
        families.setdefault(name, []).append(
            f"{name}{labels} {value:g}" if value % 1 else f"{name}{labels} {int(value)}"
        )
    lines = []
    for name in sorted(families):
        lines += [f"# TYPE {name} gauge", *families[name]]
    return "\n".join(lines) + "\n"


def _numbers(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, bool | int | float):
        yield path, float(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, str(key)))


def _split(path: tuple[str, ...]) -> tuple[str, str]:
    if len(path) <= 2:
        return "kubewitness_" + "_".join(_NAME.sub("_", p) for p in path), ""
    middle = "/".join(path[1:-1]).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f"kubewitness_{_NAME.sub('_', path[0])}_{_NAME.sub('_', path[-1])}", f'{{name="{middle}"}}'
