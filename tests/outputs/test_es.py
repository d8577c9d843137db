"""Outputs `es` and `opensearch`: what each key makes of a record, and what an item's answer means."""

from __future__ import annotations

import base64
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.es import BulkSide, EsOutput
from kubewitness.outputs.es_keys import ES_KEYS
from kubewitness.outputs.es_lines import BulkLines
from kubewitness.outputs.opensearch import OpensearchOutput
from kubewitness.record import Chunk
from tests.journal.helpers import chunk, key_of
from tests.outputs.far_side import FarSide
from tests.outputs.sides import EsSide, strict_json

pytestmark = pytest.mark.timeout(30)


def logs(*records: str, tag: str = "kube.shop", ns: int = 1_700_000_000_123_456_789) -> Chunk:
    made = chunk([r.encode() for r in records], "logs")
    made.form, made.lines, made.tag, made.times = "record", True, tag, array("q", [ns] * len(records))
    return made


def lines(record: str, **keys: str) -> list[Any]:
    """The action and the document."""
    made = BulkLines("es", Options("es", keys, ES_KEYS)).of(Delivery(1, logs(record)))
    return [strict_json(line) for line in b"".join(made).splitlines()]


def test_a_record_is_passed_through_after_its_time() -> None:
    (made,) = BulkLines("es", Options("es", {}, ES_KEYS)).of(Delivery(1, logs('{"a":  1.0,"b":"\\u00e9"}')))
    assert made == (
        b'{"create":{"_index":"fluent-bit","_type":"_doc"}}\n'
        b'{"@timestamp":"2023-11-14T22:13:20.123Z","a":  1.0,"b":"\\u00e9"}\n'
    )


@pytest.mark.parametrize(
    ("keys", "action"),
    [
        ({"suppress_type_name": "on"}, {"create": {"_index": "fluent-bit"}}),
        ({"index": "k.$TAG[1].$app", "type": "t"}, {"create": {"_index": "k.shop.web", "_type": "t"}}),
        ({"logstash_format": "on"}, {"create": {"_index": "logstash-2023.11.14", "_type": "_doc"}}),
        (
            {
                "logstash_format": "on",
                "logstash_prefix": "x",
                "logstash_prefix_separator": ".",
                "logstash_dateformat": "%Y",
            },
            {"create": {"_index": "x.2023", "_type": "_doc"}},
        ),
        (
            {"logstash_format": "on", "logstash_prefix_key": "$k['ns']"},
            {"create": {"_index": "toys-2023.11.14", "_type": "_doc"}},
        ),
        (
            {"logstash_format": "on", "logstash_prefix_key": "absent"},
            {"create": {"_index": "logstash-2023.11.14", "_type": "_doc"}},
        ),
        (
            {"id_key": "app", "write_operation": "index"},
            {"index": {"_index": "fluent-bit", "_type": "_doc", "_id": "web"}},
        ),
    ],
)
def test_index_type_and_id_are_as_the_keys_say(keys: dict[str, str], action: dict[str, Any]) -> None:
    assert lines('{"app":"web","k":{"ns":"toys"}}', **keys)[0] == action


@pytest.mark.parametrize(
    ("keys", "document"),
    [
        ({"time_key": "t", "time_key_nanos": "on"}, {"t": "2023-11-14T22:13:20.123456789Z", "a.b": {"c.d": 1}}),
        ({"time_key": "t", "time_key_format": "%H"}, {"t": "22.123Z", "a.b": {"c.d": 1}}),
        (
            {"time_key": "t", "include_tag_key": "on", "tag_key": "tag"},
            {"t": "2023-11-14T22:13:20.123Z", "tag": "kube.shop", "a.b": {"c.d": 1}},
        ),
        ({"time_key": "t", "replace_dots": "on"}, {"t": "2023-11-14T22:13:20.123Z", "a_b": {"c_d": 1}}),
    ],
)
def test_the_document_is_as_the_keys_say(keys: dict[str, str], document: dict[str, Any]) -> None:
    assert lines('{"a.b":{"c.d":1}}', **keys)[1] == document


def test_a_key_of_our_name_in_the_record_is_replaced_and_not_there_twice() -> None:
    assert lines('{"@timestamp":"yesterday","flb-key":1,"a":2}', include_tag_key="on")[1] == {
        "@timestamp": "2023-11-14T22:13:20.123Z",
        "flb-key": "kube.shop",
        "a": 2,
    }
    assert lines("{}")[1] == {"@timestamp": "2023-11-14T22:13:20.123Z"}


def test_updates_and_upserts_wrap_the_document_and_need_an_id() -> None:
    action, document = lines('{"a":"x"}', write_operation="upsert", id_key="a")
    assert (list(action), document["doc_as_upsert"], document["doc"]["a"]) == (["update"], True, "x")
    assert list(lines('{"a":"x"}', write_operation="update", id_key="a")[1]) == ["doc"]
    with pytest.raises(UsageError, match="'write_operation' update needs 'id_key'"):
        EsOutput({"write_operation": "update"})


def test_a_generated_id_is_the_records_identity_or_follows_from_its_bytes() -> None:
    meta = lines('{"a":1}', generate_id="on")[0]["create"]
    assert meta["_id"] == key_of(b'{"a":1}').hex()
    nameless = logs('{"a":1}')
    nameless.keys = b""
    bulk = BulkLines("es", Options("es", {"generate_id": "on"}, ES_KEYS))
    first, again = bulk.of(Delivery(1, nameless)), bulk.of(Delivery(9, nameless))
    assert first == again
    assert len(strict_json(first[0].splitlines()[0])["create"]["_id"]) == 32


class Items(FarSide):
    """Answers with these items."""

    def __init__(self, *items: dict[str, Any]) -> None:
        super().__init__()
        self.items = items
        self.bodies: list[bytes] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        self.bodies.append(body)
        return web.json_response({"errors": True, "items": [{"create": item} for item in self.items]})


async def test_each_items_answer_decides_for_its_record_alone() -> None:
    items: list[dict[str, Any]] = [
        {"status": 201},
        {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "there"}},
        {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "no number"}},
        {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}},
        {"status": 403, "error": {"type": "cluster_block_exception", "reason": "disk"}},
        {"status": 400, "error": {"type": "validation_exception", "reason": "maximum shards open"}},
    ]
    async with Items(*items) as side:
        output = EsOutput({"port": str(side.port)})
        with pytest.raises(Partly) as told:
            await output.write(
                [Delivery(4, logs('{"n":0}', '{"n":1}', '{"n":2}')), Delivery(5, logs('{"n":3}', '{"n":4}', '{"n":5}'))]
            )
        await output.close()
    assert [(list(r.delivery.chunk.records()), r.reason) for r in told.value.refused] == [
        ([b'{"n":2}'], "400 mapper_parsing_exception: no number")
    ]
    assert [(d.seq, list(d.chunk.records())) for d in told.value.left] == [(5, [b'{"n":3}', b'{"n":4}', b'{"n":5}'])]


@pytest.mark.parametrize("plugin", [EsOutput, OpensearchOutput])
async def test_the_index_may_be_todays_though_the_record_is_old(plugin: type[EsOutput]) -> None:
    days = []
    for today in ("off", "on"):
        async with EsSide() as side:
            output = plugin(
                {"port": str(side.port), "logstash_format": "on", "current_time_index": today, **EsSide.keys}
            )
            days.append(datetime.now(UTC))
            await output.write([Delivery(1, logs('{"n":1}'))])
            days.append(datetime.now(UTC))
            await output.close()
            assert side.wrong == []
            index = side.actions[0]["create"]["_index"]
        if today == "off":
            assert index == "logstash-2023.11.14"
    assert index in {day.strftime("logstash-%Y.%m.%d") for day in days}


@pytest.mark.parametrize("plugin", [EsOutput, OpensearchOutput])
async def test_each_refusal_may_be_told_for_itself(plugin: type[EsOutput], caplog: pytest.LogCaptureFixture) -> None:
    items = [{"status": 400, "error": {"type": "mapper_parsing_exception", "reason": f"r{n}"}} for n in range(2)]
    said = []
    for trace in ("off", "on"):
        async with Items(*items) as side:
            output = plugin({"port": str(side.port), "trace_error": trace})
            caplog.clear()
            with pytest.raises(Partly):
                await output.write([Delivery(1, logs('{"n":0}', '{"n":1}'))])
            await output.close()
            said.append([r.getMessage() for r in caplog.records if r.name.startswith("kubewitness")])
    assert said == [[], [f"{output.name}: 400 mapper_parsing_exception: r{n}" for n in range(2)]]


async def test_opensearch_may_be_told_the_type_of_documents() -> None:
    async with Items({"status": 201}) as side:
        output = OpensearchOutput({"port": str(side.port), "type": "event"})
        await output.write([Delivery(1, logs('{"n":0}'))])
        await output.close()
        assert strict_json(side.bodies[0].splitlines()[0]) == {"create": {"_index": "fluent-bit", "_type": "event"}}


@pytest.mark.parametrize(("key", "scheme"), [("http_api_key_file", "ApiKey {}"), ("cloud_auth_file", "Basic {}")])
async def test_secrets_of_files_are_read_again_when_they_change(key: str, scheme: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    async with EsSide() as side:
        output = EsOutput({"port": str(side.port), key: str(secret), **EsSide.keys})
        await output.write([Delivery(1, logs('{"n":1}'))])
        secret.write_text("the second\n")
        await output.write([Delivery(2, logs('{"n":2}'))])
        await output.close()
        sent = [request.headers["Authorization"] for request in side.requests]
    plain = [b"first", b"the second"]
    encoded = [base64.b64encode(text) if "Basic" in scheme else text for text in plain]
    assert sent == [scheme.format(text.decode()) for text in encoded]


async def test_an_answer_that_is_no_bulk_answer_delivers_nothing() -> None:
    class Login(FarSide):
        def take(self, request: web.Request, body: bytes) -> web.Response:
            return web.Response(text="<html>please log in</html>")

    async with Login() as side, Items({"status": 201}) as short:
        for port, said in ((side.port, "no bulk answer"), (short.port, "answered for 1 records")):
            output = EsOutput({"port": str(port)})
            with pytest.raises(Retry, match=said):
                await output.write([Delivery(1, logs('{"n":0}', '{"n":1}'))])
            await output.close()


async def test_a_cloud_id_stands_for_host_port_and_tls_and_keys_for_users() -> None:
    cloud = "shop:" + base64.b64encode(b"eu.example.com:9243$abc123$def456").decode()
    keys = {"cloud_id": cloud, "cloud_auth": "alice:pw", "path": "/es/", "pipeline": "p"}
    there = BulkSide("output es", "es", keys, ES_KEYS)
    assert (there._sender.base, there._path) == ("https://abc123.eu.example.com:9243", "/es/_bulk?pipeline=p")
    with pytest.raises(UsageError, match="'cloud_id' is not one"):
        EsOutput({"cloud_id": "nonsense"})
    async with EsSide() as side:
        output = EsOutput({"port": str(side.port), "http_api_key": "k3y", **EsSide.keys})
        await output.write([Delivery(1, logs('{"n":1}'))])
        await output.close()
        assert side.requests[0].headers["Authorization"] == "ApiKey k3y"
        assert list(side.documents.values()) == [{"@timestamp": "2023-11-14T22:13:20.123Z", "n": 1}]
