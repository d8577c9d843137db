"""Values of Secrets and tokens never get into a chunk, whatever way they come; keys and everything else stay."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from kubewitness.formats.ingest import Ingest
from kubewitness.record import Chunk
from tests.formats.records import KEY, aks_row, audit_event, dumps, gke_entry, pod, review

SECRET = "hunter2-and-more"
ENCODED = base64.b64encode(SECRET.encode()).decode()
REF = {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"}


def secret(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "db", "namespace": "shop", "uid": "s-1", "resourceVersion": "7"},
        "type": "Opaque",
        "data": {"password": ENCODED},
        **fields,
    }


def ingest(record: object) -> tuple[str, Chunk]:
    """The record's bytes and chunk after one pass."""
    (chunk,) = Ingest("default", "test", KEY).feed(dumps(record))
    return next(chunk.records()).decode(), chunk


def without(field: str, record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k != field}


APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(secret()) + "\n"}
LIST = {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": [without("kind", secret())]}
TABLE = {
    "kind": "Table",
    "columnDefinitions": [],
    "rows": [{"cells": ["db"], "object": {"kind": "PartialObjectMetadata", "metadata": {"annotations": APPLIED}}}],
}

BODIES: dict[str, Any] = {
    "a created Secret": {"requestObject": secret(), "responseObject": secret()},
    "stringData": {"requestObject": secret(stringData={"password": SECRET})},
    "last-applied annotation": {"responseObject": secret(metadata={"name": "db", "annotations": APPLIED})},
    "annotation of another tool": {
        "responseObject": secret(metadata={"annotations": {"kapp.k14s.io/original": json.dumps(secret())}})
    },
    "a list": {"responseObject": LIST},
    "a table": {"responseObject": TABLE},
    "a table with objects": {"responseObject": {"kind": "Table", "rows": [{"object": secret()}]}},
    "a merge patch": {"requestObject": {"data": {"password": ENCODED, "old": None}}},
    "a strategic patch": {"requestObject": {"data": {"$patch": "replace", "password": ENCODED}}},
    "a JSON patch of a key": {"requestObject": [{"op": "replace", "path": "/data/password", "value": ENCODED}]},
    "a JSON patch of data": {"requestObject": [{"op": "add", "path": "/data", "value": {"password": ENCODED}}]},
    "a JSON patch of all": {"requestObject": [{"op": "replace", "path": "", "value": secret()}]},
    "a JSON patch that tests": {"requestObject": [{"op": "test", "path": "/stringData/password", "value": SECRET}]},
    "a JSON patch of the annotation": {
        "requestObject": [
            {
                "op": "add",
                "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
                "value": json.dumps(secret()),
            }
        ]
    },
    "a JSON patch of all annotations": {
        "requestObject": [{"op": "add", "path": "/metadata/annotations", "value": APPLIED}]
    },
    "a patch as text": {"requestObject": f"data:\n  password: {ENCODED}\n"},
    "an error that quotes the body": {
        "responseStatus": {
            "code": 400,
            "message": f"illegal base64 data at input byte 4, error found in #10 byte of ...|{SECRET}|...",
        },
        "responseObject": {"kind": "Status", "message": f"bigger context ...|{ENCODED}|..."},
    },
}


@pytest.mark.parametrize("bodies", BODIES.values(), ids=BODIES.keys())
def test_a_secrets_values_are_replaced_in(bodies: dict[str, Any]) -> None:
    text, chunk = ingest(audit_event(level="RequestResponse", verb="patch", objectRef=REF, **bodies))
    assert SECRET not in text
    assert ENCODED not in text
    assert "REDACTED" in text
    assert chunk.table == "audit"
    assert chunk.notes[0].redacted
    assert len(chunk.notes[0].digest) == 32
    assert json.loads(text)["user"] == audit_event()["user"]


def test_keys_types_and_removals_stay_readable() -> None:
    patch = {"data": {"password": ENCODED, "gone": None}, "metadata": {"labels": {"a": "b"}}}
    text, _ = ingest(audit_event(objectRef=REF, requestObject=patch, responseObject=secret()))
    record = json.loads(text)
    assert record["requestObject"] == {
        "data": {"password": "REDACTED", "gone": None},
        "metadata": {"labels": {"a": "b"}},
    }
    assert record["responseObject"]["type"] == "Opaque"
    assert record["responseObject"]["data"] == {"password": "REDACTED"}


def test_a_secret_is_found_by_its_kind_where_the_resource_does_not_tell() -> None:
    event = audit_event(objectRef=None, responseObject={"kind": "List", "items": [pod(), secret()]})
    text, _ = ingest(event)
    assert ENCODED not in text
    assert "web-1" in text


@pytest.mark.parametrize(
    ("ref", "field", "body"),
    [
        (
            {"resource": "serviceaccounts", "subresource": "token", "namespace": "shop", "name": "web"},
            "responseObject",
            {"kind": "TokenRequest", "spec": {"audiences": ["a"]}, "status": {"token": SECRET}},
        ),
        (
            {"resource": "tokenreviews", "apiGroup": "authentication.k8s.io"},
            "requestObject",
            {"kind": "TokenReview", "spec": {"token": SECRET}},
        ),
    ],
)
def test_tokens_are_replaced(ref: dict[str, str], field: str, body: dict[str, Any]) -> None:
    text, _ = ingest(audit_event(objectRef=ref, verb="create") | {field: body})
    assert SECRET not in text
    assert json.loads(text)[field]["kind"] == body["kind"]


def test_other_records_keep_their_exact_bytes() -> None:
    for event in (
        audit_event(objectRef=REF),  # level Metadata: no body
        audit_event(responseObject={**pod(), "data": {"a": "b"}}),
        audit_event(objectRef={"resource": "configmaps"}, responseObject={"kind": "ConfigMap", "data": {"a": "b"}}),
        audit_event(objectRef=REF, responseObject={"kind": "Status", "message": 'secrets "db" not found'}),
    ):
        text, chunk = ingest(event)
        assert text.encode() == dumps(event)
        assert chunk.notes == {}


def test_the_digest_tells_equal_from_different_and_needs_the_key() -> None:
    event = audit_event(objectRef=REF, responseObject=secret())
    other = audit_event(objectRef=REF, responseObject=secret(data={"password": "b3RoZXI="}))

    def digest(record: object, key: bytes) -> str:
        (chunk,) = Ingest("default", "test", key).feed(dumps(record))
        return chunk.notes[0].digest

    assert digest(event, KEY) == digest(event, KEY) != digest(other, KEY)
    assert digest(event, KEY) != digest(event, b"another key")


def test_objects_reviews_and_clouds_are_redacted_too() -> None:
    watch = {"type": "ADDED", "object": secret(metadata={"name": "db", "uid": "u", "annotations": APPLIED})}
    admission = review("CREATE")
    admission["request"].update(resource={"group": "", "version": "v1", "resource": "secrets"}, object=secret())
    gke = gke_entry(
        methodName="io.k8s.core.v1.secrets.create",
        resourceName="core/v1/namespaces/shop/secrets/db",
        request={"@type": "core.k8s.io/v1.Secret", **without("kind", secret())},
    )
    aks = aks_row(
        ObjectRef='{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"}',
        RequestObject=json.dumps(secret()),
        ResponseObject=secret(),
    )
    for table, record in (("objects", watch), ("admission", admission), ("audit", gke), ("audit", aks)):
        text, chunk = ingest(record)
        assert chunk.table == table
        assert SECRET not in text
        assert ENCODED not in text
        assert "REDACTED" in text
        assert chunk.notes[0].redacted


def test_a_reject_keeps_nothing_of_a_body_that_may_be_secret() -> None:
    broken = dumps(audit_event(objectRef=REF, requestObject=secret()))[:-40] + b"}"
    (chunk,) = Ingest("default", "test", KEY).feed(broken + b"\nplain nonsense\n", file="audit.log", offset=100)
    first, second = chunk.records()
    assert chunk.table == "rejects"
    assert ENCODED.encode() not in first
    assert b"alice" in first
    assert chunk.notes[0].redacted
    assert second == b"plain nonsense"
    assert (chunk.notes[1].file, chunk.notes[1].offset) == ("audit.log", 100 + len(broken) + 1)


def test_a_piece_from_the_middle_of_a_body_keeps_nothing() -> None:
    before = dumps(audit_event(verb="patch", objectRef=REF, requestObject=[{"op": "add", "path": "/data/password"}]))
    record = before.replace(b'"/data/password"}', b'"/data/password"}]}{},{,"value":"' + ENCODED.encode() + b'"}')
    assert record != before
    for feed in (Ingest.feed, Ingest.feed_body, Ingest.add_any):
        worker = Ingest("default", "test", KEY)
        chunks = [*(feed(worker, record) or []), *worker.take()]
        assert sum(map(len, chunks))
        assert not any(ENCODED.encode() in chunk.data for chunk in chunks)


def test_a_long_reject_is_capped_and_says_so() -> None:
    (chunk,) = Ingest("default", "test", KEY).feed(b"x" * 100_000)
    assert len(next(chunk.records())) == 65_536
    assert "65536 of 100000 bytes are kept" in chunk.notes[0].reason


@pytest.mark.parametrize(
    "body",
    [
        f'{{"data":{{"password":"{ENCODED}"}},"data":{{}}}}',
        f'{{"kind":"Secret","data":{{"password":"{ENCODED}","password":null}},"kind":"Secret"}}',
    ],
)
def test_a_value_hidden_behind_a_key_given_twice_is_not_kept(body: str) -> None:
    record = dumps(audit_event(level="Request", verb="patch", objectRef=REF, requestObject="BODY"))
    (chunk,) = Ingest("default", "test", KEY).feed(record.replace(b'"BODY"', body.encode()))
    assert chunk.table == "audit"
    assert ENCODED.encode() not in chunk.data
    assert chunk.notes[0].redacted


def test_a_field_that_no_event_has_is_not_kept_beside_a_secret() -> None:
    text, _ = ingest(audit_event(objectRef=REF, requestObject={"kind": "Secret"}, data={"password": ENCODED}))
    assert ENCODED not in text
