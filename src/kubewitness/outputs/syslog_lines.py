"""Records as syslog messages. Sources: RFC 5424 (section 6), RFC 3164 (section 4)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.formats.accessor import MISSING, Path, path_of, text_of, value_at
from kubewitness.outputs.records import fields_of

#: field -> the characters it may have, in RFC 5424
_FIELDS = {"hostname": 255, "appname": 48, "procid": 128, "msgid": 32}

LINE_KEYS = (
    Key("syslog_format", default="rfc5424", doc="form of a message", choices=("rfc5424", "rfc3164")),
    Key("syslog_maxsize", "size", "0", "a longer message is cut (bytes); 0: none is (Fluent Bit: 2048, or 1024)"),
    Key("syslog_message_key", doc="key of the message; empty, or not there: the record as JSON"),
    Key("syslog_severity_key", doc="key of the severity: 0 to 7, or its name"),
    Key("syslog_severity_preset", "int", "6", "where there is none"),
    Key("syslog_facility_key", doc="key of the facility: 0 to 23"),
    Key("syslog_facility_preset", "int", "1", "where there is none"),
    *(
        key
        for field in _FIELDS
        for key in (
            Key(f"syslog_{field}_key", doc=f"key of the {field}"),
            Key(f"syslog_{field}_preset", doc="where there is none"),
        )
    ),
    Key("syslog_sd_key", doc="key of an object that is structured data; several by repeating the key", multi=True),
    Key("allow_longer_sd_id", "bool", "false", "names of structured data may have more than 32 characters"),
)  # fmt: skip

_SEVERITIES = {
    "emerg": 0, "panic": 0, "fatal": 0, "alert": 1, "crit": 2, "critical": 2, "err": 3, "error": 3, "warning": 4,
    "warn": 4, "notice": 5, "info": 6, "informational": 6, "debug": 7, "trace": 7,
}  # fmt: skip
_NOT_PRINTABLE = re.compile(r"[^!-~]+")
_NOT_A_NAME = re.compile(r'[^!-~]+|[="\]]')
_SD_ESCAPES = re.compile(r'(["\\\]])')


class SyslogLines:
    """Made from an output's keys."""

    def __init__(self, what: str, opts: Options) -> None:
        self._new = opts.choice("syslog_format") == "rfc5424"
        self._limit = opts.number("syslog_maxsize")
        self._message = _path(opts, "syslog_message_key")
        self._severity = (_path(opts, "syslog_severity_key"), opts.number("syslog_severity_preset"))
        self._facility = (_path(opts, "syslog_facility_key"), opts.number("syslog_facility_preset"))
        self._fields = [
            (_path(opts, f"syslog_{name}_key"), opts.text(f"syslog_{name}_preset"), length)
            for name, length in _FIELDS.items()
        ]
        self._sd = [path_of(line.strip()) for line in opts.lines("syslog_sd_key")]
        self._sd_length = None if opts.flag("allow_longer_sd_id") else 32
        if self._severity[1] > 7 or self._facility[1] > 23:
            raise UsageError(f"{what}: 'syslog_severity_preset' goes up to 7, 'syslog_facility_preset' up to 23")

    def of(self, line: bytes, ns: int) -> bytes:
        """One message, without a newline in it."""
        fields = fields_of(line)
        priority = self._number(fields, self._facility, 23, {}) * 8 + self._number(
            fields, self._severity, 7, _SEVERITIES
        )
        host, app, process, message_id = (_field(fields, *field) for field in self._fields)
        found = value_at(fields, self._message) if self._message is not None else MISSING
        text = line.decode("utf-8", "replace") if found is MISSING else text_of(found)
        text = text.rstrip("\n").replace("\r", "#015").replace("\n", "#012")
        if self._new:
            stamp = datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            micros = ns % 1_000_000_000 // 1000
            head = (
                f"<{priority}>1 {stamp}.{micros:06d}Z {host or '-'} {app or '-'} {process or '-'} {message_id or '-'} "
            )
            made = head + self._structured(fields) + (f" \ufeff{text}" if text else "")
        else:
            local = time.localtime(ns // 1_000_000_000)
            stamp = time.strftime("%b ", local) + f"{local.tm_mday:2d}" + time.strftime(" %H:%M:%S", local)
            named = (f"{app}[{process}]: " if process else f"{app}: ") if app else ""
            made = f"<{priority}>{stamp} " + (f"{host} " if host else "") + named + text
        raw = made.encode("utf-8", "replace")
        return _cut(raw, self._limit) if self._limit else raw

    @staticmethod
    def _number(fields: Mapping[str, Any], where: tuple[Path | None, int], limit: int, names: Mapping[str, int]) -> int:
        path, preset = where
        value = value_at(fields, path) if path is not None else MISSING
        if isinstance(value, str):
            value = names.get(value.strip().lower(), int(value) if value.isascii() and value.isdigit() else MISSING)
        return value if isinstance(value, int) and 0 <= value <= limit else preset

    def _structured(self, fields: Mapping[str, Any]) -> str:
        parts = []
        for path in self._sd:
            found = value_at(fields, path)
            if isinstance(found, dict):
                name = self._name(str(path.steps[-1]))
                pairs = (f' {self._name(k)}="{_SD_ESCAPES.sub(_escape, text_of(v))}"' for k, v in found.items())
                parts.append(f"[{name}{''.join(pairs)}]".replace("\n", "#012"))
        return "".join(parts) or "-"

    def _name(self, text: str) -> str:
        return _NOT_A_NAME.sub("_", text)[: self._sd_length] or "_"


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[1]


def _path(opts: Options, key: str) -> Path | None:
    return path_of(opts.text(key)) if opts.text(key) else None


def _field(fields: Mapping[str, Any], path: Path | None, preset: str, length: int) -> str:
    found = text_of(value_at(fields, path)) if path is not None else ""
    return _NOT_PRINTABLE.sub("_", found or preset)[:length]


def _cut(raw: bytes, limit: int) -> bytes:
    """At most so many bytes, and no half character."""
    return raw if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore").encode()


def framed(messages: Sequence[bytes]) -> bytes:
    """For a stream: a newline after each (RFC 6587, 3.4.2)."""
    return b"".join(message + b"\n" for message in messages)
