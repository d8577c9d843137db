"""Filter `parser`: takes a value apart, and puts what was found in the record's place. Source: Fluent Bit's manual,
"Parser"."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key
from kubewitness.contracts import Parsed
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE, encode, fields_of
from kubewitness.filters.section import Given, located, options_of
from kubewitness.formats.accessor import Reader
from kubewitness.formats.record_times import times_ns
from kubewitness.formats.recordform import objects, rewritten
from kubewitness.parsers.escapes import unescaped
from kubewitness.parsers.library import Library, asked
from kubewitness.record import Chunk

KEYS = (
    Key("key_name", doc="whose text is taken apart; also `$kubernetes['labels']['x']`"),
    Key("parser", doc="name of a parser; of several, the first that fits", multi=True),
    Key("preserve_key", "bool", "false", "the text stays in the record, too"),
    Key("reserve_data", "bool", "false", "the other keys stay in the record, behind what was found"),
    Key("unescape_key", "bool", "false", "backslashes in the text are undone first"),
)


class ParserFilter:
    """A record that no parser fits stays as it is. When a parser finds a time, it is the record's from then on."""

    def __init__(self, keys: Given, name: str = "parser", library: Library | None = None) -> None:
        """`library`: parsers by name; by default those that are bundled."""
        options = options_of(keys, KEYS, name)
        what = f"filter {name}"
        self.name = name
        path = located(options.text("key_name").strip() or "log", what)
        names = options.items("parser")
        if not options.text("key_name").strip() or not names:
            raise UsageError(f"{what}: it needs 'key_name' and 'parser'")
        self._reader = Reader([path])
        self._key = str(path.steps[0])
        #: a value within an object stays where it is: only a key of the record itself can be taken out of it
        self._nested = len(path.steps) > 1
        library = library or Library()
        self._parsers = [asked(what, "parser", word, library.parser) for word in names]
        self._preserve, self._reserve = options.flag("preserve_key"), options.flag("reserve_data")
        self._unescape = options.flag("unescape_key")
        self._parsed = self._unparsed = self._unread = 0

    def health(self) -> Mapping[str, object]:
        return {"parsed": self._parsed, "not_parsed": self._unparsed, "unread": self._unread}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        changes: dict[int, bytes] = {}
        times: array[int] | None = None
        for i, raw in enumerate(objects(chunk)):
            try:
                found = self._parse(raw)
                if found is None:
                    continue
                changes[i] = encode(self._made(raw, found))
            except UNREADABLE:
                self._unread += 1
                continue
            if found.time_ns is not None:
                times = times or array("q", times_ns(chunk))
                times[i] = found.time_ns
        self._parsed += len(changes)
        return [rewritten(chunk, changes, times)]

    def _parse(self, raw: bytes) -> Parsed | None:
        (value,) = self._reader.read(raw)
        if not isinstance(value, str):
            return None
        text = (unescaped(value) if self._unescape else value).encode("utf-8", "surrogateescape")
        for parser in self._parsers:
            found = parser.parse(text)
            if found is not None:
                return found
        self._unparsed += 1
        return None

    def _made(self, raw: bytes, found: Parsed) -> dict[str, object]:
        if not self._preserve and not self._reserve:
            return found.fields
        rest = fields_of(raw)
        if not self._reserve:
            rest = {k: v for k, v in rest.items() if k == self._key}
        elif not self._preserve and not self._nested:
            rest.pop(self._key, None)
        return {**found.fields, **{k: v for k, v in rest.items() if k not in found.fields}}
