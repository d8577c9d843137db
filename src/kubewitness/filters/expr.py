"""Filter `expr` (ours): keeps, drops and sets by expressions, where others run scripts.

The language is the Common Expression Language, which Kubernetes has for admission policies: no loops without end, no
access to anything but what it is given. `record` is the record, `tag` its tag. An expression is given only those
top-level keys that it names, so large records cost no more than small ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE, Fields, encode, fields_of, plain
from kubewitness.filters.section import Given, first_word, options_of
from kubewitness.formats.accessor import MISSING, Path, Reader
from kubewitness.formats.recordform import objects, rewritten
from kubewitness.record import Chunk

KEYS = (
    Key("keep", doc="`EXPR`: only records for which it is true stay; of several, all must be", multi=True),
    Key("drop", doc="`EXPR`: records for which it is true are left out", multi=True),
    Key("set", doc="`KEY EXPR`: puts its value in. In the order of the file, each sees what the one before made",
        multi=True),
    Key("on_error", "text", "keep", "`keep` or `drop`: a record for which an expression has no value, say because it "
        "lacks a key (ask `has(record.key)` first). Kept, it is as it was", choices=("keep", "drop")),
)  # fmt: skip

_VARIABLES = ("record", "tag")
#: `record.name`, `record['name']`, `record` otherwise; or a text, in which no variable stands
_USE = re.compile(
    r"""(?<![\w.])record\b\s*+(?:\.\s*+(?P<dot>[A-Za-z_]\w*+)(?!\s*\()|\[\s*(?:'(?P<one>[^'\\]*)'|"(?P<two>[^"\\]*)")\s*\])?"""
    r"""|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
)
#: `x` of `list.all(x, ...)`
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,")


class Expression:
    """One expression, and what of a record it needs."""

    def __init__(self, text: str, what: str) -> None:
        cel = _library(what)
        try:
            self._program = cel.compile(text)
            variables = self._program.variables()
        except ValueError as e:
            raise UsageError(f"{what}: {text!r} is no expression: {str(e).splitlines()[-1]}") from e
        for name in variables:
            if name not in (*_VARIABLES, *_BOUND.findall(text)):
                raise UsageError(f"{what}: there is no {name!r} in {text!r}; write record.{name}, or tag")
        #: top-level keys; None: all of them
        self.names = names_in(text)

    def value(self, record: Mapping[str, Any], tag: str) -> Any:
        """Raises whatever the library does: KeyError, TypeError, RuntimeError, ..."""
        return self._program.execute({"record": record, "tag": tag})


class Expr:
    """`keep` and `drop` see the record as it came; then what is left is set."""

    def __init__(self, keys: Given, name: str = "expr") -> None:
        options = options_of(keys, KEYS, name)
        self.name = name
        what = f"filter {name}"
        rules = [(Expression(line, f"{what}: 'keep'"), True) for line in options.lines("keep")]
        rules += [(Expression(line, f"{what}: 'drop'"), False) for line in options.lines("drop")]
        self._rules = rules
        self._sets = [_set(line, f"{what}: 'set'") for line in options.lines("set")]
        if not self._rules and not self._sets:
            raise UsageError(f"{what}: it needs 'keep', 'drop' or 'set'")
        names = [rule.names for rule, _ in rules]
        self._names = None if None in names else list(dict.fromkeys(n for part in names if part for n in part))
        self._reader = Reader([Path((n,)) for n in self._names or ()])
        self._keeps_errors = options.choice("on_error") == "keep"
        self._changed = self._errors = self._unread = 0

    def health(self) -> Mapping[str, object]:
        return {"changed": self._changed, "errors": self._errors, "unread": self._unread}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        kept: list[int] = []
        changes: dict[int, bytes] = {}
        for i, raw in enumerate(objects(chunk)):
            stays, made = self._one(raw, chunk.tag)
            if stays:
                if made is not None:
                    changes[len(kept)] = made
                kept.append(i)
        self._changed += len(changes)
        return [rewritten(chunk.select(kept), changes)] if kept else []

    def _one(self, raw: bytes, tag: str) -> tuple[bool, bytes | None]:
        """(whether the record stays, what it is then; None: as it was)."""
        try:
            if not self._stays(raw, tag):
                return False, None
            return True, self._set(fields_of(raw), tag) if self._sets else None
        except _Failed:
            self._errors += 1
            return self._keeps_errors, None
        except UNREADABLE:
            self._unread += 1
            return True, None

    def _stays(self, raw: bytes, tag: str) -> bool:
        if not self._rules:
            return True
        record = self._record(raw)
        return all((_valued(rule, record, tag) is True) == keeps for rule, keeps in self._rules)

    def _record(self, raw: bytes) -> Fields:
        if self._names is None:
            return {name: plain(value) for name, value in fields_of(raw).items()}
        found = zip(self._names, self._reader.read(raw), strict=True)
        return {name: value for name, value in found if value is not MISSING}

    def _set(self, fields: Fields, tag: str) -> bytes:
        for name, rule in self._sets:
            wanted = fields if rule.names is None else [n for n in rule.names if n in fields]
            fields[name] = _valued(rule, {n: plain(fields[n]) for n in wanted}, tag)
        return encode(fields)


class _Failed(Exception):
    """An expression has no value for a record."""


def _valued(rule: Expression, record: Mapping[str, Any], tag: str) -> Any:
    try:
        return rule.value(record, tag)
    except Exception as e:
        raise _Failed from e


def _set(line: str, what: str) -> tuple[str, Expression]:
    name, text = first_word(line)
    if not text:
        raise UsageError(f"{what} is {line!r}; it takes a key and an expression")
    return name, Expression(text, what)


def names_in(text: str) -> tuple[str, ...] | None:
    """The top-level keys of `record` that an expression names; None when it uses the record in another way."""
    names: list[str] = []
    for found in _USE.finditer(text):
        if not found[0].startswith("record"):
            continue
        name = next((n for n in found.group("dot", "one", "two") if n is not None), None)
        if name is None:
            return None
        names.append(name)
    return tuple(dict.fromkeys(names))


def _library(what: str) -> Any:
    try:
        import cel
    except ImportError as e:
        raise UsageError(f"{what}: expressions need `pip install 'kubewitness[expr]'`") from e
    return cel
