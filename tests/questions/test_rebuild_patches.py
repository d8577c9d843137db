"""Patches of known objects: against a real API server's recorded answers, and the directives one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from kubewitness.questions.rebuild.patches import Unpatchable, patched, strategic
from tests.questions.patch_checks import wrong

RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "patches" / "seed-7.json.zst"


def recorded() -> list[dict[str, Any]]:
    played: list[dict[str, Any]] = json.loads(zstandard.decompress(RECORDED.read_bytes()))["played"]
    return played


def test_rebuilt_objects_are_what_a_real_api_server_answered_or_say_that_they_may_not_be() -> None:
    undoubted: list[str] = []
    doubted = 0
    plays = recorded()
    for play in plays:
        doubt, differences = wrong(play)
        doubted += bool(doubt)
        if not doubt:
            undoubted += differences
    assert undoubted == []
    assert {p["how"] for p in plays} == {"json", "merge", "strategic", "apply"}
    assert doubted < len(plays) // 3


POD: dict[str, Any] = {
    "metadata": {"name": "p", "finalizers": ["a", "b"]},
    "spec": {
        "containers": [{"name": "web", "image": "w:1", "env": [{"name": "A", "value": "1"}]}, {"name": "side"}],
        "tolerations": [{"key": "x"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}


def spec_after(patch: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = strategic(POD, {"spec": patch})["spec"]
    return spec


def test_strategic_lists_are_merged_by_key_and_others_replaced() -> None:
    merged = spec_after({"containers": [{"name": "web", "env": [{"name": "B", "value": "2"}]}]})["containers"]
    assert merged[0] == {
        "name": "web",
        "image": "w:1",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    }
    assert merged[1] == {"name": "side"}
    assert spec_after({"tolerations": [{"key": "y"}]})["tolerations"] == [{"key": "y"}]


def test_the_directives_of_strategic_merge_are_obeyed() -> None:
    assert (
        spec_after({"containers": [{"name": "side", "$patch": "delete"}]})["containers"]
        == POD["spec"]["containers"][:1]
    )
    assert spec_after({"containers": [{"$patch": "replace"}, {"name": "only"}]})["containers"] == [{"name": "only"}]
    assert "volumes" not in spec_after({"volumes": None})
    order = spec_after({"$setElementOrder/containers": [{"name": "side"}, {"name": "web"}]})["containers"]
    assert [c["name"] for c in order] == ["side", "web"]
    retained = spec_after({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]})
    assert retained["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]
    removed = strategic(POD, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})["metadata"]
    assert removed["finalizers"] == ["b"]
    assert strategic(POD, {"metadata": {"finalizers": ["c"]}})["metadata"]["finalizers"] == ["a", "b", "c"]
    assert strategic(POD, {"spec": {"$patch": "replace", "nodeName": "n"}})["spec"] == {"nodeName": "n"}


def test_a_custom_resource_is_merged_plainly_and_the_known_object_stays_as_it_is() -> None:
    body = {"spec": {"containers": [{"name": "a"}, {"name": "b"}], "keep": 1}}
    result = patched(body, {"spec": {"containers": [{"name": "a"}], "keep": None}}, group="example.com", uri="/x")
    assert result.body == {"spec": {"containers": [{"name": "a"}]}}
    assert result.doubt == ""
    assert body["spec"]["keep"] == 1


def test_a_list_in_a_patch_without_directives_may_be_meant_either_way() -> None:
    result = patched(POD, {"spec": {"containers": [{"name": "web", "image": "w:2"}]}}, group="", uri="/x")
    assert "strategic or a plain merge" in result.doubt


def test_a_json_patch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Unpatchable):
        patched(POD, [{"op": "test", "path": "/spec/nodeName", "value": "n9"}], group="", uri="/x")
    with pytest.raises(Unpatchable):
        patched(POD, [{"op": "remove", "path": "/spec/containers/7"}], group="", uri="/x")


def test_an_apply_that_leaves_out_what_it_applied_before_is_doubted() -> None:
    owned: dict[str, Any] = {
        "f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}, 'k:{"name":"side"}': {".": {}}}}
    }
    entry = {"manager": "ci", "operation": "Apply", "fieldsV1": owned}
    body = {**POD, "metadata": {"name": "p", "managedFields": [entry]}}
    head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    both = {**head, "spec": {"containers": [{"name": "web", "image": "w:3"}, {"name": "side"}]}}
    uri = "/api/v1/namespaces/x/pods/p?fieldManager=ci&force=true"
    exact = patched(body, both, group="", uri=uri)
    assert exact.doubt == ""
    assert exact.body["spec"]["containers"][0]["image"] == "w:3"
    fewer = patched(body, {**head, "spec": {"containers": [{"name": "web", "image": "w:3"}]}}, group="", uri=uri)
    assert "no longer applies" in fewer.doubt
