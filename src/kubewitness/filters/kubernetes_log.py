"""What becomes of a record's `log`: merged into the record as JSON or by a parser; and what pods say of their logs."""

from __future__ import annotations

import json
import logging
import re
from typing import Any, NamedTuple

import msgspec

from kubewitness.config.keys import Options
from kubewitness.contracts import Parser
from kubewitness.errors import UsageError
from kubewitness.filters.changing import fields_of
from kubewitness.kube.pods import Entry
from kubewitness.parsers.library import Library, asked

_log = logging.getLogger(__name__)

STREAMS = ("stdout", "stderr")
_TRUE = ("true", "on", "yes")
_ANNOTATION = re.compile(r"(parser|exclude)(?:_(stdout|stderr))?(?:-(.+))?")
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
#: a newline, or one that was written as two characters
_ENDS = re.compile(r"(?:[\n\r]|\\[nr])+\Z")
#: a value of `log`, at any depth, that is an object or begins like the text of one
_OBJECT = re.compile(rb'"log"\s*:\s*(?:\{|"(?:\s|\\[tnr])*\{)')
_MAY_END = (b'\\n"', b'\\r"')


class Merged(NamedTuple):
    fields: dict[str, Any]
    time_ns: int | None = None


class Merging:
    """Keys `merge_log`, `merge_log_key`, `merge_log_trim`, `merge_parser`, `keep_log`."""

    def __init__(self, opts: Options, library: Library, what: str) -> None:
        self.on = opts.flag("merge_log")
        self._under = opts.text("merge_log_key")
        self._trim = opts.flag("merge_log_trim")
        self._keep = opts.flag("keep_log")
        self._parser: Parser | None = None
        if name := opts.text("merge_parser").strip():
            self._parser = asked(what, "merge_parser", name, library.parser)

    def may_merge(self, raw: bytes) -> bool:
        """Whether a record can have an object as its `log`, as far as a look at its bytes tells; without a parser."""
        return _OBJECT.search(raw) is not None

    @property
    def has_parser(self) -> bool:
        return self._parser is not None

    def merged(self, fields: dict[str, Any], parser: Parser | None) -> Merged | None:
        """The record as it shall be, None for one that stays as it is. `parser`: the pod's own choice."""
        found = self._found(fields.get("log"), parser or self._parser)
        if found is None:
            return None
        inner = {k: self._trimmed(v) for k, v in found.fields.items()} if self._trim else found.fields
        made = fields if self._keep else {k: v for k, v in fields.items() if k != "log"}
        if not self._under:
            return Merged({**made, **inner}, found.time_ns)
        return Merged({**made, self._under: inner} if inner else made, found.time_ns)

    def _found(self, log: object, parser: Parser | None) -> Merged | None:
        if not isinstance(log, msgspec.Raw):
            return None
        raw = bytes(log)
        if raw[:1] == b"{":
            return Merged(fields_of(raw))
        if raw[:1] != b'"':
            return None
        if parser is None:
            # of text only an object can be merged: most lines end here
            if not raw[1:16].lstrip(b" \\tnr").startswith(b"{"):
                return None
            return _object(_text(raw))
        found = parser.parse(_text(raw).encode("utf-8", "surrogateescape"))
        return Merged(found.fields, found.time_ns) if found is not None else None

    def _trimmed(self, value: Any) -> Any:
        if isinstance(value, str):
            return _ENDS.sub("", value)
        if isinstance(value, msgspec.Raw) and bytes(memoryview(value)[-3:]) in _MAY_END:
            return _ENDS.sub("", _text(value))
        return value


def _object(text: str) -> Merged | None:
    try:
        return Merged(fields_of(text))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        pass
    # as Fluent Bit: a newline may stand in a text as it is, of those who do not escape it
    if "\n" not in text.rstrip() and "\t" not in text and "\r" not in text:
        return None
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return Merged(found) if isinstance(found, dict) else None


class Told(NamedTuple):
    """What a pod says of one container's logs, by stream."""

    exclude: dict[str, bool]
    parser: dict[str, str]


_NOTHING = Told({}, {})


def told_by(entry: Entry | None, container: str) -> Told:
    """A container's own annotation is before the pod's, whatever their order."""
    if entry is None or not entry.told:
        return _NOTHING
    exclude: dict[str, bool] = {}
    parser: dict[str, str] = {}
    # those of a container last, so that they replace the pod's
    for name, value in sorted(entry.told.items(), key=lambda item: "-" in item[0]):
        found = _ANNOTATION.fullmatch(name)
        if found is None or (found[3] is not None and found[3] != container):
            continue
        for stream in (found[2],) if found[2] else STREAMS:
            if found[1] == "exclude":
                exclude[stream] = value.strip().lower() in _TRUE
            else:
                parser[stream] = value
    return Told(exclude, parser)


class PodParsers:
    """Parsers that pods name, which may not be there."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._found: dict[str, Parser | None] = {}

    @property
    def unknown(self) -> int:
        """Names that no parser has."""
        return sum(parser is None for parser in self._found.values())

    def get(self, name: str, pod: str) -> Parser | None:
        if name not in self._found:
            if len(self._found) > 1000:
                self._found.clear()
            try:
                self._found[name] = self._library.parser(name)
            except UsageError as e:
                _log.warning("annotation of pod %s: %s", pod, e)
                self._found[name] = None
        return self._found[name]
