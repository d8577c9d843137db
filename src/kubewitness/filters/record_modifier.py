"""Filter `record_modifier`: appends keys, removes some, or keeps only some. Source: Fluent Bit's manual, "Record
modifier"."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import Changing, Fields
from kubewitness.filters.section import Given, options_of, words_of

KEYS = (
    Key("record", doc="`KEY VALUE`: appends it, instead of a value that is there", multi=True),
    Key("remove_key", doc="`KEY`, upper or lower case; `BEGIN*`: all that begin so", multi=True),
    Key("allowlist_key", doc="the same: only these stay. Not together with `remove_key`", multi=True),
    Key("whitelist_key", doc="the old name of `allowlist_key`", multi=True),
    Key("uuid_key", doc="appends a random UUID under this key"),
)


class RecordModifier(Changing):
    """First keys go, then `record` and `uuid_key` are put in."""

    def __init__(self, keys: Given, name: str = "record_modifier") -> None:
        super().__init__(name)
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self._records = dict(_pair(line, what) for line in options.lines("record"))
        self._gone = [_matcher(line) for line in options.lines("remove_key")]
        self._stay = [_matcher(line) for key in ("allowlist_key", "whitelist_key") for line in options.lines(key)]
        self._uuid = options.text("uuid_key").strip()
        if self._gone and self._stay:
            raise UsageError(f"{what}: 'remove_key' and 'allowlist_key' exclude each other")

    def change(self, fields: Fields, tag: str) -> Fields | None:
        before = len(fields)
        if self._gone:
            fields = {k: v for k, v in fields.items() if not any(gone(k) for gone in self._gone)}
        elif self._stay:
            fields = {k: v for k, v in fields.items() if any(stays(k) for stays in self._stay)}
        added = {**self._records, self._uuid: str(uuid.uuid4())} if self._uuid else self._records
        if not added:
            return fields if len(fields) < before else None
        for key in added:
            fields.pop(key, None)
        return {**fields, **added}


def _pair(line: str, what: str) -> tuple[str, str]:
    words = words_of(line, 2)
    if len(words) != 2:
        raise UsageError(f"{what}: 'record' is {line!r}; it takes a key and a value")
    return words[0], words[1]


def _matcher(line: str) -> Callable[[str], bool]:
    wanted = line.strip().lower()
    if wanted.endswith("*"):
        return lambda key: key.lower().startswith(wanted[:-1])
    return lambda key: key.lower() == wanted
