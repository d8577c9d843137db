"""What inputs are made of: real shapes to begin with, words that mean something to a reader, and a seeded mutator."""

from __future__ import annotations

import base64
import json
import random

from tests.formats.records import audit_event, core_event, dumps, gke_entry, new_event, pod, review

#: what must never come out, plain and as a Secret's data holds it
SECRET = b"hunter2-and-more"
SECRETS = (SECRET, base64.b64encode(SECRET))

_LIST = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [audit_event("s-1")]}
_STATUS = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
_BOOKMARK = {"kind": "Event", "apiVersion": "v1", "metadata": {"resourceVersion": "77", "creationTimestamp": None}}

#: inputs to begin with
SEEDS: tuple[bytes, ...] = (
    dumps(audit_event("s-2")),
    dumps(audit_event("s-3", stage="Panic", objectRef=None, user={})),
    dumps(audit_event("s-4", requestURI="/healthz", stageTimestamp="", annotations={"a": "b"})),
    dumps(core_event()),
    dumps(new_event()),
    dumps(_LIST),
    dumps([audit_event("s-5"), core_event("e-5")]),
    dumps({"type": "ADDED", "object": core_event("e-6", "7")}),
    dumps({"type": "BOOKMARK", "object": _BOOKMARK}),
    dumps({"type": "ERROR", "object": _STATUS}),
    dumps({"type": "DELETED", "object": pod()}),
    dumps(gke_entry()),
    dumps(review()),
    dumps({"log": json.dumps(audit_event("s-7")) + "\n", "stream": "stdout", "time": "2026-11-22T19:26:05.038Z"}),
    b"2026-11-22T19:26:05.038Z stdout F " + dumps(audit_event("s-8")),
    b"I1122 19:26:05.038000       1 trace.go:205] Trace",
    b'{"items":[' + b",".join((b"7", b"null", b"[]", b"{}")) + b"]}",
    b"[" * 3000,
    b'{"a":' * 1200 + b"1" + b"}" * 1200,
    b"",
    b"\xff\xfe\x00",
)

#: what makes a difference to one of the readers
WORDS: tuple[bytes, ...] = (
    *(b'"%s":' % name for name in b"""kind apiVersion items metadata auditID stage level verb user objectRef
    requestObject responseObject responseStatus object type involvedObject regarding resourceVersion uid data stringData
    annotations log records events protoPayload request stageTimestamp requestReceivedTimestamp code message
    resource subresource managedFields series count token spec status""".split()),
    *b'{ } [ ] , : " \\ \n \r\n \x00 \t \xff \xc3 0 -1 1e999 null true {} [] "" "\\ud800" "\\u0000" /**/ '.split(b" "),
    b'"ADDED"', b'"MODIFIED"', b'"DELETED"', b'"BOOKMARK"', b'"ERROR"', b'"Secret"', b'"SecretList"', b'"secrets"',
    b'"EventList"', b'"List"', b'"Table"', b'"TokenReview"', b'"Event"', b'"audit.k8s.io/v1"', b'"v1"', b'"token"',
    b'"2026-11-22T19:26:05.038000Z"', b'"0001-01-01T00:00:00Z"', b'"9999-99-99T99:99:99Z"', b'],"items":[',
    b'},"object":{', b"[" * 1500, b'{"a":' * 1500, b'"' + b"x" * 300 + b'"', b"99999999999999999999999999",
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """One input: a seed, or two spliced, with a few changes."""
    data = bytearray(rng.choice(SEEDS))
    if rng.random() < 0.2:
        other = rng.choice(SEEDS)
        data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        _change(data, rng)
    return bytes(data)


def _change(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    kind = rng.randrange(6)
    if kind == 0:
        data[at:at] = rng.choice(WORDS)
    elif kind == 1:
        del data[at : at + rng.choice((1, 1, 2, 8, 100))]
    elif kind == 2:
        data[at : at + 1] = bytes((rng.randrange(256),))
    elif kind == 3:
        data[at:] = b""
    elif kind == 4:
        data[at : at + rng.randint(1, 20)] = rng.choice(WORDS)
    else:  # something twice
        end = min(len(data), at + rng.choice((4, 30, 300)))
        data[at:at] = data[at:end]
