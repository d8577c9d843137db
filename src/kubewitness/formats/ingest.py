"""From bytes to chunks: the one way in for records, used by the live inputs and by `import`.

Each record is decoded once: that checks it, gives its identity (key) and says whether it must be redacted. A block
in which nothing is odd becomes a chunk as it is, without a copy. What cannot be understood goes to table "rejects"
with its file, offset and reason, capped, and without what may be secret.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TypeAlias

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import admission, audit, depth, envelopes, events, logs, objects, redact
from kubewitness.formats.audit import AuditEvent, Outline
from kubewitness.formats.found import Found
from kubewitness.formats.sniff import sniff
from kubewitness.formats.split import split_audit
from kubewitness.record import Chunk, ChunkBuilder, Note

_Decoded: TypeAlias = AuditEvent | Outline

#: a reject is kept up to this many bytes
REJECT_LIMIT = 64 * 1024
#: a line longer than this is not read as a record (bytes)
LINE_LIMIT = 16 * 1024 * 1024
#: items of a webhook's body that make one chunk, when nothing is odd among them
_BODY_ITEMS = 256


class Ingest:
    """Makes chunks of one cluster and one source. Not for use by several threads at once.

    `redact_key`: the state's key for digests. `keyed` False gives chunks without identities (for pass-through:
    nothing recognises a repeat). `only`: names of tables; records of others are rejected. `keep_decoded`: chunks carry
    their audit events decoded, for a store in the same process.
    Counters: `read` records and `rejected` ones, `bytes` taken, `kinds` by what the records came in.
    """

    def __init__(
        self,
        cluster: str = "default",
        source: str = "",
        redact_key: bytes = b"",
        *,
        keyed: bool = True,
        tag: str = "",
        only: frozenset[str] = frozenset(),
    ) -> None:
        self.cluster = cluster
        self.source = source
        self.keyed = keyed
        self.tag = tag
        self.only = only
        self.keep_decoded = False
        #: what the file being read is known by, whatever its name; its name stands in when empty
        self.fingerprint = ""
        #: microseconds UTC that stand in for the arrival of records without a time of their own: a file's last change
        #: is nearer to them than its import, and the same when it is imported again; 0: the true arrival
        self.fallback_us = 0
        #: the arrival of an admission review, which has no exact time of its own, if it has waited since; else 0
        self.arrived_us = 0
        self.read = 0
        self.rejected = 0
        self.bytes = 0
        self.kinds: Counter[str] = Counter()
        self._key = redact_key
        self._builders: dict[tuple[str, str, bool], ChunkBuilder] = {}
        self._done: list[Chunk] = []
        self._us = 0
        self._original = b""  # the original of the record at hand, if only a part of it is kept

    def feed(self, block: bytes, *, file: str = "", offset: int = 0, lines: list[bytes] | None = None) -> list[Chunk]:
        """The chunks of a block of whole lines (the last newline may be missing), audit events above all.

        `offset`: of the block's first byte in `file`. `lines`: `block.split(b"\n")`, from whoever has it.
        Everything in the block is in the chunks returned: a position after it may be committed with them.
        """
        self._us = _now_us()
        if not block:
            return []
        if lines is None:
            lines = block.split(b"\n")
        if lines[-1]:
            block += b"\n"
        else:
            lines.pop()
        if b"\r" in block and b"\r\n" in block:  # one byte is found many times faster than two
            return self._line_by_line(lines, file, offset)
        decoded = self._plain(lines)
        if decoded is None:
            return self._line_by_line(lines, file, offset)
        return [self._plain_chunk(block, lines, decoded, lines=True)]

    def feed_body(self, body: bytes, *, file: str = "") -> list[Chunk]:
        """The chunks of an audit webhook's body. Broken items are rejected one by one, the others kept."""
        self._us = _now_us()
        items, bad = split_audit(body)
        for start in range(0, len(items), _BODY_ITEMS):
            group = items[start : start + _BODY_ITEMS]
            decoded = self._plain(group)
            if decoded is not None:
                self._done.append(self._plain_chunk(b"\n".join((*group, b"")), group, decoded))
                continue
            for item in group:
                self._audit_or_any(item, file, -1)
        wary = bool(bad) and redact.mentions_secrets(body)
        for part in bad:
            self._reject(part.raw, part.reason, file, part.offset, part.length, wary=wary)
        return self.take()

    def _plain(self, records: list[bytes]) -> Sequence[_Decoded] | None:
        """The records decoded, if they are audit events of which none needs to be looked at alone.

        What an outline passes over is not checked to be UTF-8; plain ASCII needs no check.
        """
        outline, whole = audit.outline_decode, audit.strict_decode
        decoded: list[_Decoded]
        try:
            if self.keep_decoded:
                decoded = [whole(record) for record in records]
            else:
                decoded = [outline(record) if record.isascii() else whole(record) for record in records]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if (self.only and "audit" not in self.only) or any(map(_needs_care, decoded)):
            return None
        return decoded

    def _plain_chunk(
        self, block: bytes, records: list[bytes], decoded: Sequence[_Decoded], *, lines: bool = False
    ) -> Chunk:
        """One chunk of plain audit events; `block` is the records, each with a newline after it."""
        self._count("audit", len(records), len(block))
        return Chunk(
            "audit",
            data=block,
            ends=array("I", accumulate(map(len, records), lambda end, length: end + 1 + length)),
            keys=self._keys(decoded),
            cluster=self.cluster,
            source=self.source,
            tag=self.tag,
            received_us=self._us,
            lines=lines,
            decoded=decoded if self.keep_decoded else None,
        )

    def add(self, found: Found, *, file: str = "", offset: int = -1, event: AuditEvent | None = None) -> None:
        """One record whose table is known (see `formats.sniff`); it is in the chunks of the next `take`.

        `event`: the record, if it is an audit event and was decoded already.
        """
        self._us = self._us or _now_us()
        try:
            if self.only and found.table and found.table not in self.only and found.table != "rejects":
                raise Malformed(f"a record of table {found.table}; asked for: {', '.join(sorted(self.only))}")
            self._original = found.whole
            try:
                self._add(found, file, offset, event)
            except RecursionError:
                self._original = found.whole or found.raw
                cut = found._replace(raw=depth.shallow(found.raw), flags=(*found.flags, depth.FLAG))
                self._add(cut, file, offset, None)
        except (Malformed, msgspec.MsgspecError, ValueError) as e:
            # also where only a part is looked into and that part turns out to be no text
            self._reject(found.raw, str(e), file, offset, len(found.raw))
        finally:
            self._original = b""

    def add_any(self, raw: bytes, *, file: str = "", offset: int = -1, flags: tuple[str, ...] = ()) -> None:
        """One JSON value of unknown kind: all records in it; they are in the chunks of the next `take`."""
        self._us = self._us or _now_us()
        self._audit_or_any(raw, file, offset, flags)

    def add_reject(self, raw: bytes, reason: str, *, file: str = "", offset: int = -1, length: int = -1) -> None:
        """Bytes that are no record. `length` is how many there were when `raw` is only their beginning."""
        self._us = self._us or _now_us()
        self._reject(raw, reason, file, offset, length if length >= 0 else len(raw))

    def take(self) -> list[Chunk]:
        """The chunks of everything added so far."""
        for builder in self._builders.values():
            if len(builder):
                self._done.append(builder.take())
        done, self._done = self._done, []
        self._us = 0
        return done

    @property
    def pending(self) -> bool:
        """Whether complete chunks wait for `take`."""
        return bool(self._done)

    def _line_by_line(self, lines: list[bytes], file: str, offset: int) -> list[Chunk]:
        for line in lines:
            if line.strip():
                self._audit_or_any(line.removesuffix(b"\r"), file, offset)
            offset += len(line) + 1
        return self.take()

    def _audit_or_any(self, raw: bytes, file: str, offset: int, flags: tuple[str, ...] = ()) -> None:
        try:
            event = audit.strict_decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._any(raw, file, offset, flags)
        else:
            self.add(Found("audit", raw, "audit", flags=flags), file=file, offset=offset, event=event)

    def _any(self, raw: bytes, file: str, offset: int, flags: tuple[str, ...]) -> None:
        try:
            records = sniff(raw)
        except Malformed as e:
            self._reject(raw, str(e), file, offset, len(raw))
            return
        for found in records:
            self.add(found._replace(flags=(*found.flags, *flags)) if flags else found, file=file, offset=offset)

    def _add(self, found: Found, file: str, offset: int, event: AuditEvent | None) -> None:
        raw, flags = found.raw, found.flags
        if found.table == "audit":
            if event is None:
                event = envelopes.decode_audit(found.form, raw)
            self._audit(event, raw, found.form, found.how, file, offset, flags)
        elif found.table == "events":
            self._event(found, file, offset)
        elif found.table == "objects":
            self._object(found, file, offset)
        elif found.table == "admission":
            self._admission(found, file, offset)
        elif found.table == "logs":
            self._log(found, file, offset)
        elif found.table == "rejects":
            self._reject(raw, found.reason, file, offset, len(raw))
        else:
            self.kinds[found.how] += 1  # a bookmark, a control message: nothing happened

    def _audit(
        self, event: AuditEvent, raw: bytes, form: str, how: str, file: str, offset: int, flags: tuple[str, ...]
    ) -> None:
        if not event.auditID:
            raise Malformed("not an audit Event: auditID is empty")
        clean = _REDACT[form](event, raw, self._key) if form or redact.is_sensitive(event) else None
        if not event.stageTimestamp and not event.timestamp and not event.requestReceivedTimestamp:
            flags = (*flags, _ARRIVAL)
        identity = audit.identity(self.cluster, event) if self.keyed else b""
        self._put("audit", form, raw, identity, clean, how, Note(flags=flags, file=file if flags else ""))

    def _event(self, found: Found, file: str, offset: int) -> None:
        event = events.decode(found.raw)
        flags = found.flags if events.best_time(event)[0] else (*found.flags, _ARRIVAL)
        identity = events.identity(self.cluster, event, found.raw) if self.keyed else b""
        self._put("events", "", found.raw, identity, None, found.how, Note(change=found.change, flags=flags))

    def _object(self, found: Found, file: str, offset: int) -> None:
        version = objects.decode(found.raw)
        clean = redact.redact_object(found.raw, version.kind, self._key)
        flags = found.flags if objects.best_time(version)[0] else (*found.flags, _ARRIVAL)
        kept = clean[0] if clean else found.raw
        identity = objects.identity(self.cluster, version, kept, found.change) if self.keyed else b""
        note = Note(change=found.change, flags=flags)
        self._put("objects", "", found.raw, identity, clean, found.how, note)

    def _admission(self, found: Found, file: str, offset: int) -> None:
        review = admission.decode(found.raw)
        request = review.request
        clean = redact.redact_admission(
            found.raw, request.resource.resource or "", request.subResource or "", self._key
        )
        flags = found.flags if admission.best_time(review)[0] else (*found.flags, _ARRIVAL)
        kept = clean[0] if clean else found.raw
        identity = admission.identity(self.cluster, review, kept) if self.keyed else b""
        self._put("admission", "", found.raw, identity, clean, found.how, Note(flags=flags, arrived_us=self.arrived_us))

    def _log(self, found: Found, file: str, offset: int) -> None:
        line = logs.decode(found.form, found.raw, self.fallback_us or self._us)
        flags = found.flags if line.us else (*found.flags, _ARRIVAL)
        identity = logs.identity(self.cluster, self.fingerprint or file, offset, found.raw) if self.keyed else b""
        note = Note(file=file, offset=offset, flags=flags)
        self._put("logs", found.form, found.raw, identity, None, found.how, note)

    def _put(
        self,
        table: str,
        form: str,
        raw: bytes,
        identity: bytes,
        clean: tuple[bytes, str] | None,
        how: str,
        note: Note,
    ) -> None:
        self._count(how, 1, len(raw))
        if clean is not None:
            raw, note.digest = clean
            note.redacted = True
        if self._original:
            note.digest, note.redacted = redact.digest(self._original, self._key), True
        timeless = bool(self.fallback_us) and (table == "rejects" or form == "klog" or _ARRIVAL in note.flags)
        builder = self._builders.get((table, form, timeless))
        if builder is None:
            builder = self._builders[table, form, timeless] = ChunkBuilder(
                table, cluster=self.cluster, source=self.source, tag=self.tag, form=form
            )
        if not len(builder):
            builder.received_us = self.fallback_us if timeless else self._us
        builder.add(raw, identity, None if note == _NO_NOTE else note)
        if builder.full:
            self._done.append(builder.take())

    def _reject(self, raw: bytes, reason: str, file: str, offset: int, length: int, *, wary: bool = False) -> None:
        self.rejected += 1
        cut = redact.cut_reject(raw, self._key, REJECT_LIMIT, wary=wary)
        if cut is None and length > len(raw):
            cut = raw, redact.digest(raw, self._key)
        kept = raw if cut is None else cut[0]
        if cut is not None:
            reason = f"{reason} ({len(kept)} of {length} bytes are kept)"
        note = Note(reason=reason, file=file, offset=offset)
        # the same bytes at the same place are the same reject when a file is read again
        place = (self.fingerprint or file, str(offset), redact.digest(raw, self._key), reason)
        identity = redact.reject_key(self.cluster, *place) if self.keyed else b""
        self._put("rejects", "", raw, identity, cut, "rejects", note)

    def _count(self, how: str, records: int, size: int) -> None:
        self.read += records
        self.bytes += size
        self.kinds[how] += records

    def _keys(self, decoded: Iterable[_Decoded]) -> bytes:
        if not self.keyed:
            return b""
        cluster, identity = self.cluster, audit.identity
        return b"".join([identity(cluster, event) for event in decoded])


#: the name under which the audit inputs know it
AuditIngest = Ingest

_NO_NOTE = Note()
#: the flag of a record whose time is that of its arrival
_ARRIVAL = "time-from-arrival"
_REDACT = {"": redact.redact_audit, "gke": redact.redact_gke, "aks": redact.redact_aks}


def _needs_care(event: _Decoded) -> bool:
    """Whether a decoded audit event must be looked at alone: redaction, no time, no ID."""
    return not event.stageTimestamp or not event.auditID or redact.is_sensitive(event)


def _now_us() -> int:
    return time.time_ns() // 1000
