"""Parsers as the drop-in takes them: what Fluent Bit passes over in a parser's section is a warning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kubewitness.config.keys import near
from kubewitness.config.tree import Entry, Section
from kubewitness.parsers import KEYS
from kubewitness.parsers.finish import TYPES, typed_fields

_KNOWN = {key.name for key in KEYS}


def as_fluent_bit_reads(section: Section, warn: Callable[[str], None]) -> Section:
    """Without keys that no parser has, and without types that there are not: such a field stays text."""
    return replace(section, entries=tuple(kept for entry in section.entries if (kept := _read(section, entry, warn))))


def _read(section: Section, entry: Entry, warn: Callable[[str], None]) -> Entry | None:
    at = f"{section.file}:{entry.line}: parser {section.plugin}"
    if entry.name not in _KNOWN:
        warn(f"{at} has no key {entry.name!r}, it is ignored{near(entry.name, _KNOWN)}")
        return None
    if entry.name != "types":
        return entry
    kept = []
    for pair in typed_fields(entry.value):
        name, _, kind = pair.rpartition(":")
        if name and kind.lower() in TYPES:
            kept.append(pair)
        else:
            warn(f"{at}: 'types' has {pair!r}, which is ignored; it takes FIELD:TYPE, and as TYPE {', '.join(TYPES)}")
    return entry._replace(value=" ".join(kept))
