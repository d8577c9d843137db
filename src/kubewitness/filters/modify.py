"""Filter `modify`: changes a record's keys by rules, if all conditions hold. Source: Fluent Bit's manual, "Modify"."""

from __future__ import annotations

from collections.abc import Callable

from kubewitness.config.keys import Key, nearest
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields, plain
from kubewitness.filters.patterns import Pattern
from kubewitness.filters.section import Given, located, options_of, pairs_of, words_of
from kubewitness.formats.accessor import MISSING, Path, text_of, value_at

KEYS = (
    Key("set", doc="`KEY VALUE`: puts it in, instead of a value that is there", multi=True),
    Key("add", doc="`KEY VALUE`: puts it in if KEY is not there", multi=True),
    Key("add_if_not_present", doc="the old name of `add`", multi=True),
    Key("remove", doc="`KEY`", multi=True),
    Key("remove_wildcard", doc="`KEY`: all keys that begin so", multi=True),
    Key("remove_regex", doc="`REGEX`: all keys that match", multi=True),
    Key("rename", doc="`KEY NEW`: if NEW is not there", multi=True),
    Key("hard_rename", doc="`KEY NEW`: instead of a NEW that is there", multi=True),
    Key("copy", doc="`KEY NEW`: if NEW is not there", multi=True),
    Key("hard_copy", doc="`KEY NEW`: instead of a NEW that is there", multi=True),
    Key("move_to_start", doc="`KEY`: all keys that begin so go before the others", multi=True),
    Key("move_to_end", doc="`KEY`: all keys that begin so go behind the others", multi=True),
    Key("condition", doc="`key_exists KEY`, `key_does_not_exist KEY`, `a_key_matches REGEX`, `no_key_matches REGEX`, "
        "`key_value_equals KEY VALUE`, `key_value_does_not_equal KEY VALUE`, `key_value_matches KEY REGEX`, "
        "`key_value_does_not_match KEY REGEX`, `matching_keys_have_matching_values REGEX REGEX`, "
        "`matching_keys_do_not_have_matching_values REGEX REGEX`; all must hold. KEY may be a record accessor",
        multi=True),
)  # fmt: skip

Rule = Callable[[Fields], Fields | None]
Condition = Callable[[Fields], bool]


class Modify(Changing):
    """Rules are applied in the order of the file, each to what the one before made."""

    def __init__(self, keys: Given, name: str = "modify") -> None:
        super().__init__(name)
        options_of(keys, KEYS, name)
        what = f"filter {name}"
        pairs = [(key, value) for key, value in pairs_of(keys) if key in {k.name for k in KEYS}]
        self._conditions = [_condition(value, what) for key, value in pairs if key == "condition"]
        self._rules = [_rule(key, value, what) for key, value in pairs if key != "condition"]

    def change(self, fields: Fields, tag: str) -> Fields | None:
        if not all(holds(fields) for holds in self._conditions):
            return None
        changed = False
        for rule in self._rules:
            made = rule(fields)
            if made is not None:
                fields, changed = made, True
        return fields if changed else None


# --- rules: each gives the changed record, or None when it does not apply ---------------------------------------------


def _set(fields: Fields, key: str, value: str) -> Fields:
    return {**{k: v for k, v in fields.items() if k != key}, key: value}


def _add(fields: Fields, key: str, value: str) -> Fields | None:
    return None if key in fields else {**fields, key: value}


def _rename(fields: Fields, key: str, new: str) -> Fields | None:
    return None if new in fields else _hard_rename(fields, key, new)


def _hard_rename(fields: Fields, key: str, new: str) -> Fields | None:
    if key not in fields or key == new:
        return None
    return {new if k == key else k: v for k, v in fields.items() if k != new}


def _copy(fields: Fields, key: str, new: str) -> Fields | None:
    return None if new in fields else _hard_copy(fields, key, new)


def _hard_copy(fields: Fields, key: str, new: str) -> Fields | None:
    if key not in fields or key == new:
        return None
    made: Fields = {}
    for k, v in fields.items():
        if k != new:
            made[k] = v
        if k == key:
            made[new] = v
    return made


def _without(fields: Fields, gone: Callable[[str], object]) -> Fields | None:
    kept = {k: v for k, v in fields.items() if not gone(k)}
    return kept if len(kept) < len(fields) else None


def _moved(fields: Fields, begin: str, *, to_end: bool) -> Fields | None:
    chosen = {k: v for k, v in fields.items() if k.startswith(begin)}
    if not chosen:
        return None
    others = {k: v for k, v in fields.items() if k not in chosen}
    return {**others, **chosen} if to_end else {**chosen, **others}


_TWO: dict[str, Callable[[Fields, str, str], Fields | None]] = {
    "set": _set,
    "add": _add,
    "add_if_not_present": _add,
    "rename": _rename,
    "hard_rename": _hard_rename,
    "copy": _copy,
    "hard_copy": _hard_copy,
}


def _rule(kind: str, value: str, what: str) -> Rule:
    words = words_of(value, 3)
    wanted = 2 if kind in _TWO else 1
    if len(words) != wanted:
        takes = "a key and a value or name" if wanted == 2 else "one key"
        raise UsageError(f"{what}: {kind!r} is {value!r}; it takes {takes} (in quotes if it has spaces)")
    first = words[0]
    if kind in _TWO:
        return lambda fields: _TWO[kind](fields, first, words[1])
    if kind == "remove":
        return lambda fields: _without(fields, lambda k: k == first)
    if kind == "remove_regex":
        pattern = Pattern(first, f"{what}: {kind!r}")
        return lambda fields: _without(fields, pattern.search)
    begin = first.rstrip("*")
    if kind == "remove_wildcard":
        return lambda fields: _without(fields, lambda k: k.startswith(begin))
    return lambda fields: _moved(fields, begin, to_end=kind == "move_to_end")


# --- conditions -------------------------------------------------------------------------------------------------------


def _text_at(fields: Fields, path: Path) -> str | None:
    """As text; None for what is not there, null, an object or an array, which equal and match nothing."""
    value = value_at(fields, path)
    return None if value is None or value is MISSING or isinstance(value, dict | list) else text_of(value)


def _has(fields: Fields, path: Path) -> bool:
    return value_at(fields, path) is not MISSING


def _equals(fields: Fields, path: Path, value: str) -> bool:
    return _text_at(fields, path) == value


def _matches(fields: Fields, path: Path, pattern: Pattern) -> bool:
    text = _text_at(fields, path)
    return text is not None and pattern.search(text) is not None


def _values_match(fields: Fields, keys: Pattern, values: Pattern) -> bool:
    found = (plain(v) for k, v in fields.items() if keys.search(k))
    return all(not isinstance(v, dict | list | None) and values.search(text_of(v)) for v in found)


#: condition -> (its parameters: K key, R regular expression, V value; what tells; whether that is turned round)
_CONDITIONS: dict[str, tuple[str, Callable[..., bool], bool]] = {
    "key_exists": ("K", _has, False),
    "key_does_not_exist": ("K", _has, True),
    "a_key_matches": ("R", lambda fields, pattern: any(map(pattern.search, fields)), False),
    "no_key_matches": ("R", lambda fields, pattern: any(map(pattern.search, fields)), True),
    "key_value_equals": ("KV", _equals, False),
    "key_value_does_not_equal": ("KV", lambda f, k, v: not _has(f, k) or _equals(f, k, v), True),
    "key_value_matches": ("KR", _matches, False),
    "key_value_does_not_match": ("KR", lambda f, k, r: not _has(f, k) or _matches(f, k, r), True),
    "matching_keys_have_matching_values": ("RR", _values_match, False),
    "matching_keys_do_not_have_matching_values": ("RR", _values_match, True),
}


def _condition(value: str, what: str) -> Condition:
    kind, *given = words_of(value, 3) or [""]
    kind = kind.lower()
    if kind not in _CONDITIONS:
        raise UsageError(f"{what}: 'condition' {kind!r} is unknown{nearest(kind, _CONDITIONS)}")
    takes, tells, turned = _CONDITIONS[kind]
    if len(given) != len(takes):
        raise UsageError(f"{what}: 'condition' is {value!r}; {kind} takes {len(takes)} parameters")
    parameters = [_parameter(t, text, f"{what}: 'condition'") for t, text in zip(takes, given, strict=True)]
    return lambda fields: tells(fields, *parameters) != turned


def _parameter(kind: str, text: str, what: str) -> Path | Pattern | str:
    return located(text, what) if kind == "K" else Pattern(text, what) if kind == "R" else text
