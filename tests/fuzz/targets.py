"""What is fuzzed: each target takes any bytes, puts them beside good records, and fails if one of the promises breaks.

Promises: nothing but good input and rejects comes out, every record beside the bad bytes comes out exactly and once,
whatever was taken in is counted, and no secret is ever shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from kubewitness.errors import KubewitnessError, Malformed
from kubewitness.formats.ingest import Ingest
from kubewitness.formats.sniff import sniff
from kubewitness.inputs.kubernetes_events_watch import ListWatch, Plan
from kubewitness.kube import Resource
from kubewitness.kube.lines import LineSplitter
from kubewitness.parsers import PARSERS, parser_of
from kubewitness.parsers.library import Library
from kubewitness.parsers.multiline import Multiline
from kubewitness.parsers.multiline_rules import BUILT_IN
from kubewitness.record import TABLES, Chunk
from tests.formats.records import KEY, audit_event, core_event, dumps
from tests.fuzz.pieces import SECRETS

BEFORE, AFTER = dumps(audit_event("good-before")), dumps(audit_event("good-after"))
_EVENT_BEFORE, _EVENT_AFTER = dumps(core_event("good-1", "1001")), dumps(core_event("good-2", "1002"))
_LINE_BEFORE = b'{"type":"ADDED","object":%s}' % _EVENT_BEFORE
_LINE_AFTER = b'{"type":"MODIFIED","object":%s}' % _EVENT_AFTER
_json = msgspec.json.Decoder(msgspec.Raw)


def lines(data: bytes) -> None:
    """Bytes among the lines of an audit file."""
    worker = Ingest("c", "fuzz", KEY)
    chunks = worker.feed(BEFORE + b"\n" + data + b"\n" + AFTER + b"\n", file="audit.log")
    _accounted(worker, chunks)
    _once(chunks, "audit", BEFORE, AFTER)
    for line in data.split(b"\n"):
        whole = line.removesuffix(b"\r")
        if whole.strip() and not _is_json(whole):
            _kept(chunks, whole)


def body(data: bytes) -> None:
    """Bytes as an item of a webhook's EventList, and between bodies that follow one another."""
    for text in (
        b'{"kind":"EventList","items":[' + BEFORE + b"," + data + b"," + AFTER + b"]}",
        BEFORE + b"\n" + data + b"\n" + AFTER,
    ):
        worker = Ingest("c", "fuzz", KEY)
        chunks = worker.feed_body(text)
        _accounted(worker, chunks)
        _somewhere(chunks, BEFORE)
        # a bracket or a quote that never closes takes what follows along: that is then in the reject, not lost
        _somewhere(chunks, AFTER)


def whole_body(data: bytes) -> None:
    """Bytes as a body."""
    worker = Ingest("c", "fuzz", KEY)
    chunks = worker.feed_body(data)
    _accounted(worker, chunks)
    if data.strip(b" \t\r\n,\x1e\x0b\x0c") and not _is_json(data):
        assert sum(map(len, chunks)) or b"[" in data or b"{" in data, "a body vanished"


def watch(data: bytes) -> None:
    """Bytes in a watch's stream, which the network cuts anywhere."""
    stream = _LINE_BEFORE + b"\n" + data + b"\n" + _LINE_AFTER + b"\n"
    step = 1 + sum(data[:2]) % 700
    splitter = LineSplitter()
    found = [line for at in range(0, len(stream), step) for line in splitter.feed(stream[at : at + step])]
    assert found == [line for line in stream.split(b"\n") if line.strip()], "the lines depend on how they were cut"
    for resource in (Resource("v1", "events", "Event", True), Resource("v1", "pods", "Pod", True)):
        worker = Ingest("c", "fuzz", KEY)
        watching = ListWatch(Plan("fuzz", resource=resource), worker)
        table = "events" if resource.name == "events" else "objects"
        version, error = watching._take(found)
        chunks = worker.take()
        _accounted(worker, chunks)
        _once(chunks, table, _EVENT_BEFORE)
        if error is None:
            _once(chunks, table, _EVENT_AFTER)
            assert version == "1002", f"the watch would go on from {version}"
        else:  # the server ended it; what follows is asked for again, from a version not after it
            assert isinstance(error, KubewitnessError)
            assert version, "the watch would begin anew though a record was stored"
        for line in data.split(b"\n"):
            if error is None and line.strip() and not _is_json(line):
                _kept(chunks, line)


def any_value(data: bytes) -> None:
    """Bytes of which nothing is known, as `import` finds them."""
    try:
        for found in sniff(data):
            assert found.table in ("", *TABLES)
    except Malformed:
        pass
    worker = Ingest("c", "fuzz", KEY)
    worker.add_any(BEFORE)
    worker.add_any(data)
    worker.add_any(AFTER)
    chunks = worker.take()
    _accounted(worker, chunks)
    _once(chunks, "audit", BEFORE, AFTER)


def _secret_record(junk: bytes) -> bytes:
    """A record with a secret, and junk in it; the junk itself chooses which and where."""
    value = SECRETS[1]
    head = (
        b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a"',
        b',"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"patch"',
        b',"user":{"username":"alice"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db"}',
    )
    tail = (b',"stageTimestamp":"2026-11-22T19:26:05.038000Z"', b"}")
    bodies = (
        (b',"requestObject":{"kind":"Secret","apiVersion":"v1"', b',"data":{"password":"' + value + b'"', b"}", b"}"),
        (b',"requestObject":{', b'"stringData":{"password":"' + SECRETS[0] + b'"', b"}", b"}"),
        (b',"requestObject":[{"op":"add","path":"/data/password"', b',"value":"' + value + b'"', b"}]"),
        (b',"responseObject":{"kind":"SecretList","items":[{"data":{"p":"' + value + b'"', b"}}]", b"}"),
    )
    where = len(junk) + sum(junk[:3])
    parts = (*head, *bodies[where % 4], *tail)
    at = 1 + where // 4 % (len(parts) - 1)
    return b"".join((*parts[:at], junk, *parts[at:]))


def secrets(data: bytes) -> None:
    """Bytes anywhere in a record that holds a secret: it may become unreadable, never shown."""
    junk = data.replace(b"\n", b" ")  # half a record on a line of its own may say nothing of what it is
    # what the server itself writes says that it is a Secret; bodies are the client's, and may say anything twice
    if any(word in junk for word in (b"REDACTED", b"auditID", b"objectRef", *SECRETS)):
        return
    record = _secret_record(junk)
    for feed in (Ingest.feed, Ingest.feed_body, _fed_whole):
        worker = Ingest("c", "fuzz", KEY)
        chunks = feed(worker, record)
        _accounted(worker, chunks)
        assert sum(map(len, chunks)), "the record vanished"
        for chunk in chunks:
            shown = chunk.data + chunk.header()
            assert not any(secret in shown for secret in SECRETS), f"a secret in {chunk.table}: {record!r}"


def _fed_whole(worker: Ingest, record: bytes) -> list[Chunk]:
    worker.add_any(record)
    return worker.take()


#: of every format, with all that a section can ask for
_RICH = {
    "regex": r"^(?<time>\S*) (?<log>.*)$",
    "time_format": "%Y-%m-%dT%H:%M:%S.%L%z",
    "types": "log:integer level:bool",
    "decode_field": "json log",
    "decode_field_as": "escaped_utf8 log do_next\njson log",
}
_PARSERS = [parser_of({"name": kind, "format": kind} | _RICH, lambda: 1.8e9) for kind in PARSERS]
_MULTILINE = [Library().multiline(name) for name in BUILT_IN]


def parsers(data: bytes) -> None:
    """Bytes as a record of every parser, and their lines as those of the multiline parsers: each comes out once."""
    for parser in _PARSERS:
        parsed = parser.parse(data)
        if parsed is not None:
            assert isinstance(parsed.fields, dict)
            assert isinstance(parsed.time_ns, int | None)
    machine: Multiline[int] = Multiline(_MULTILINE, limit=1000)
    found = []
    lines = data.decode("utf-8", "backslashreplace").split("\n")
    for i, line in enumerate(lines):
        found += machine.add(line, i)
    found += machine.flush()
    assert sorted(item for record in found for item in record.items) == list(range(len(lines)))


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (lines, body, whole_body, watch, any_value, secrets, parsers)
}


# --- promises --------------------------------------------------------------------------------------------------------


def _accounted(worker: Ingest, chunks: Sequence[Chunk]) -> None:
    out = sum(map(len, chunks))
    rejects = sum(len(chunk) for chunk in chunks if chunk.table == "rejects")
    assert out == worker.read, f"{worker.read} counted, {out} came out"
    assert rejects == worker.rejected, f"{worker.rejected} rejects counted, {rejects} came out"
    for chunk in chunks:
        again = Chunk.from_parts(chunk.header(), chunk.data)
        assert list(again.records()) == list(chunk.records())
        assert len(chunk.keys) == 16 * len(chunk)


def _once(chunks: Sequence[Chunk], table: str, *records: bytes) -> None:
    out = [record for chunk in chunks if chunk.table == table for record in chunk.records()]
    for record in records:
        assert out.count(record) == 1, f"{record[:60]!r} came out {out.count(record)} times"


def _somewhere(chunks: Sequence[Chunk], record: bytes) -> None:
    """As a record of its own, or within bytes that were rejected or taken for one record."""
    for chunk in chunks:
        for i, out in enumerate(chunk.records()):
            note = chunk.notes.get(i)
            if record in out or (note is not None and (note.digest or "bytes are kept" in note.reason)):
                return
    raise AssertionError(f"{record[:60]!r} is lost")


def _kept(chunks: Sequence[Chunk], raw: bytes) -> None:
    """Bytes that nobody understands are a reject, whole or said to be cut (or a line of a log)."""
    for chunk in chunks:
        for i, out in enumerate(chunk.records()):
            note = chunk.notes.get(i)
            if out == raw or (note is not None and note.digest and raw.startswith(out)):
                return
    raise AssertionError(f"{raw[:100]!r} is lost")


def _is_json(raw: bytes) -> bool:
    try:
        _json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    except RecursionError:
        return True
    return True
