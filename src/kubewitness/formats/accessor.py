"""Record accessors: `$log`, `$kubernetes['labels']['app']`, `$items[0]`, and in templates also `$TAG`, `$TAG[n]`
and `$0` to `$9` (what a regular expression found).

Source: Fluent Bit's manual, "Record accessor syntax" and "Rewrite tag". A name without `$` is that top-level key,
dots and all. What is looked up is read from the record's bytes; nothing that lies beside the path is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import msgspec

from kubewitness.errors import UsageError


class Missing:
    """The type of `MISSING`: no such key, which is not the same as null."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

#: a JSON value, its undecoded bytes, or MISSING
Value = Any

_STEP = re.compile(r"\[\s*(?:'([^']*)'|\"([^\"]*)\"|(\d+))\s*\]")
_VARIABLE = re.compile(
    r"\$(?:TAG(?:\[(?P<part>\d+)\]|(?![\w@-]))|(?P<found>\d)(?!\w)"
    r"|(?P<name>(?:[\w@]+(?:-[\w@]+)*)?)(?P<steps>(?:\[\s*(?:'[^']*'|\"[^\"]*\"|\d+)\s*\])*))"
)
#: msgspec takes no such name for a field
_ODD = re.compile(r'[\x00-\x1f"\\]')
_SCALARS: Any = str | int | float | bool | None | msgspec.UnsetType
_any = msgspec.json.Decoder().decode
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Path(NamedTuple):
    """Where a value stands: keys, and places in arrays."""

    steps: tuple[str | int, ...]

    def __str__(self) -> str:
        return "$" + "".join(f"[{s}]" if isinstance(s, int) else f"['{s}']" for s in self.steps)


def path_of(text: str) -> Path:
    """Of a key as users write it. Raises UsageError."""
    if not text.startswith("$"):
        if not text:
            raise UsageError("a key is empty")
        return Path((text,))
    name = text[1:].partition("[")[0]
    steps: list[str | int] = [name] if name else []
    at = 1 + len(name)
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise UsageError(f"{text!r} is no record accessor; write $key or $key['sub']['sub']")
        steps.append(int(found[3]) if found[3] is not None else found[1] if found[1] is not None else found[2])
        at = found.end()
    if not steps or isinstance(steps[0], int):
        raise UsageError(f"{text!r} names no key; write $key or $key['sub']['sub']")
    return Path(tuple(steps))


class Reader:
    """Reads the values of some paths from a JSON object's bytes, most often in one pass."""

    def __init__(self, paths: Sequence[Path]) -> None:
        names = list(dict.fromkeys(cast(str, p.steps[0]) for p in paths))
        self._decode = _struct(names)
        self._places = [(f"f{names.index(cast(str, p.steps[0]))}", p.steps[1:]) for p in paths]
        self._fast = _fast(paths)

    def read(self, raw: bytes) -> list[Value]:
        """One value or MISSING a path. Raises `msgspec.MsgspecError` or UnicodeDecodeError for what is no object."""
        if self._fast is not None:
            decode, places = self._fast
            try:
                found = decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                pass  # a value of another kind, or no object
            else:
                return [_scalar(found, place) for place in places]
        found = self._decode(raw)
        return [_inside(getattr(found, field), steps) for field, steps in self._places]


def _scalar(value: Any, place: Sequence[str]) -> Value:
    for name in place:
        if not isinstance(value, msgspec.Struct):
            return MISSING
        value = getattr(value, name)
    return MISSING if value is msgspec.UNSET else value


def _fast(paths: Sequence[Path]) -> tuple[Any, list[list[str]]] | None:
    """A decoder for records in which all of these paths end at a scalar or nowhere, and how to come to each from what
    it gives; None when there can be none."""
    tree: dict[str, Any] = {}
    for path in paths:
        branch = tree
        for step in path.steps[:-1]:
            if isinstance(step, int) or _ODD.search(step):
                return None
            branch = branch.setdefault(step, {})
        last = path.steps[-1]
        if isinstance(last, int) or _ODD.search(last):
            return None
        branch.setdefault(last, {})
    if any(_at(tree, path.steps) for path in paths):
        return None  # one path goes on where another one ends
    return msgspec.json.Decoder(_typed(tree)).decode, [_attributes(tree, path.steps) for path in paths]


def _at(tree: dict[str, Any], steps: Sequence[str | int]) -> dict[str, Any]:
    for step in steps:
        tree = tree[cast(str, step)]
    return tree


def _attributes(tree: dict[str, Any], steps: Sequence[str | int]) -> list[str]:
    return [f"f{list(_at(tree, steps[:i])).index(cast(str, step))}" for i, step in enumerate(steps)]


def _typed(tree: dict[str, Any]) -> Any:
    """A type for objects of which only these keys count."""
    fields: list[tuple[str, Any, Any]] = []
    for i, branch in enumerate(tree.values()):
        kind = _SCALARS if not branch else _typed(branch) | _SCALARS
        fields.append((f"f{i}", kind, msgspec.UNSET))
    names = {f"f{i}": name for i, name in enumerate(tree)}
    return msgspec.defstruct("Fields", fields, rename=names, gc=False)


def _struct(names: Sequence[str]) -> Any:
    if any(map(_ODD.search, names)):
        return lambda raw: _from_all(_raw(raw), names)
    fields = [(f"f{i}", msgspec.Raw, msgspec.Raw()) for i in range(len(names))]
    made = msgspec.defstruct("Fields", fields, rename={f"f{i}": n for i, n in enumerate(names)}, gc=False)
    return msgspec.json.Decoder(made).decode


def _from_all(fields: dict[str, msgspec.Raw], names: Sequence[str]) -> SimpleNamespace:
    return SimpleNamespace(**{f"f{i}": fields.get(n, msgspec.Raw()) for i, n in enumerate(names)})


_steps: dict[str, Any] = {}


def _inside(raw: msgspec.Raw, steps: Sequence[str | int]) -> Value:
    """The value at the end of the steps."""
    for i, step in enumerate(steps):
        head = bytes(memoryview(raw)[:1])
        if isinstance(step, int) or head != b"{":
            return at_steps(decoded(raw), steps[i:]) if head in (b"{", b"[") else MISSING
        decode = _steps.get(step)
        if decode is None:
            decode = _steps[step] = _struct([step])
        raw = decode(raw).f0
    return decoded(raw) if memoryview(raw).nbytes else MISSING


def decoded(raw: msgspec.Raw) -> Value:
    """A value from its bytes. A number that no float can hold is its text."""
    try:
        return _any(raw)
    except msgspec.ValidationError:
        text = bytes(raw)
        if text[:1] in b"-0123456789":
            return text.decode()
        raise


def at_steps(value: Value, steps: Sequence[str | int]) -> Value:
    """What stands in a decoded value at these steps, or MISSING."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return MISSING
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                return MISSING
            value = value[step]
    return value


def value_at(fields: Mapping[str, Value], path: Path) -> Value:
    """The value at a path of an object whose values may be undecoded (`msgspec.Raw`), or MISSING."""
    value = fields.get(cast(str, path.steps[0]), MISSING)
    return _inside(value, path.steps[1:]) if isinstance(value, msgspec.Raw) else at_steps(value, path.steps[1:])


def text_of(value: Value) -> str:
    """A value as text: strings as they are, everything else as JSON; "" for MISSING."""
    if isinstance(value, str):
        return value
    if value is MISSING:
        return ""
    return _encode(value).decode()


class Template:
    """Text with accessors in it: `from.$TAG.$kubernetes['labels']['app'].$1`. A name ends at whatever is no letter,
    digit, `_`, `-` or `@`; a `$` that nothing follows stands for itself."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str | _Tag | _Found | Path] = []
        at = 0
        for match in _VARIABLE.finditer(text):
            part = _variable(match)
            if part is not None:
                self._parts += [text[at : match.start()], part]
                at = match.end()
        self._parts.append(text[at:])

    @property
    def paths(self) -> list[Path]:
        """What it reads of the record."""
        return [p for p in self._parts if isinstance(p, Path)]

    def render(self, fields: Mapping[str, Value], tag: str, found: Sequence[str | None] = ()) -> str:
        """`fields`: the record. `found`: the groups of the regular expression, the whole first. What is not there is
        left out."""
        return "".join(self._text(part, fields, tag, found) for part in self._parts)

    def _text(
        self, part: str | _Tag | _Found | Path, fields: Mapping[str, Value], tag: str, found: Sequence[str | None]
    ) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Path):
            return text_of(value_at(fields, part))
        if isinstance(part, _Found):
            return (found[part.number] or "") if part.number < len(found) else ""
        words = tag.split(".")
        if part.part < 0:
            return tag
        return words[part.part] if part.part < len(words) else ""


class _Tag(NamedTuple):
    part: int


class _Found(NamedTuple):
    number: int


def _variable(match: re.Match[str]) -> _Tag | _Found | Path | None:
    if match["found"] is not None:
        return _Found(int(match["found"]))
    if match["name"] is None:
        return _Tag(int(match["part"]) if match["part"] is not None else -1)
    if not match["name"] and not match["steps"]:
        return None
    try:
        return path_of("$" + match["name"] + match["steps"])
    except UsageError:
        return None
