"""What the records show of an audit policy, and the policy that is suggested instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubewitness.config.state import StatePaths
from kubewitness.formats.scope import Scope
from kubewitness.questions.policy import PolicyAnswer, PolicyQuestion, ask, suggestion
from kubewitness.questions.policy.rules import Asked, Policy, policy_of
from kubewitness.store import Session, Store
from tests.fixtures_demo import Demo
from tests.questions.builder import CONTROLLERS, Trail
from tests.questions.recordings import imported, lines_of, only_requests, without_bodies, written
from tests.questions.score import score

Opened = Callable[[Trail], Session]


def told(session: Session, **times: int) -> PolicyAnswer:
    return ask(session, PolicyQuestion("default", **times))


def need(answer: PolicyAnswer, resource: str) -> Any:
    return next(n for n in answer.needs if n.resources[0] == resource)


def sentences(answer: PolicyAnswer, kind: str) -> str:
    return " ".join(r.sentence for r in answer.remarks if r.kind == kind)


def test_the_demos_policy_is_read_off_its_records(demo_session: Session) -> None:
    answer = told(demo_session)
    assert (need(answer, "pods").state, need(answer, "pods/eviction").state) == ("met", "met")
    assert need(answer, "nodes/status").state == "lower"
    assert set(need(answer, "nodes/status").levels) == {"Metadata"}
    assert answer.records == sum(r.records for r in answer.resources) == sum(c.records for c in answer.levels)
    assert answer.bytes == sum(c.bytes for c in answer.stages) > 1_000_000
    pods = next(r for r in answer.resources if (r.resource, r.subresource) == ("pods", ""))
    deleted = next(v for v in pods.verbs if v.verb == "delete")
    assert set(deleted.levels) == {"RequestResponse"}
    assert {"human", "serviceaccount"} <= set(deleted.kinds)


def test_what_is_suggested_still_proves_every_vanished_pod_of_the_demo(tmp_path: Path, truth: dict[str, Any]) -> None:
    policy = policy_of(suggestion.base())
    demo = Demo()
    records = [r for r in (recorded(policy, r) for r in lines_of(demo.audit)) if r is not None]
    files = [demo.events_list, demo.events_watch, written(tmp_path / "capture", records)]
    result = score(imported(tmp_path / "state", files), truth, "suggested")
    assert result.wrong == []
    assert result.proved == result.total > 20


def recorded(policy: Policy, record: dict[str, Any]) -> dict[str, Any] | None:
    """The record as the policy would have had it made; None where it would not. What is not there does not come."""
    ref = record.get("objectRef") or {}
    user = record["user"]
    asked = Asked(
        record["verb"],
        ref.get("apiGroup", ""),
        ref.get("resource", ""),
        ref.get("subresource", ""),
        ref.get("namespace", ""),
        ref.get("name", ""),
        record["requestURI"].partition("?")[0],
        user.get("username", ""),
        tuple(user.get("groups", ())),
    )
    level = policy.records(record["stage"], policy.rule_of(asked))
    if level == "None":
        return None
    return {"Metadata": without_bodies, "Request": only_requests}.get(level, dict)(record)


def test_the_first_rule_that_fits_counts_as_in_the_api_server() -> None:
    policy = policy_of(
        """
        omitStages: [RequestReceived]
        rules:
        - {level: None, users: [alice], namespaces: [shop]}
        - {level: Metadata, resources: [{group: "", resources: ["pods/*", "*/status"]}]}
        - {level: Request, resources: [{group: apps}], omitStages: [ResponseStarted]}
        - {level: None, nonResourceURLs: ["/health*", "/version"]}
        - {level: RequestResponse, resources: [{group: "", resources: [secrets], resourceNames: [tls]}]}
        """
    )

    def rule(**asked: Any) -> int | None:
        return policy.rule_of(Asked("get", **asked))

    assert rule(resource="pods", user="alice", namespace="shop") == 0
    assert rule(path="/healthz", user="alice") == 3  # a rule about namespaces is about no paths
    assert (rule(resource="pods", subresource="log"), rule(resource="nodes", subresource="status")) == (1, 1)
    assert rule(resource="pods") == 1  # `pods/*` is about pods, too: the documentation speaks of subresources only
    assert rule(resource="nodes") is None
    assert (rule(group="apps", resource="deployments"), rule(group="apps", resource="x", subresource="scale")) == (2, 2)
    assert (rule(path="/version"), rule(path="/version/x")) == (3, None)
    assert (rule(resource="secrets", name="tls"), rule(resource="secrets", name="other")) == (4, None)
    assert policy.records("ResponseComplete", 2) == "Request"
    assert policy.records("ResponseStarted", 2) == policy.records("RequestReceived", 4) == "None"
    assert policy.records("ResponseComplete", None) == "None"


def test_who_may_read_only_pods_is_told_of_the_needs_about_pods(demo_state: StatePaths) -> None:
    scope = Scope("default", within=frozenset({("shop", "", "pods")}))
    store = Store(demo_state)
    with store.session(scope=scope) as session:
        answer = told(session)
    store.close()
    assert {r.resource for r in answer.resources} == {"pods"}
    assert all(name.startswith("pods") for n in answer.needs for name in n.resources)
    assert need(answer, "pods").state == "met"


def test_secrets_with_bodies_are_a_danger_and_without_are_none(trail: Trail, opened: Opened) -> None:
    trail.add(0, "alice", "get", "secrets", "tls", level="Metadata")
    trail.add(1, "alice", "list", "secrets", "", level="Request")  # a list sends nothing
    trail.add(2, "alice", "create", "configmaps", "c", request={"kind": "ConfigMap"}, level="Request")
    answer = told(opened(trail))
    assert "configmaps" in sentences(answer, "danger")
    assert "secrets" not in sentences(answer, "danger")
    trail.add(3, "alice", "get", "secrets", "tls", response={"kind": "Secret", "data": {"k": "dg=="}})
    trail.add(4, "alice", "create", "serviceaccounts", "bob", sub="token", response={"kind": "TokenRequest"})
    answer = told(opened(trail))
    assert "1 records of secrets" in sentences(answer, "danger")
    assert "1 records of serviceaccounts/token" in sentences(answer, "danger")


def test_what_events_tell_and_the_audit_trail_does_not_was_left_out(trail: Trail, opened: Opened) -> None:
    trail.add(0, "alice", "create", "pods", "web", request={}, response={})
    answer = told(opened(trail))
    assert need(answer, "pods/binding").state == "unseen"
    trail.core_events.append(
        {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": "web.1", "namespace": "shop", "uid": "e-1", "resourceVersion": "7"},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web"},
            "reason": "Scheduled",
            "message": "Successfully assigned shop/web to n1",
            "firstTimestamp": "2026-03-01T10:00:00Z",
            "lastTimestamp": "2026-03-01T10:00:00Z",
            "count": 1,
        }
    )
    left_out = need(told(opened(trail)), "pods/binding")
    assert (left_out.state, left_out.sign) == ("left-out", "Events tell of it: 1 × Scheduled")


def test_first_stages_and_cut_bodies_are_remarked_on(trail: Trail, opened: Opened) -> None:
    trail.add(0, "alice", "create", "pods", "web", request={}, response={})
    trail.events.append({**trail.events[0], "stage": "RequestReceived", "responseStatus": None})
    trail.add(1, "alice", "watch", "pods", "", level="Metadata")
    trail.events[-1]["annotations"] = {"audit.k8s.io/truncated": "true"}
    answer = told(opened(trail))
    assert "1 records (" in sentences(answer, "waste")
    assert "1 records were too large" in sentences(answer, "missing")
    assert "No session's beginning" in sentences(answer, "missing")
    assert answer.suggestion.stages.records == answer.suggestion.dropped.records == 1


def test_a_loud_reader_may_be_left_out_but_only_by_the_users_own_hand(trail: Trail, opened: Opened) -> None:
    trail.add(0, "alice", "delete", "pods", "web")
    for n in range(20):
        trail.add(n, "system:serviceaccount:monitoring:scraper", "list", "pods", "", level="Metadata")
        trail.add(n, f"{CONTROLLERS}job-controller", "get", "secrets", "s", level="Metadata")
    answer = told(opened(trail))
    policy = answer.suggestion.policy
    reads = Asked("list", resource="pods", user="system:serviceaccount:monitoring:scraper")
    secrets = Asked("get", resource="secrets", user="system:serviceaccount:monitoring:scraper")
    assert policy_of(policy) == policy_of(suggestion.base())
    assert "job-controller" not in policy  # what it reads is kept by a rule of its own
    taken = policy_of("\n".join(_uncommented(line) for line in policy.splitlines()))
    assert taken.records("ResponseComplete", taken.rule_of(reads)) == "None"
    assert taken.records("ResponseComplete", taken.rule_of(secrets)) == "Metadata"
    assert answer.noise[0].verb in ("list", "get")


def _uncommented(line: str) -> str:
    return line.removeprefix("# ") if line.startswith(("# - level", "#   ")) else line


def test_every_rule_of_the_suggestion_says_why_and_its_share_is_counted(demo_session: Session) -> None:
    answer = told(demo_session)
    found = answer.suggestion
    assert all(rule.why for rule in found.rules)
    parts = (found.same, found.lower, found.higher, found.dropped)
    assert sum(p.records for p in parts) == answer.records
    assert sum(r.records for r in found.rules) + found.stages.records == answer.records


def test_without_records_the_suggestion_is_there_and_what_is_missing_is_said(trail: Trail, opened: Opened) -> None:
    trail.add(0, "alice", "delete", "pods", "web")
    answer = told(opened(trail), until=1)
    assert (answer.records, answer.since) == (0, None)
    assert "any audit record" in answer.missing[0]
    assert json.dumps(suggestion.base()) == json.dumps(answer.suggestion.policy)
