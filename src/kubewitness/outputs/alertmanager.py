"""Output `alertmanager`: records (findings, above all) as alerts. Source: Alertmanager's API v2, `POST /api/v2/alerts`.

What an alert is about is its labels: the same labels again are the same alert, so a batch that comes twice is no
second alert, and a record that says the same as another one keeps its alert firing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.formats.times import format_us
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.http_keys import HTTP_KEYS, place
from kubewitness.outputs.http_sender import HttpSender
from kubewitness.outputs.layouts import Layout, Said
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, grouped, in_order, stamps_ns

_TEMPLATE = "a template as of output `webhook`; several by repeating the key"

KEYS = (
    *place(9093),
    Key("uri", default="/api/v2/alerts", doc="path to send to"),
    Key("label", doc="a label and its value (`team {{ .Metadata.Labels.team }}`), " + _TEMPLATE + "; added to those "
        "that a record of its kind has, or in the place of one; without a value it is left out", multi=True),
    Key("annotation", doc="an annotation and its value, likewise", multi=True),
    Key("generator_url", doc="link to where the alert comes from; a template"),
    Key("resolve_after", "seconds", "0", "seconds after the record's time at which the alert ends; 0: when "
        "Alertmanager has not heard of it for its own `resolve_timeout`"),
    Key("alerts_per_request", "int", "100", "at most"),
    Key("log_response_payload", "bool", "true", "errors quote what the far side answered"),
    compress_key("gzip"),
    *HTTP_KEYS,
)  # fmt: skip

#: what says what a record is about: table -> label or annotation -> template
_LABELS = {
    "findings": {"alertname": "{{ .Rule }}", "severity": "{{ .Severity }}", "namespace": "{{ .Namespace }}",
                 "kind": "{{ .Kind }}", "name": "{{ .Name }}", "actor": "{{ .Actor }}"},
    "events": {"alertname": "{{ .Reason }}", "severity": "{{ .Type | lower }}",
               "namespace": "{{ .InvolvedObject.Namespace }}", "kind": "{{ .InvolvedObject.Kind }}",
               "name": "{{ .InvolvedObject.Name }}"},
    "audit": {"alertname": "{{ .Verb }} {{ .ObjectRef.Resource }}", "namespace": "{{ .ObjectRef.Namespace }}",
              "name": "{{ .ObjectRef.Name }}", "actor": "{{ .User.Username }}"},
}  # fmt: skip
_ANNOTATIONS = {
    "findings": {"summary": "{{ .Title }}", "description": "{{ .Summary }}"},
    "events": {"summary": "{{ .Message }}"},
    "audit": {"summary": "{{ .RequestURI }}"},
}
_OTHER_LABELS = {"alertname": "{{ .Tag }}"}
_OTHER_ANNOTATIONS = {"summary": "{{ toJson . }}"}
_COMMON = {"cluster": "{{ .ClusterName }}"}

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_encode = msgspec.json.Encoder().encode


class AlertmanagerOutput:
    """At least once; Alertmanager makes one alert of what comes again."""

    batch_bytes = 500_000

    def __init__(self, keys: Mapping[str, str], name: str = "alertmanager") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = HttpSender(what, opts)
        self._sender.tells_answers = opts.flag("log_response_payload")
        self._uri = "/" + opts.text("uri").lstrip("/")
        self._size = opts.number("alerts_per_request") or 1
        self._lasts_us = int(opts.seconds("resolve_after") * 1e6)
        own_labels, own_annotations = (_pairs(what, key, opts.lines(key)) for key in ("label", "annotation"))
        self._labels = {t: _layouts({**_COMMON, **_LABELS[t], **own_labels}) for t in _LABELS}
        self._annotations = {t: _layouts({**_ANNOTATIONS[t], **own_annotations}) for t in _ANNOTATIONS}
        self._other = (
            _layouts({**_COMMON, **_OTHER_LABELS, **own_labels}),
            _layouts({**_OTHER_ANNOTATIONS, **own_annotations}),
        )
        self._link = Layout(opts.text("generator_url"))

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await in_order(grouped(deliveries, self._size), self._send)

    async def close(self) -> None:
        await self._sender.close()

    async def _send(self, deliveries: Sequence[Delivery]) -> None:
        body = await asyncio.to_thread(self._body, deliveries)
        await self._sender.send(self._uri, body, {"Content-Type": "application/json"})

    def _body(self, deliveries: Sequence[Delivery]) -> bytes:
        return _encode([
            self._alert(d.chunk.table, Said(fields_of(line), d.chunk.tag, d.chunk.cluster, ns // 1000))
            for d in deliveries
            for line, ns in zip(objects(d.chunk), stamps_ns(d.chunk), strict=True)
        ])  # fmt: skip

    def _alert(self, table: str, said: Said) -> dict[str, Any]:
        labels = self._labels.get(table, self._other[0])
        annotations = self._annotations.get(table, self._other[1])
        alert: dict[str, Any] = {
            # what says nothing of itself is called by its tag: an alert needs a name
            "labels": {"alertname": said.tag, **_rendered(labels, said)},
            "annotations": _rendered(annotations, said),
            "startsAt": format_us(said.us),
        }
        if self._lasts_us:
            alert["endsAt"] = format_us(said.us + self._lasts_us)
        link = self._link.render(said)
        return {**alert, "generatorURL": link} if link else alert


def _layouts(texts: Mapping[str, str]) -> dict[str, Layout]:
    return {name: Layout(text) for name, text in texts.items() if text}


def _rendered(layouts: Mapping[str, Layout], said: Said) -> dict[str, str]:
    """Those that are not empty: to Alertmanager an empty label is none."""
    found = {name: layout.render(said).strip() for name, layout in layouts.items()}
    return {name: text for name, text in found.items() if text}


def _pairs(what: str, key: str, lines: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if not _NAME.fullmatch(name):
            raise UsageError(f"{what}: {key!r} takes a name, a space and a value; {name!r} is no name")
        found[name] = value.strip()
    if key == "label" and "alertname" in found and not found["alertname"]:
        raise UsageError(f"{what}: 'label' alertname needs a value: it is what an alert is called")
    return found
