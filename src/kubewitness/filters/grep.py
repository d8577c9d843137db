"""Filter `grep`: keeps or leaves out records by regular expressions on their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE
from kubewitness.filters.patterns import Pattern
from kubewitness.filters.section import Given, located, options_of, pairs_of
from kubewitness.formats.accessor import MISSING, Path, Reader, text_of
from kubewitness.formats.recordform import objects
from kubewitness.record import Chunk

KEYS = (
    Key("regex", doc="`KEY REGEX`: keeps records whose KEY matches", multi=True),
    Key("exclude", doc="`KEY REGEX`: leaves out records whose KEY matches", multi=True),
    Key("logical_op", "text", "legacy", "`legacy`: every `regex` has to match, no `exclude` may; `and`, `or`: of "
        "rules that are all `regex` or all `exclude`", choices=("legacy", "and", "or")),
)  # fmt: skip


class _Rule(NamedTuple):
    keeps: bool
    path: Path
    pattern: Pattern


class Grep:
    """Strings are matched as they are, numbers and booleans as JSON writes them; objects, arrays, null and what is not
    there match nothing. A record that is not needed whole is not decoded, and what is kept keeps its bytes."""

    def __init__(self, keys: Given, name: str = "grep") -> None:
        what = f"filter {name}"
        options = options_of(keys, KEYS, name)
        self.name = name
        self._rules = [_rule(key, value, what) for key, value in pairs_of(keys) if key in ("regex", "exclude")]
        self._mode = options.choice("logical_op")
        if self._mode != "legacy" and len({rule.keeps for rule in self._rules}) > 1:
            raise UsageError(f"{what}: with 'logical_op' {self._mode}, rules are all 'regex' or all 'exclude'")
        self._reader = Reader([rule.path for rule in self._rules])
        self._keeps = self._one_keeps if len(self._rules) == 1 else self._all_keep
        self._unread = 0

    def health(self) -> Mapping[str, object]:
        return {"unread": self._unread}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        if not self._rules:
            return [chunk]
        kept = [i for i, raw in enumerate(objects(chunk)) if self._keeps(raw)]
        return [chunk.select(kept)] if kept else []

    def kept(self, shown: Sequence[bytes]) -> Sequence[bytes]:
        """Of records as objects, those that the rules keep."""
        return [raw for raw in shown if self._keeps(raw)] if self._rules else shown

    def _one_keeps(self, raw: bytes) -> bool:
        """With one rule, whatever the mode."""
        rule = self._rules[0]
        if not rule.pattern.within(raw):
            return not rule.keeps
        try:
            return _matches(rule.pattern, self._reader.read(raw)[0]) == rule.keeps
        except UNREADABLE:
            self._unread += 1
            return True

    def _all_keep(self, raw: bytes) -> bool:
        may = [rule.pattern.within(raw) for rule in self._rules]
        if not any(may):
            return self._verdict(may)
        try:
            values = self._reader.read(raw)
            found = [m and _matches(rule.pattern, v) for m, rule, v in zip(may, self._rules, values, strict=True)]
        except UNREADABLE:
            self._unread += 1
            return True
        return self._verdict(found)

    def _verdict(self, found: Sequence[bool]) -> bool:
        if self._mode == "legacy":
            return all(f == rule.keeps for f, rule in zip(found, self._rules, strict=True))
        matched = all(found) if self._mode == "and" else any(found)
        return matched == self._rules[0].keeps


def _rule(key: str, value: str, what: str) -> _Rule:
    field, _, pattern = value.strip().partition(" ")
    if not pattern.strip():
        raise UsageError(f"{what}: {key!r} is {value!r}; it takes a key and a regular expression")
    return _Rule(key == "regex", located(field, what), Pattern(pattern, f"{what}: {key!r}"))


def _matches(pattern: Pattern, value: object) -> bool:
    if isinstance(value, str):
        return pattern.search(value) is not None
    if value is None or value is MISSING or isinstance(value, dict | list):
        return False
    return pattern.search(text_of(value)) is not None
