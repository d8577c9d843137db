"""Every wrapper that managed clusters and log stores put around an audit event comes off, and nothing is lost in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewitness.errors import Malformed
from kubewitness.formats import envelopes
from kubewitness.formats.sniff import sniff
from tests.formats.records import aks_row, audit_event, core_event, dumps, gke_entry, pod, review

AUDIT = audit_event()
TEXT = dumps(AUDIT).decode()
KLOG = "I1122 21:25:09.518619       1 trace.go:236] Trace"

WRAPPED: dict[str, tuple[str, Any]] = {
    "CloudWatch subscription": (
        "cloudwatch",
        {
            "messageType": "DATA_MESSAGE",
            "owner": "123456789012",
            "logGroup": "/aws/eks/c1/cluster",
            "logStream": "kube-apiserver-audit-1",
            "logEvents": [{"id": "1", "timestamp": 1795375565038, "message": TEXT}],
        },
    ),
    "aws logs filter-log-events": (
        "cloudwatch",
        {"events": [{"logStreamName": "s", "timestamp": 1795375565038, "message": TEXT, "eventId": "1"}]},
    ),
    "aws logs get-query-results": (
        "cloudwatch",
        {"results": [[{"field": "@timestamp", "value": "x"}, {"field": "@message", "value": TEXT}]], "status": "x"},
    ),
    "Logs Insights console export": ("cloudwatch", [{"@timestamp": "2026-11-22 19:26:05.038", "@message": AUDIT}]),
    "AKS in an Event Hub": ("aks", {"records": [{"category": "kube-audit", "properties": {"log": TEXT, "pod": "p"}}]}),
    "AKS in storage": ("aks", {"category": "kube-audit", "time": "x", "properties": {"log": TEXT, "stream": "stdout"}}),
    "AKS in AzureDiagnostics": ("aks", {"Category": "kube-audit", "log_s": TEXT, "TimeGenerated": "x"}),
    "logcli jsonl": ("loki", {"labels": {"job": "audit"}, "line": TEXT, "timestamp": "2026-11-22T19:26:05.038Z"}),
    "Loki query_range": (
        "loki",
        {
            "status": "success",
            "data": {"resultType": "streams", "result": [{"stream": {"a": "b"}, "values": [["1795375565038", TEXT]]}]},
        },
    ),
    "Elasticsearch hits, text": ("wrapped", {"hits": {"hits": [{"_index": "a", "_source": {"message": TEXT}}]}}),
    "Elasticsearch hits, object": ("elasticsearch", {"hits": {"hits": [{"_index": "a", "_source": AUDIT}]}}),
    "Elasticsearch dump of Elastic Agent": (
        "wrapped",
        {"_index": "a", "_id": "1", "_source": {"kubernetes": {"audit": AUDIT}, "message": "pods delete"}},
    ),
    "Filebeat's event.original": ("wrapped", {"event": {"original": TEXT}, "message": "pods delete"}),
    "docker json-file": ("docker", {"log": TEXT + "\n", "stream": "stdout", "time": "2026-11-22T19:26:05.038Z"}),
    "journalctl -o json": ("journald", {"MESSAGE": TEXT, "_PID": "1", "__REALTIME_TIMESTAMP": "1795375565038000"}),
    "Splunk": ("wrapped", {"preview": False, "result": {"_raw": TEXT, "sourcetype": "kube"}}),
    "docker in Loki": ("docker", {"line": json.dumps({"log": TEXT + "\n", "stream": "stdout", "time": "x"})}),
}


@pytest.mark.parametrize(("how", "document"), WRAPPED.values(), ids=WRAPPED.keys())
def test_the_wrapper_comes_off_and_the_event_is_native(how: str, document: Any) -> None:
    for text in (dumps(document), json.dumps(document, indent=2).encode()):
        (found,) = sniff(text)
        assert (found.table, found.form, found.how) == ("audit", "", how)
        assert json.loads(found.raw) == AUDIT
        event = envelopes.decode_audit(found.form, found.raw)
        assert (event.auditID, event.user.username, event.verb) == ("a-1", "alice", "delete")


def test_text_in_a_wrapper_keeps_its_exact_bytes() -> None:
    odd = '{ "auditID": "a-1",  "verb":"get" }'
    (found,) = sniff(dumps({"line": odd}))
    assert found.raw == odd.encode()


def test_gke_entries_keep_their_shape_and_fill_the_same_columns() -> None:
    (found,) = sniff(dumps(gke_entry()))
    assert (found.table, found.form, found.raw) == ("audit", "gke", dumps(gke_entry()))
    event = envelopes.decode_audit("gke", found.raw)
    assert (event.auditID, event.stage, event.verb, event.level) == ("g-1", "ResponseComplete", "delete", "Metadata")
    assert (event.user.username, event.sourceIPs, event.userAgent) == (
        "alice@example.com",
        ["203.0.113.9"],
        "kubectl/v1.31.0",
    )
    ref = event.objectRef
    assert ref is not None
    assert (ref.resource, ref.namespace, ref.name, ref.apiGroup, ref.apiVersion) == ("pods", "shop", "web-1", "", "v1")
    assert event.requestURI == "/api/v1/namespaces/shop/pods/web-1"
    assert event.responseStatus is not None
    assert event.responseStatus.code == 200
    assert event.annotations == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}


def test_gke_subresources_groups_and_refusals_are_understood() -> None:
    entry = gke_entry(
        methodName="io.k8s.apps.v1.deployments.scale.patch",
        resourceName="apps/v1/namespaces/shop/deployments/web/scale",
        status={"code": 7, "message": "deployments.apps is forbidden"},
        request={"@type": "autoscaling.k8s.io/v1.Scale", "spec": {"replicas": 1}},
    )
    event = envelopes.decode_audit("gke", dumps(entry))
    ref, status = event.objectRef, event.responseStatus
    assert ref is not None
    assert status is not None
    assert (ref.apiGroup, ref.resource, ref.subresource, event.verb) == ("apps", "deployments", "scale", "patch")
    assert (status.code, status.reason, status.message) == (403, "Forbidden", "deployments.apps is forbidden")
    request, response = envelopes.bodies("gke", dumps(entry))
    assert request is not None
    assert json.loads(request)["spec"] == {"replicas": 1}
    assert response is None


def test_an_entry_of_another_google_service_is_no_audit_event() -> None:
    with pytest.raises(Malformed, match="ClusterManager"):
        envelopes.decode_audit("gke", dumps(gke_entry(methodName="google.container.v1.ClusterManager.DeleteCluster")))


def test_rows_of_aksaudit_fill_the_same_columns() -> None:
    (found,) = sniff(dumps([aks_row()]))
    event = envelopes.decode_audit(found.form, found.raw)
    assert (found.form, event.auditID, event.user.username, event.sourceIPs) == ("aks", "k-1", "alice", ["10.0.0.7"])
    assert event.objectRef is not None
    assert event.objectRef.name == "web-1"
    assert envelopes.bodies("aks", found.raw) == (None, None)
    scaled = aks_row(RequestObject='{"spec":{"replicas":1}}', ResponseObject={"kind": "Scale"})
    assert envelopes.bodies("aks", dumps(scaled)) == (b'{"spec":{"replicas":1}}', b'{"kind":"Scale"}')


def test_bodies_of_native_records_are_their_exact_text() -> None:
    raw = b'{"auditID":"a","requestObject":{ "a": 1 },"responseObject":null}'
    assert envelopes.bodies("", raw) == (b'{ "a": 1 }', None)


def test_component_logs_in_the_same_export_become_log_records() -> None:
    message = {"messageType": "DATA_MESSAGE", "logEvents": [{"message": TEXT}, {"message": KLOG}, {"message": "{"}]}
    found = sniff(dumps(message))
    assert [(f.table, f.form) for f in found] == [("audit", ""), ("logs", "klog"), ("rejects", "")]


def test_native_records_are_told_apart() -> None:
    kinds = {
        "audit": audit_event(),
        "events": core_event(),
        "objects": pod(),
        "admission": review(),
    }
    for table, record in kinds.items():
        assert [f.table for f in sniff(dumps(record))] == [table]


def test_a_watch_stream_is_unwrapped_and_keeps_what_changed() -> None:
    for change, expected in (("ADDED", "ADDED"), ("MODIFIED", "MODIFIED"), ("DELETED", "EXPIRED")):
        (found,) = sniff(dumps({"type": change, "object": core_event()}))
        assert (found.table, found.change, found.raw) == ("events", expected, dumps(core_event()))
    (found,) = sniff(dumps({"type": "DELETED", "object": pod()}))
    assert (found.table, found.change) == ("objects", "DELETED")


def test_bookmarks_are_no_records_and_watch_errors_say_what_they_are() -> None:
    (found,) = sniff(dumps({"type": "BOOKMARK", "object": pod()}))
    assert found.table == ""
    status = {"kind": "Status", "apiVersion": "v1", "code": 410, "message": "too old resource version"}
    with pytest.raises(Malformed, match="the watch ended with an error: too old resource version"):
        sniff(dumps({"type": "ERROR", "object": status}))


def test_items_of_a_typed_list_get_the_lists_kind() -> None:
    item = pod()
    del item["kind"], item["apiVersion"]
    (found,) = sniff(dumps({"kind": "PodList", "apiVersion": "v1", "items": [item]}))
    assert found.table == "objects"
    assert found.flags == ("kind-from-list",)
    assert json.loads(found.raw) == pod()


def test_one_bad_item_does_not_cost_its_neighbours() -> None:
    found = sniff(dumps({"kind": "List", "apiVersion": "v1", "items": [pod(), {"metadata": {}}, 7, core_event()]}))
    assert [f.table for f in found] == ["objects", "rejects", "rejects", "events"]


def test_the_reason_of_a_reject_names_what_was_found() -> None:
    with pytest.raises(Malformed, match="its keys are foo, bar"):
        sniff(b'{"foo":1,"bar":2}')
    with pytest.raises(Malformed, match="not a JSON object"):
        sniff(b"hello")
    with pytest.raises(Malformed, match="ConversionReview"):
        sniff(b'{"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1"}')


def test_endless_wrapping_is_refused() -> None:
    text: Any = "x"
    for _ in range(20):
        text = json.dumps({"message": text, "n": 1})
    with pytest.raises(Malformed, match="wrapped more than"):
        sniff(text.encode())
