"""Format `klog`: what Kubernetes' components write, as text or as JSON. Source: k8s.io/klog/v2, component-base/logs.

A text line becomes severity, thread, caller, msg, and the keys and values behind the message (`err`, `pod`, ...); of
values in Go's quotes, the quotes are undone, and one of several lines (`=<` ... ` >`) is joined. A JSON line keeps its
keys; its time is `ts`: seconds or milliseconds since 1970, or RFC 3339 text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from kubewitness.config.keys import Options
from kubewitness.contracts import Parsed
from kubewitness.formats import klog
from kubewitness.formats.logs import time_us
from kubewitness.parsers.escapes import unescaped_utf8
from kubewitness.parsers.finish import Finish

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_MESSAGE = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s|$)')
#: key, what is in quotes, what is on lines of its own, what is neither. A list or an object may hold spaces, but only
#: so many characters, because its end is looked for from each beginning.
_PAIR = re.compile(
    r'\s+([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|<\n((?:\t[^\n]*\n)*) ?>'
    r'|(\[[^\]]{0,1000}\]|\{[^}]{0,1000}\}|[^\s"]*))(?=\s|$)'
)
_TIMES = ("ts", "time", "timestamp")


class KlogParser:
    """`time_keep` keeps the time of a JSON line; a text line has it in its header, which has no key."""

    def __init__(self, name: str, opts: Options, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._keep = opts.flag("time_keep")
        self._finish = Finish(opts, clock)

    def parse(self, raw: bytes) -> Parsed | None:
        if raw.lstrip()[:1] == b"{":
            return self._json(raw)
        found = klog.parse(raw.decode("utf-8", "backslashreplace"), int(self._clock() * 1e6))
        if found is None:
            return None
        fields: dict[str, Any] = {"severity": found.severity, "thread": found.thread, "caller": found.caller}
        fields |= structured(found.text)
        parsed = self._finish.text_fields(fields)
        return Parsed(parsed.fields, found.us * 1000 if found.us else parsed.time_ns)

    def _json(self, raw: bytes) -> Parsed | None:
        try:
            fields = _decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        time_ns = None
        for name in _TIMES:
            value = fields.get(name)
            if isinstance(value, str | int | float) and (us := time_us(_encode(value))):
                time_ns = us * 1000
                if not self._keep:
                    del fields[name]
                break
        parsed = self._finish.json_fields(fields)
        return Parsed(parsed.fields, parsed.time_ns or time_ns)


def structured(text: str) -> dict[str, Any]:
    """`msg`, and the keys behind it when it is in quotes; a line in which something else follows is a message."""
    message = _MESSAGE.match(text)
    if message is None:
        return {"msg": text}
    fields: dict[str, Any] = {}
    at = message.end()
    while found := _PAIR.match(text, at):
        key, quoted, lines, plain = found.groups()
        if quoted is not None:
            fields[key] = unescaped_utf8(quoted)
        elif lines is not None:
            fields[key] = lines.replace("\n\t", "\n").removeprefix("\t").removesuffix("\n")
        else:
            fields[key] = plain
        at = found.end()
    return {"msg": unescaped_utf8(message[1])} | fields if not text[at:].strip() else {"msg": text}
