"""Fluent Bit's own defaults where ours differ, for the drop-in: written into a configuration that does not say them.

Defaults only: what each key does, and that nothing is lost silently, stays ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kubewitness.config.tree import Entry, Section, Tree

#: the version whose command line, files and answers are followed
VERSION = "5.1.1"

SERVICE: Mapping[str, str] = {
    "http_listen": "0.0.0.0",  # noqa: S104 - as documented there; the pod's probes reach it
    "storage.type": "memory",
    "storage.keep.rejected": "off",
    "scheduler.base": "5",
    "scheduler.cap": "2000",
}
FILTERS: Mapping[str, Mapping[str, str]] = {"kubernetes": {"tls.verify_hostname": "off"}}
EVERY_OUTPUT: Mapping[str, str] = {"retry_limit": "1"}
#: outputs that Fluent Bit does not have: nobody expects its defaults of them
OWN_OUTPUTS = ("store", "alertmanager", "webhook")
OUTPUTS: Mapping[str, Mapping[str, str]] = {
    "stdout": {"format": "msgpack", "json_date_key": "date"},
    "forward": {"require_ack_response": "off"},
}


def with_defaults(tree: Tree) -> Tree:
    """The configuration with Fluent Bit's defaults, and without what it would load from elsewhere."""
    service, warnings = _without_plugins(tree.service, tree.path)
    outputs = [
        section
        if section.plugin in OWN_OUTPUTS
        else _added(section, {**EVERY_OUTPUT, **OUTPUTS.get(section.plugin, {})})
        for section in tree.outputs
    ]
    filters = [_added(section, FILTERS.get(section.plugin, {})) for section in tree.filters]
    return replace(
        tree,
        service=_added(service, SERVICE),
        filters=filters,
        outputs=outputs,
        warnings=[*tree.warnings, *warnings],
    )


def _added(section: Section, defaults: Mapping[str, str]) -> Section:
    given = {entry.name for entry in section.entries}
    missing = tuple(Entry(name, value, 0) for name, value in defaults.items() if name not in given)
    return replace(section, entries=section.entries + missing)


def _without_plugins(service: Section, path: Path) -> tuple[Section, list[str]]:
    """`plugins_file` of Fluent Bit's own package names a file that lists none: only one that does is worth a word."""
    warnings = []
    for entry in service.entries:
        if entry.name == "plugins_file" and entry.value and not _lists_nothing(Path(entry.value), path.parent):
            warnings.append(f"{service.where('plugins_file')}: plugins_file {entry.value}: external plugins cannot be "
                            "loaded")  # fmt: skip
    return replace(service, entries=tuple(e for e in service.entries if e.name != "plugins_file")), warnings


def _lists_nothing(name: Path, beside: Path) -> bool:
    for place in (name, beside / name):
        try:
            lines = place.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        words = [line.strip().lower() for line in lines if line.strip() and not line.strip().startswith("#")]
        return all(word in ("[plugins]", "plugins:") for word in words)
    return False
