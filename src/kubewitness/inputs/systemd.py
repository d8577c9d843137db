"""Input `systemd`: entries of systemd's journal, read by journalctl. Source of keys: Fluent Bit's manual, "Systemd".

The position is the cursor of the last entry, committed with the entries. journalctl is asked to begin *at* it, and the
entry that is already known is left out here: asked to begin after a cursor whose entry journald has deleted meanwhile
(rotation, vacuum), journalctl leaves out one that nobody has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import shlex
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Batch, Sink
from kubewitness.errors import UsageError
from kubewitness.formats.journal_export import Entry, ExportReader
from kubewitness.inputs.made import RecordChunks, json_of, text_of
from kubewitness.record import KEY_BYTES

_log = logging.getLogger(__name__)

_DB = "accepted, without effect: the cursor is in the journal, committed together with the records"

KEYS = (
    Key("path", doc="directory of the journal, as of `journalctl --directory`; empty: this machine's"),
    Key("max_fields", "int", "8000", "of an entry with more fields the others are left out, and counted"),
    Key("max_entries", "int", "5000", "so many are handed over at once"),
    Key("systemd_filter", doc="`FIELD=VALUE`: only entries that have it (`_SYSTEMD_UNIT=kubelet.service`)", multi=True),
    Key("systemd_filter_type", default="or", doc="with several: those that have one of them, or (`and`) all of them",
        choices=("or", "and")),
    Key("read_from_tail", "bool", "off", "at the very first start only what comes from then on"),
    Key("lowercase", "bool", "off", "names of fields in small letters"),
    Key("strip_underscores", "bool", "off", "names of fields without their first underscore"),
    Key("db", doc=_DB),
    Key("db.sync", doc=_DB),
    Key("tag", doc="`*` stands for the entry's unit (`_SYSTEMD_UNIT`), or `unknown`; empty: `systemd.N`"),
    Key("journalctl", default="journalctl", doc="how to call it; in a container perhaps `chroot /host journalctl`, to "
        "have the node's own"),
    Key("exit_on_eof", "bool", "off", "ends at the journal's end"),
    Key("cluster", default="default", doc="name in the store"),
)  # fmt: skip

_MATCH = re.compile(r"([A-Z_][A-Z0-9_]*)=(.*)", re.DOTALL)
_BLOCK = 256 * 1024
#: position before the first entry: the very first start is over, and there is no cursor yet
_HEAD = b"0"
#: seconds between two looks at a journal that is empty, and the longest wait after an error
_LOOK = 1.0
_LONGEST = 30.0


class Systemd:
    """Follows the journal until cancelled."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("systemd", options, KEYS)
        self._path, self._tag, self._cluster = opts.text("path"), opts.text("tag"), opts.text("cluster")
        self.name = opts.text("alias") or f"systemd/{self._cluster}/{self._path}/{self._tag}"
        self._matches = [_match(line.strip()) for line in opts.lines("systemd_filter")]
        self._all = opts.choice("systemd_filter_type") == "and"
        self._from_tail = opts.flag("read_from_tail")
        self._lower, self._strip = opts.flag("lowercase"), opts.flag("strip_underscores")
        self._most_fields, self._most_entries = opts.number("max_fields"), max(1, opts.number("max_entries"))
        self._program = shlex.split(opts.text("journalctl"))
        self._ends = opts.flag("exit_on_eof")
        self._chunks = RecordChunks("systemd", self._tag, cluster=self._cluster, keyed=keyed)
        self._cursor = ""
        self._state, self._last_error = "starting", ""
        self._counts = {"records": 0, "duplicates": 0, "filtered": 0, "discarded_fields": 0, "restarts": 0}
        self._last_us = 0

    def health(self) -> Mapping[str, object]:
        return {"state": self._state, **self._counts, "last_record_us": self._last_us, "last_error": self._last_error}

    async def run(self, sink: Sink) -> None:
        self._check()
        await self._begin(sink)
        wait = _LOOK
        while True:
            self._state = "reading"
            before = self._cursor
            failed = await self._read(sink)
            if not failed and self._ends:
                self._state = "ended"
                return
            if self._cursor != before:
                wait = _LOOK
                if not failed:
                    continue  # the beginning has been read; now there is a cursor to follow from
            self._told(failed)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST) if failed else _LOOK

    def _check(self) -> None:
        if not self._program or shutil.which(self._program[0]) is None:
            raise UsageError(
                f"systemd: 'journalctl' {' '.join(self._program)!r} is not there; it is in package systemd"
            )
        if self._path and not Path(self._path).is_dir() and len(self._program) == 1:
            raise UsageError(f"systemd: 'path' {self._path} is no directory")

    async def _begin(self, sink: Sink) -> None:
        saved = await sink.position(self.name)
        if saved is None and self._from_tail:
            async for entries in self._entries(["--lines=1"], []):
                self._cursor = entries[-1].cursor if entries else self._cursor
            saved = self._cursor.encode() or _HEAD
            await sink.put(Batch([], {self.name: saved}))
        self._cursor = "" if saved in (None, _HEAD) else (saved or b"").decode()

    def _told(self, error: str) -> None:
        """Once per incident."""
        if error and error != self._last_error:
            _log.warning("%s: %s; trying again", self.name, error)
        self._counts["restarts"] += bool(error)
        self._state, self._last_error = ("waiting" if error else "reading"), error

    # --- one run of journalctl ---------------------------------------------------------------------------------------

    async def _read(self, sink: Sink) -> str:
        """Hands over entries until journalctl ends; returns what it said if that was an error."""
        known = self._cursor
        where = [f"--cursor={known}"] if known else []
        # without a cursor, following would be about the current boot only
        follow = ["--follow", "--lines=all"] if known and not self._ends else []
        try:
            async for entries in self._entries([*where, *follow], self._arguments()):
                if known and entries and entries[0].cursor == known:
                    entries = entries[1:]
                known = "" if entries else known
                for at in range(0, len(entries), self._most_entries):
                    await self._put(sink, entries[at : at + self._most_entries])
        except _Failed as e:
            if "seek to cursor" in str(e):
                _log.error("%s: the journal does not know %r any more: from its beginning", self.name, self._cursor)
                self._cursor = ""
            return str(e)
        return "journalctl ended" if follow else ""

    def _arguments(self) -> list[str]:
        """The filter as journalctl takes it: of one field's values any, of several fields all; `+` is or."""
        matches = [f"{name}={value}" for name, value in self._matches]
        return matches if self._all else [word for match in matches for word in ("+", match)][1:]

    async def _entries(self, options: Sequence[str], arguments: Sequence[str]) -> AsyncIterator[list[Entry]]:
        """Entries as they come. Raises _Failed with what journalctl said when it ends with an error."""
        directory = [f"--directory={self._path}"] if self._path else []
        process = await asyncio.create_subprocess_exec(
            *self._program, "--output=export", "--no-pager", "--quiet", *directory, *options, "--", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"}, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        said = asyncio.ensure_future(process.stderr.read())
        reader = ExportReader()
        try:
            while block := await process.stdout.read(_BLOCK):
                yield reader.feed(block)
            code = await process.wait()
            text = (await said).decode("utf-8", "replace").strip()
            if code:
                raise _Failed(text.splitlines()[-1] if text else f"journalctl ended with {code}")
        finally:
            said.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    # --- what it wrote -----------------------------------------------------------------------------------------------

    async def _put(self, sink: Sink, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self._all and not set(self._matches) <= {(name, text_of(value)) for name, value in entry.fields}:
                self._counts["filtered"] += 1
                continue
            key = hashlib.blake2b(f"{self._cluster}\0{entry.cursor}".encode(), digest_size=KEY_BYTES).digest()
            self._chunks.add(json_of(self._record(entry)), entry.us * 1000, tag=self._tag_of(entry), key=key)
        taken = await sink.put(Batch(self._chunks.take(), {self.name: entries[-1].cursor.encode()}))
        self._cursor = entries[-1].cursor
        self._last_us = entries[-1].us
        self._counts["records"] += taken.stored
        self._counts["duplicates"] += taken.duplicates
        self._state, self._last_error = "reading", ""

    def _record(self, entry: Entry) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, value in entry.fields:
            if self._strip:
                name = name.removeprefix("_")
            if self._lower:
                name = name.lower()
            if name in record:
                before = record[name]
                record[name] = [*(before if isinstance(before, list) else [before]), text_of(value)]
            elif len(record) < self._most_fields:
                record[name] = text_of(value)
            else:
                self._counts["discarded_fields"] += 1
        return record

    def _tag_of(self, entry: Entry) -> str:
        if "*" not in self._tag:
            return self._tag
        unit = next((text_of(value) for name, value in entry.fields if name == "_SYSTEMD_UNIT"), "unknown")
        return self._tag.replace("*", unit, 1)


class _Failed(Exception):
    """What journalctl said."""


def _match(text: str) -> tuple[str, str]:
    """Nothing but a match: no option of journalctl."""
    found = _MATCH.fullmatch(text)
    if found is None:
        raise UsageError(f"systemd: 'systemd_filter' is {text!r}; it takes FIELD=VALUE")
    return found[1], found[2]
