"""Keys of a section: one declaration each, from which come its check, its value, `-h` and the docs.

Names are case-insensitive; types, units and defaults are as in Fluent Bit's configuration. A section's keys travel as
a mapping of lower-case names to text. What may be given several times (`multi`) is there once, its values joined by
newlines, in the order of the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from kubewitness.errors import UsageError
from kubewitness.formats.names import CLUSTER_NAME, CLUSTER_NAME_RULE

KeyType = Literal["text", "bool", "int", "float", "size", "seconds", "list", "prefix"]


class Key(NamedTuple):
    """One key. `default` is written as a user would write it."""

    name: str
    type: KeyType = "text"
    default: str = ""
    doc: str = ""
    #: may be given several times
    multi: bool = False
    #: the only values it takes, if there are any
    choices: tuple[str, ...] = ()
    #: why nothing but the default is taken, if that is so; "" when it is not
    refused: str = ""


#: keys that the engine reads, not the plugin
ENGINE_KEYS = (
    "name", "alias", "tag", "match", "match_regex", "storage.type", "threaded", "log_level", "mem_buf_limit",
)  # fmt: skip

#: bytes; powers of 1000, as in Fluent Bit
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_FLOAT = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_WORDS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
#: what each type takes, for people
TYPES: dict[KeyType, str] = {
    "text": "text",
    "bool": "on or off",
    "int": "a whole number",
    "float": "a number",
    "size": "a size such as 5M",
    "seconds": "a time (10m)",
    "list": "words, by commas",
    "prefix": "text",
}


_TEXTS = ("text", "list", "prefix")


#: what keys were called in Fluent Bit before
_FORMER = {
    "merge_json_log": "merge_log", "merge_json_key": "merge_log_key", "chunk_buffer_path": "store_dir",
    "chunk_buffer_dir": "store_dir", "buffer": "buffer_max_size", "chunk_size": "buffer_chunk_size",
    "http_monitor": "http_server", "message_key": "event_key", "loglevel": "log_level",
}  # fmt: skip
#: of so many names none is found in a line of text
_MOST_NAMES = 30


def near(word: str, known: Collection[str]) -> str:
    """ "; did you mean ...?" for error messages; empty when nothing is near."""
    former = _FORMER.get(word.lower(), "")
    found = [former] if former in known else difflib.get_close_matches(word.lower(), known, 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def nearest(word: str, known: Collection[str]) -> str:
    """The same, or what there is, when nothing is near."""
    if hint := near(word, known):
        return hint
    if len(known) > _MOST_NAMES:
        return f"; there are {len(known)} others (docs/fluent-bit.md)"
    return f"; there is {', '.join(sorted(known))}" if known else "; it takes none"


class UnknownKey(UsageError):
    """`what` takes no such key, only `known`."""

    def __init__(self, what: str, key: str, known: Collection[str]) -> None:
        super().__init__(f"{what}: unknown key {key!r}{nearest(key, known)}")
        self.what = what
        self.key = key
        self.known = sorted(known)
        self.hint = near(key, known)


class Options:
    """The values of one section, by its declared keys. Raises UsageError for a key that is not declared and for a
    value of another type, `what` (whom the keys are for) in front."""

    def __init__(self, what: str, given: Mapping[str, object], keys: Sequence[Key]) -> None:
        self._what = what
        self._keys = {key.name: key for key in keys}
        self._values: dict[str, str] = {}
        prefixes = tuple(key.name for key in keys if key.type == "prefix")
        for name, value in given.items():
            lower = name.lower()
            if lower not in self._keys and lower not in ENGINE_KEYS and not (prefixes and lower.startswith(prefixes)):
                raise UnknownKey(what, name, self._keys)
            self._values[lower] = _as_text(value)
        for key in keys:
            self._parse(key)

    def given(self, name: str) -> bool:
        """Whether the section names this key at all."""
        return name in self._values

    def text(self, name: str) -> str:
        return self._values.get(name, self._keys[name].default if name in self._keys else "")

    def flag(self, name: str) -> bool:
        return bool(self._parse(self._keys[name]))

    def number(self, name: str) -> int:
        return int(self._parse(self._keys[name]))

    def seconds(self, name: str) -> float:
        return float(self._parse(self._keys[name]))

    real = seconds

    def choice(self, name: str) -> str:
        """One of the key's `choices`, or its default."""
        return self.text(name).strip().lower()

    def items(self, name: str) -> list[str]:
        """Of a list: what is between the commas, without what is empty."""
        return [part.strip() for line in self.lines(name) for part in line.split(",") if part.strip()]

    def lines(self, name: str) -> list[str]:
        """Of a key that may be given several times: each value."""
        return [line for line in self.text(name).split("\n") if line.strip()]

    def prefixed(self, prefix: str) -> dict[str, str]:
        """Of keys that begin so: the rest of the name -> value, in the order of the file."""
        return {name.removeprefix(prefix): v for name, v in self._values.items() if name.startswith(prefix)}

    def _parse(self, key: Key) -> float:
        text = self.text(key.name).strip()
        if key.name == "cluster" and not CLUSTER_NAME.fullmatch(text):
            raise UsageError(f"{self._what}: cluster is {text!r}; a cluster's name is {CLUSTER_NAME_RULE}")
        if key.choices and text.lower() not in (*key.choices, key.default):
            raise UsageError(f"{self._what}: {key.name!r} cannot be {text!r}{nearest(text, key.choices)}")
        value = parsed(key.type, text) if text or key.default else 0
        if value is None:
            raise UsageError(f"{self._what}: {key.name!r} is {text!r}; it takes {TYPES[key.type]}")
        if key.refused and text != key.default and (key.type in _TEXTS or value != parsed(key.type, key.default)):
            raise UsageError(f"{self._what}: {key.name!r} is not supported: {key.refused}")
        return value


def parsed(kind: KeyType, text: str) -> float | None:
    """The value of a text as a number; 0 for types that are text; None when it is not of the type."""
    if kind == "bool":
        return _WORDS.get(text.lower())
    if kind == "int":
        return int(text) if text.isascii() and text.isdigit() else None
    if kind == "float":
        return float(text) if _FLOAT.fullmatch(text) else None
    if kind == "size":
        if text.lower() == "false":
            return 0  # documented there as "no limit"
        found = _SIZE.fullmatch(text)
        return int(float(found[1]) * _UNITS[found[2].lower()]) if found else None
    if kind == "seconds":
        found = _TIME.fullmatch(text)
        return float(found[1]) * _SECONDS[(found[2] or "").lower()] if found else None
    return 0


def flattened(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Keys in the order of the file as a mapping: names in lower case, values of a repeated key joined by newlines."""
    keys: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        keys[lower] = f"{keys[lower]}\n{value}" if lower in keys else value
    return keys


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)
