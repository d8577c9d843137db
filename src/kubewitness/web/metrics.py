"""What the recorder knows of itself, as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[^a-zA-Z0-9_]+")


def prometheus(health: Mapping[str, object]) -> str:
    """Every number in a nested mapping as a gauge: `{"journal": {"bytes": 5}}` is `kubewitness_journal_bytes 5`.

    A list of words is one gauge of 1 for each, with the word as label `value`: what is missing can be alerted on.
    Mappings below the second level become the label `name`: `inputs.kubernetes_events.lag_s` is
    `kubewitness_inputs_lag_s{name="kubernetes_events"}`.
    """
    families: dict[str, list[str]] = {}
    for path, value, word in _numbers(health, ()):
        name, labels = _split(path, word)
        families.setdefault(name, []).append(
            f"{name}{labels} {value:g}" if value % 1 else f"{name}{labels} {int(value)}"
        )
    lines = []
    for name in sorted(families):
        lines += [f"# TYPE {name} gauge", *families[name]]
    return "\n".join(lines) + "\n"


def _numbers(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float, str]]:
    """(where it stands, the number, the word that it is about)."""
    if isinstance(value, bool | int | float):
        yield path, float(value), ""
    elif isinstance(value, list):
        yield from ((path, 1.0, word) for word in value if isinstance(word, str))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, str(key)))


def _split(path: tuple[str, ...], word: str) -> tuple[str, str]:
    value = f'value="{_escaped(word)}"' if word else ""
    if len(path) <= 2:
        return "kubewitness_" + "_".join(_NAME.sub("_", p) for p in path), f"{{{value}}}" if word else ""
    name = f'name="{_escaped("/".join(path[1:-1]))}"'
    labels = f"{{{name},{value}}}" if word else f"{{{name}}}"
    return f"kubewitness_{_NAME.sub('_', path[0])}_{_NAME.sub('_', path[-1])}", labels


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
