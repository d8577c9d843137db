"""What filters that change records share: reading one as far as needed, and writing only the changed ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kubewitness.formats.accessor import decoded
from kubewitness.formats.recordform import objects, rewritten
from kubewitness.record import Chunk

#: a record's top level: values are undecoded (`msgspec.Raw`) until somebody puts others in their place
Fields = dict[str, Any]

fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
encode = msgspec.json.Encoder().encode

#: what reading a record, a regular expression on it, or writing what became of it may raise
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, TimeoutError)


class Changing(ABC):
    """A filter of which one record makes one record. What is no JSON object, or cannot be written, passes unchanged
    and is counted as `unread`."""

    #: whether a changed record is one that something was taken out of for good
    redacts = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = 0
        self._unread = 0

    @abstractmethod
    def change(self, fields: Fields, tag: str) -> Fields | None:
        """The record as it shall be, None for one that stays as it is. `fields` may be changed and returned."""

    def health(self) -> Mapping[str, object]:
        return {"changed": self._changed, "unread": self._unread}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        changes: dict[int, bytes] = {}
        for i, raw in enumerate(objects(chunk)):
            try:
                fields = self.change(fields_of(raw), chunk.tag)
                if fields is not None:
                    changes[i] = encode(fields)
            except UNREADABLE:
                self._unread += 1
                if (instead := self.instead()) is not None:
                    changes[i] = instead
        self._changed += len(changes)
        return [rewritten(chunk, changes, redacted=self.redacts)]

    def instead(self) -> bytes | None:
        """What stands for a record that cannot be read; None: the record itself."""
        return None


def plain(value: Any) -> Any:
    """A value, decoded if it is not yet."""
    return decoded(value) if isinstance(value, msgspec.Raw) else value
