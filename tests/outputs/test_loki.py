"""Output `loki`: streams, labels, metadata, tenants and lines as the keys say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.outputs.loki import LokiOutput
from kubewitness.record import Chunk
from tests.outputs.sides import LokiSide
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)

RECORD = (
    '{"log":"hello \\"you\\"","n":2,"stream":"stderr",'
    '"kubernetes":{"namespace_name":"toys","labels":{"app.k8s/name":"web","9x":"y"}}}'
)
STAMP = "1700000000123456789"


async def pushed(*chunks: Chunk, **keys: str) -> tuple[list[dict[str, Any]], list[str | None]]:
    """(streams, tenants of the requests)"""
    async with LokiSide() as side:
        output = LokiOutput({"port": str(side.port), **keys})
        await output.write([Delivery(i + 1, c) for i, c in enumerate(chunks)])
        await output.close()
        assert side.wrong == []
        return side.streams, [r.headers.get("X-Scope-OrgID") for r in side.requests]


async def test_it_is_sent_where_the_uri_says() -> None:
    class Elsewhere(LokiSide):
        def take(self, request: web.Request, body: bytes) -> web.Response:
            return web.Response(status=204 if request.path == "/tenant/push" else 404)

    async with Elsewhere() as side:
        output = LokiOutput({"port": str(side.port), "uri": "/tenant/push"})
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()


async def one(**keys: str) -> tuple[dict[str, str], str, dict[str, str]]:
    """(labels, line, metadata) of one record."""
    ((stream,), _) = await pushed(logs(RECORD), **keys)
    ((stamp, line, *metadata),) = stream["values"]
    assert stamp == STAMP
    return stream["stream"], line, metadata[0] if metadata else {}


async def test_without_labels_the_job_is_the_label_and_the_line_is_the_records_bytes() -> None:
    assert await one() == ({"job": "fluent-bit"}, RECORD, {})


@pytest.mark.parametrize(
    ("keys", "labels"),
    [
        ({"labels": "job=fluentbit, ns=$kubernetes['namespace_name'], $stream"},
         {"job": "fluentbit", "ns": "toys", "stream": "stderr"}),
        ({"labels": "a=b", "label_keys": "$kubernetes['namespace_name'],$absent"},
         {"a": "b", "kubernetes_namespace_name": "toys"}),
        ({"auto_kubernetes_labels": "on"}, {"app_k8s_name": "web", "_9x": "y"}),
        ({"labels": "tag=$TAG"}, {"tag": "kube.shop"}),
    ],
)  # fmt: skip
async def test_labels_are_texts_accessors_and_the_pods_labels(keys: dict[str, str], labels: dict[str, str]) -> None:
    assert (await one(**keys))[0] == labels


async def test_a_map_file_names_labels_in_the_shape_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"kubernetes":{"namespace_name":"namespace"},"stream":"output"}')
    assert (await one(label_map_path=str(path)))[0] == {"namespace": "toys", "output": "stderr"}
    path.write_text('{"a":7}')
    with pytest.raises(UsageError, match=r"'label_map_path' .*values are labels' names"):
        LokiOutput({"label_map_path": str(path)})


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"remove_keys": "kubernetes,$n"}, '{"log":"hello \\"you\\"","stream":"stderr"}'),
        ({"remove_keys": "kubernetes,n", "labels": "s=$stream"}, '{"log":"hello \\"you\\""}'),
        ({"remove_keys": "$kubernetes['labels'],n,log", "line_format": "key_value"},
         'stream="stderr" kubernetes="map[namespace_name:"toys"]"'),
        ({"remove_keys": "kubernetes,n,stream", "drop_single_key": "on"}, '"hello \\"you\\""'),
        ({"remove_keys": "kubernetes,n,stream", "drop_single_key": "raw"}, 'hello "you"'),
        ({"remove_keys": "kubernetes,n,stream", "drop_single_key": "on", "line_format": "key_value"}, 'hello "you"'),
        ({"remove_keys": "kubernetes,log,stream", "drop_single_key": "raw"}, "2"),
    ],
)  # fmt: skip
async def test_the_line_is_what_is_left_in_the_form_asked_for(keys: dict[str, str], line: str) -> None:
    assert (await one(**keys))[1] == line


async def test_structured_metadata_stands_beside_the_line() -> None:
    keys = {
        "structured_metadata": "ns=$kubernetes['namespace_name'],$stream",
        "structured_metadata_map_keys": "$kubernetes",
    }
    assert (await one(**keys))[2] == {
        "ns": "toys",
        "stream": "stderr",
        "namespace_name": "toys",
        "labels": '{"app.k8s/name":"web","9x":"y"}',
    }


async def test_records_that_share_labels_share_a_stream_in_their_order() -> None:
    chunk = logs('{"n":1,"s":"a"}', '{"n":2,"s":"b"}', '{"n":3,"s":"a"}')
    streams, _ = await pushed(chunk, logs('{"n":4,"s":"b"}'), labels="$s")
    assert [(s["stream"], [json.loads(v[1])["n"] for v in s["values"]]) for s in streams] == [
        ({"s": "a"}, [1, 3]),
        ({"s": "b"}, [2, 4]),
    ]


async def test_each_tenant_has_its_own_request_and_none_gets_anothers_records() -> None:
    chunk = logs('{"n":1,"t":"x"}', '{"n":2,"t":"y"}', '{"n":3,"t":"x"}', '{"n":4}')
    streams, tenants = await pushed(chunk, tenant_id="rest", tenant_id_key="$t")
    assert tenants == ["x", "y", "rest"]
    assert [[json.loads(v[1])["n"] for v in s["values"]] for s in streams] == [[1, 3], [2], [4]]
    assert (await pushed(chunk, tenant_id="all"))[1] == ["all"]


def test_a_label_without_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="'labels' takes NAME=VALUE"):
        LokiOutput({"labels": "job"})
