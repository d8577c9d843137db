"""Outputs `webhook` and `alertmanager`: what is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.alertmanager import AlertmanagerOutput
from kubewitness.outputs.webhook import WebhookOutput
from kubewitness.record import Chunk
from tests.journal.helpers import chunk
from tests.outputs.far_side import FarSide
from tests.outputs.sides import AlertmanagerSide

pytestmark = pytest.mark.timeout(30)

EVENT = (
    b'{"metadata":{"name":"web-1.17a","namespace":"shop"},"involvedObject":{"kind":"Pod","namespace":"shop",'
    b'"name":"web-1"},"reason":"BackOff","message":"Back-off","type":"Warning","lastTimestamp":"2026-11-22T19:26:05Z"}'
)
FINDING = (
    b'{"rule":"secret-read","when":"2026-11-22T19:26:05.5Z","severity":"high","title":"A secret was read",'
    b'"actor":"alice","kind":"Secret","namespace":"shop","name":"db","evidence":["audit:c/1/x"],"summary":"By hand."}'
)


class Receiver(FarSide):
    """Takes any JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[Any] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        self.bodies.append((request.method, request.path_qs, json.loads(body)))
        return web.Response()


def records(table: str, *raw: bytes) -> Chunk:
    return chunk(raw, table)


async def sent(table: str, *raw: bytes, **keys: str) -> list[Any]:
    async with Receiver() as side:
        output = WebhookOutput({"endpoint": f"http://127.0.0.1:{side.port}/hook?a=b", **keys})
        await output.write([Delivery(1, records(table, *raw))])
        await output.close()
        return side.bodies


async def test_without_a_layout_the_record_is_the_document() -> None:
    assert await sent("events", EVENT) == [("POST", "/hook?a=b", json.loads(EVENT))]


async def test_a_layout_of_kubernetes_event_exporter_is_taken_as_it_is() -> None:
    layout = """
      message: "{{ .Message }}"
      reason: "{{ .Reason }}"
      namespace: "{{ .Namespace }}"
      object: "{{ .InvolvedObject.Kind }}|{{ .InvolvedObject.Name }}"
      createdAt: "{{ .GetTimestampISO8601 }}"
      all: "{{ toJson .InvolvedObject }}"
    """
    ((method, _, document),) = await sent("events", EVENT, layout=layout, http_method="PUT")
    assert method == "PUT"
    assert document == {
        "message": "Back-off", "reason": "BackOff", "namespace": "shop", "object": "Pod|web-1",
        "createdAt": "2026-11-22T19:26:05.000000Z", "all": '{"kind":"Pod","namespace":"shop","name":"web-1"}',
    }  # fmt: skip


async def test_several_records_a_request_are_an_array() -> None:
    bodies = await sent("events", EVENT, EVENT, EVENT, layout='{"r": "{{ .Reason }}"}', records_per_request="2")
    assert [body for _, _, body in bodies] == [[{"r": "BackOff"}] * 2, [{"r": "BackOff"}]]


async def test_an_address_that_is_a_secret_is_in_no_message(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("http://127.0.0.1:1/s3cret\n")
    output = WebhookOutput({"endpoint_file": str(tmp_path / "hook")})
    with pytest.raises(Retry) as told:
        await output.write([Delivery(1, records("events", EVENT))])
    await output.close()
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "'endpoint' is not an address"),
        ({"endpoint": "hooks/x"}, "'endpoint' is not an address"),
        ({"endpoint": "http://h/", "layout": "{"}, "'layout' is neither YAML nor JSON"),
        ({"endpoint": "http://h/", "layout": "text"}, "'layout' takes an object"),
        ({"endpoint": "http://h/", "layout": "{a: '{{ range . }}'}"}, "there is no 'range' here"),
    ],
)
def test_keys_of_webhook_are_checked_before_anything_runs(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as told:
        WebhookOutput(keys)
    assert said in str(told.value)


async def alerts(table: str, *raw: bytes, **keys: str) -> list[dict[str, Any]]:
    async with AlertmanagerSide() as side:
        output = AlertmanagerOutput({"port": str(side.port), **keys})
        await output.write([Delivery(1, records(table, *raw))])
        await output.close()
        assert side.wrong == []
        return list(side.alerts.values())


async def test_a_finding_is_an_alert_called_by_its_rule() -> None:
    (alert,) = await alerts("findings", FINDING, generator_url="https://kw.example.com/?q={{ .Rule }}")
    assert alert == {
        "labels": {"alertname": "secret-read", "cluster": "default", "severity": "high", "namespace": "shop",
                   "kind": "Secret", "name": "db", "actor": "alice"},
        "annotations": {"summary": "A secret was read", "description": "By hand."},
        "startsAt": "2026-11-22T19:26:05.500000Z",
        "generatorURL": "https://kw.example.com/?q=secret-read",
    }  # fmt: skip


async def test_alerts_go_to_the_path_asked_for() -> None:
    class Elsewhere(AlertmanagerSide):
        def take(self, request: web.Request, body: bytes) -> web.Response:
            return web.Response(status=200 if request.path == "/am/api/v2/alerts" else 404)

    async with Elsewhere() as side:
        output = AlertmanagerOutput({"port": str(side.port), "uri": "/am/api/v2/alerts"})
        await output.write([Delivery(1, records("findings", FINDING))])
        await output.close()


async def test_an_event_is_an_alert_called_by_its_reason_with_what_the_user_adds_and_leaves_out() -> None:
    label = "team {{ .InvolvedObject.Namespace | upper }}\nname\nseverity page"
    (alert,) = await alerts(
        "events", EVENT, label=label, annotation="runbook https://r/{{ .Reason }}", resolve_after="1h"
    )
    assert alert["labels"] == {
        "alertname": "BackOff", "cluster": "default", "severity": "page", "namespace": "shop", "kind": "Pod",
        "team": "SHOP",
    }  # fmt: skip
    assert alert["annotations"] == {"summary": "Back-off", "runbook": "https://r/BackOff"}
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-11-22T19:26:05.000000Z", "2026-11-22T20:26:05.000000Z")


async def test_records_that_say_the_same_are_one_alert_and_one_without_a_name_has_its_tags() -> None:
    assert len(await alerts("events", EVENT, EVENT, alerts_per_request="1")) == 1
    (alert,) = await alerts("audit", b'{"user":{"username":"bob"}}')
    assert alert["labels"] == {"alertname": "audit", "cluster": "default", "actor": "bob"}
    (alert,) = await alerts("logs", b"out of memory")
    assert (alert["labels"]["alertname"], alert["annotations"]) == ("logs", {"summary": '{"log":"out of memory"}'})


def test_keys_of_alertmanager_are_checked_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="'label' takes a name, a space and a value; 'a-b' is no name"):
        AlertmanagerOutput({"label": "a-b c"})
    with pytest.raises(UsageError, match="alertname needs a value"):
        AlertmanagerOutput({"label": "alertname"})
    with pytest.raises(UsageError, match="there is no 'end' here"):
        AlertmanagerOutput({"annotation": "x {{ end }}"})
