"""Fluent Bit's own defaults where ours differ, for the drop-in: written into a configuration that does not say them.

Defaults only: what each key does, and that nothing is lost silently, stays ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kubewitness.config.keys import near
from kubewitness.config.service import SERVICE_KEYS
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
    service, warnings = _ignored(tree.service)
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


def _ignored(service: Section) -> tuple[Section, list[str]]:
    """Without files of plugins that would be loaded, and without keys that Fluent Bit does not look at, either."""
    known = {key.name for key in SERVICE_KEYS}
    entries, warnings = [], []
    for entry in service.entries:
        at = f"{service.file}:{entry.line}" if entry.line else str(service.file)
        if entry.name == "plugins_file" and entry.value:
            warnings.append(f"{at}: plugins_file {entry.value}: external plugins cannot be loaded")
        elif entry.name not in known:
            warnings.append(f"{at}: service has no key {entry.name!r}, it is ignored{near(entry.name, known)}")
        elif entry.name != "plugins_file":
            entries.append(entry)
    return replace(service, entries=tuple(entries)), warnings
