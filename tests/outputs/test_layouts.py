"""Templates as users of kubernetes-event-exporter write them."""

from __future__ import annotations

import json

import pytest

from kubewitness.errors import UsageError
from kubewitness.outputs.layouts import Layout, Said, shaped

EVENT = {
    "metadata": {"name": "web-1.17a", "namespace": "shop", "uid": "u1", "labels": {"a.b/c": "x", "team": "toys"}},
    "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
    "reason": "BackOff", "message": 'Back-off "restarting"', "type": "Warning", "count": 3, "source": {"host": ""},
    "items": ["first"],
}  # fmt: skip
SAID = Said(EVENT, "events", "prod", 1_700_000_000_123_456)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{{ .InvolvedObject.Namespace }}/{{.InvolvedObject.Name}}: {{ .Message }}",
            'shop/web-1: Back-off "restarting"',
        ),
        ("{{ .Namespace }} {{ .Name }} {{ .UID }}", "shop web-1.17a u1"),  # of metadata, as Go embeds it
        ("{{ .Count }}{{- .Type | lower -}}", "3warning"),
        ('{{ .Source.Host | default "-" }} {{ default "none" .Missing.Deep }}', "- none"),
        ('{{ index .Metadata.Labels "a.b/c" | upper }} {{ index .Items 0 }}{{ index .Items 7 }}', "X first"),
        ("{{ toJson .InvolvedObject }}", '{"kind":"Pod","namespace":"shop","name":"web-1"}'),
        ("{{ .Message | quote }} {{ .Message | trunc 4 }}", '"Back-off \\"restarting\\"" Back'),
        ("{{ .GetTimestampMs }} {{ .GetTimestampISO8601 }}", "1700000000123 2023-11-14T22:13:20.123000Z"),
        ("{{ .ClusterName }} {{ .Tag }} {{ `as it is` }} plain }}", "prod events as it is plain }}"),
        ("{{ .Message.Deeper }}{{ .Nothing }}", ""),
    ],
)
def test_a_template_gives_what_the_record_says(text: str, said: str) -> None:
    assert Layout(text).render(SAID) == said


def test_the_whole_record_is_a_dot() -> None:
    assert json.loads(Layout("{{ toJson . }}").render(SAID)) == EVENT


def test_an_objects_texts_are_templates_and_all_else_stays() -> None:
    layout = {"a": "{{ .Reason }}", "b": {"c": ["{{ .Type }}", 1, True, None]}, "d": 2.5}
    assert shaped(layout)(SAID) == {"a": "BackOff", "b": {"c": ["Warning", 1, True, None]}, "d": 2.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ if .Reason }}x{{ end }}", "there is no 'if' here; there is toJson"),
        ("{{ .Reason | nosuch }}", "there is no 'nosuch' here"),
        ("{{ .Reason", "not closed"),
        ("{{ }}", "is empty"),
        ("{{ .Reason .Type }}", "a value stands where a function is needed"),
        ("{{ trunc .Reason }}", "trunc takes 2 to 2 values"),
        ("{{ $x := .Reason }}", "is not understood"),
        ("{{ toJson (index .Items 0) }}", "is not understood"),
    ],
)
def test_what_a_template_cannot_do_is_told_at_start(text: str, said: str) -> None:
    with pytest.raises(UsageError) as told:
        Layout(text)
    assert said in str(told.value)
