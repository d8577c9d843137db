"""Messages of inputs `tcp` and `udp` as records: JSON objects, or lines of text. Pure."""

from __future__ import annotations

import codecs
import re
from array import array
from collections.abc import Sequence

import msgspec

from kubewitness.config.keys import Key, Options, parsed
from kubewitness.errors import UsageError
from kubewitness.inputs.framing import Cut, Framing, JsonValues, Separated
from kubewitness.inputs.intake import CUT, Made
from kubewitness.inputs.made_records import with_key
from kubewitness.record import Note

#: the longest message where the section does not say (bytes)
_LIMIT = 16 * 1024 * 1024
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|[0nrtabfv\\])")

TEXT_KEYS = (
    Key("format", default="json", doc="`json`: JSON objects; what is another value is under key `msg`. `none`: text "
        "under key `log`", choices=("json", "none")),
    Key("separator", default="\\n", doc="what is behind each message of format `none`; may hold `\\n`, `\\r`, `\\t`, "
        "`\\0`, `\\x1e`"),
    Key("source_address_key", doc="key under which the sender's address is put into each record"),
    Key("buffer_size", doc="the longest message: a number is KB, `1M` a size; empty: 16 MB (Fluent Bit: `chunk_size`)"),
    Key("chunk_size", default="32", doc="accepted, without effect: messages are read as they come"),
    Key("cluster", "text", "default", "name in the store (not in Fluent Bit)"),
)  # fmt: skip


class _Object(msgspec.Struct, gc=False):
    """Any JSON object: read through, nothing kept."""


_object = msgspec.json.Decoder(_Object).decode
_value = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class TextMessages:
    """Made from a section."""

    def __init__(self, plugin: str, opts: Options) -> None:
        self._json = opts.choice("format") == "json"
        self._separator = _unescaped(opts.text("separator"))
        if not self._separator:
            raise UsageError(f"{plugin}: 'separator' is empty; it takes what is behind each message")
        self.limit = _kilobytes(plugin, opts.text("buffer_size")) or _LIMIT
        self._address_key = opts.text("source_address_key")

    def framing(self) -> Framing:
        """For one connection, or one datagram."""
        return JsonValues(self.limit) if self._json else Separated(self._separator, self.limit)

    def make(self, cuts: Sequence[Cut], peer: str) -> Made:
        records: list[bytes] = []
        notes: dict[int, Note] = {}
        rejects: list[tuple[bytes, str]] = []
        for cut in cuts:
            record = self._value(cut) if self._json else _encode({"log": _text(cut.data)})
            if record is None:
                rejects.append((cut.data, f"no JSON value from {peer}"))
                continue
            if not self._json and not cut.whole:
                notes[len(records)] = CUT
            records.append(with_key(record, self._address_key, peer) if self._address_key else record)
        return Made(records, array("q", [0]) * len(records), notes, rejects)

    def _value(self, cut: Cut) -> bytes | None:
        if not cut.whole:
            return None
        raw = cut.data
        try:
            if not raw.isascii():
                raw.decode()  # what is only read through is not checked to be text
            if raw[:1] == b"{":
                _object(raw)
                return raw.replace(b"\r", b" ").replace(b"\n", b" ")
            return _encode({"msg": _value(raw)})
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _unescaped(text: str) -> bytes:
    return _ESCAPE.sub(lambda m: codecs.decode(m[0].replace("\\0", "\\x00"), "unicode_escape"), text).encode()


def _kilobytes(plugin: str, text: str) -> int:
    """Of a number in KB, as Fluent Bit has it here, or a size; 0 when it is empty."""
    if not text.strip():
        return 0
    size = int(text) * 1024 if text.strip().isdecimal() else parsed("size", text.strip())
    if not size:
        raise UsageError(f"{plugin}: 'buffer_size' is {text!r}; it takes KB (64), or a size such as 1M")
    return int(size)
