"""Keys of a plugin's section: names (case-insensitive), types and defaults as in Fluent Bit's configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from kubewitness.errors import UsageError
from kubewitness.formats.names import CLUSTER_NAME, CLUSTER_NAME_RULE

KeyType = Literal["text", "bool", "int", "size", "seconds"]


class Key(NamedTuple):
    """One key a plugin knows. `default` is written as a user would write it."""

    name: str
    type: KeyType = "text"
    default: str = ""


#: keys that the engine reads, not the plugin
ENGINE_KEYS = ("name", "alias", "tag", "match", "storage.type", "threaded", "log_level", "mem_buf_limit")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", re.IGNORECASE)
#: powers of 1000, as in Fluent Bit
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WORDS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


class Options:
    """The values of one section. Raises UsageError for a key that is not there and for a value of another type."""

    def __init__(self, plugin: str, given: Mapping[str, object], keys: Sequence[Key]) -> None:
        self._plugin = plugin
        self._keys = {key.name: key for key in keys}
        self._values: dict[str, str] = {}
        known = (*self._keys, *ENGINE_KEYS)
        for name, value in given.items():
            lower = name.lower()
            if lower not in known:
                near = difflib.get_close_matches(lower, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(self._keys))}"
                raise UsageError(f"{plugin}: unknown key {name!r}; {hint}")
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

    def _parse(self, key: Key) -> float:
        text = self.text(key.name).strip()
        if key.name == "cluster" and not CLUSTER_NAME.fullmatch(text):
            raise UsageError(f"{self._plugin}: cluster is {text!r}; a cluster's name is {CLUSTER_NAME_RULE}")
        if key.type == "text":
            return 0
        wanted = {"bool": "on or off", "int": "a whole number", "size": "a size such as 5M", "seconds": "a time (10m)"}
        if key.type == "bool" and text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if key.type == "int" and text.isascii() and text.isdigit():
            return int(text)
        if key.type == "size" and (found := _SIZE.fullmatch(text)):
            return int(float(found[1]) * _UNITS[found[2].lower()])
        if key.type == "seconds" and (found := _TIME.fullmatch(text)):
            return float(found[1]) * _SECONDS[(found[2] or "").lower()]
        raise UsageError(f"{self._plugin}: {key.name} is {text!r}; it takes {wanted[key.type]}")


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)
