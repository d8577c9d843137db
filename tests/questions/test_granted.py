"""`who granted USER VERB RESOURCE`: RBAC's rules on bodies, and what a trail of grants tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubewitness.questions import granted
from kubewitness.questions.facts import Facts
from kubewitness.questions.granted import GrantedAnswer, GrantedQuestion, rbac
from kubewitness.questions.granted.rbac import Right
from kubewitness.store import Session
from tests.questions.builder import BEGIN, SECOND, Trail, uid

Opened = Callable[[Trail], Session]
GROUP = rbac.GROUP
PODS = Right("delete", "", "pods", "", "shop")


def allows(rule: dict[str, Any], right: Right) -> bool:
    return rbac.rule_of({"rules": [rule]}, right) is not None


@pytest.mark.parametrize(
    ("rule", "right", "expected"),
    [
        ({"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]}, PODS, True),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, PODS, True),
        ({"verbs": ["delete"], "apiGroups": ["apps"], "resources": ["pods"]}, PODS, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Right("get", "", "pods", "log"), False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}, Right("get", "", "pods", "log"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, Right("get", "", "pods", "log"), True),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"]},
            Right("get", "", "secrets", "", "shop", "db"),
            True,
        ),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"]},
            Right("get", "", "secrets", "", "shop"),
            False,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/healthz/*"]}, Right("get", url="/healthz/etcd"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}, Right("get", url="/healthz/etcd"), False),
        ({"verbs": ["get"], "nonResourceURLs": ["*"]}, PODS, False),
    ],
)
def test_a_rule_allows_what_the_api_server_would(rule: dict[str, Any], right: Right, expected: bool) -> None:
    assert allows(rule, right) is expected


def test_users_groups_and_service_accounts_are_told_apart() -> None:
    robot = {"kind": "ServiceAccount", "name": "robot", "namespace": "shop"}
    account = "system:serviceaccount:shop:robot"
    assert rbac.subject_of({"subjects": [robot]}, account, []) == "ServiceAccount shop/robot"
    assert rbac.subject_of({"subjects": [robot]}, "robot", []) is None
    everyone = {"subjects": [{"kind": "Group", "name": "system:serviceaccounts:shop"}]}
    assert rbac.subject_of(everyone, account, rbac.implied_groups(account)) == "Group system:serviceaccounts:shop"
    assert rbac.subject_of({"subjects": None}, account, []) is None


def test_the_api_servers_reason_is_read() -> None:
    said = 'RBAC: allowed by RoleBinding "x/ns" of ClusterRole "y" to ServiceAccount "robot/shop"'
    reason = rbac.reason_of(said)
    assert reason is not None
    assert (reason.binding, reason.namespace, reason.role, reason.subject) == (
        "x",
        "ns",
        "y",
        "ServiceAccount shop/robot",
    )
    assert rbac.reason_of("") is None


def test_a_selector_of_an_aggregated_role_chooses_by_labels() -> None:
    def role(**selector: Any) -> dict[str, Any]:
        return {"aggregationRule": {"clusterRoleSelectors": [selector]}}

    assert rbac.aggregates(role(matchLabels={"a": "1"}), {"a": "1"})
    assert not rbac.aggregates(role(matchLabels={"a": "1"}), None)
    assert rbac.aggregates(role(matchExpressions=[{"key": "a", "operator": "In", "values": ["1", "2"]}]), {"a": "2"})
    assert not rbac.aggregates(role(matchExpressions=[{"key": "a", "operator": "DoesNotExist"}]), {"a": "2"})


def given(trail: Trail, subject: dict[str, str], **rest: Any) -> None:
    """alice makes role `tidy` (delete pods), carol binds the subject to it."""
    head: dict[str, Any] = {"apiVersion": f"{GROUP}/v1"}
    meta = {"namespace": "shop", "uid": uid(1), "name": "tidy"}
    rules = [{"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]}]
    role = {**head, "kind": "Role", "metadata": meta, "rules": rules}
    ref = {"apiGroup": GROUP, "kind": "Role", "name": "tidy"}
    bound = {**head, "kind": "RoleBinding", "metadata": {**meta, "uid": uid(2)}, "roleRef": ref, "subjects": [subject]}
    trail.add(0, "alice", "create", "roles", "tidy", group=GROUP, code=201, request=role, response=role, **rest)
    trail.add(
        1, "carol", "create", "rolebindings", "tidy", group=GROUP, code=201, request=bound, response=bound, **rest
    )


def asked(session: Session, user: str = "bob", at: float | None = None, groups: tuple[str, ...] = ()) -> GrantedAnswer:
    when = None if at is None else BEGIN + int(at * SECOND)
    return granted.ask(session, GrantedQuestion("default", user, PODS, when, list(groups)))


def test_a_right_that_was_never_used_is_known_from_the_bodies(trail: Trail, opened: Opened) -> None:
    given(trail, {"kind": "User", "name": "bob"})
    session = opened(trail)
    [grant] = asked(session).grants
    assert grant.certainty == "proved"
    assert grant.binding_made is not None
    assert grant.role_made is not None
    assert (grant.binding_made.user, grant.role_made.user) == ("carol", "alice")
    assert not asked(session, "carol").found
    assert not asked(session, at=0.5).found


def test_a_group_that_only_the_asker_knows_of_makes_it_inferred(trail: Trail, opened: Opened) -> None:
    given(trail, {"kind": "Group", "name": "cleaners"})
    session = opened(trail)
    assert not asked(session).found
    answer = asked(session, groups=("cleaners",))
    assert answer.found
    assert answer.certainty == "inferred"


def test_whoever_takes_a_subject_out_of_a_binding_revoked_it(trail: Trail, opened: Opened) -> None:
    given(trail, {"kind": "User", "name": "bob"})
    bound = trail.events[-1]["responseObject"]
    emptied = {**bound, "subjects": []}
    trail.add(60, "alice", "update", "rolebindings", "tidy", group=GROUP, request=emptied, response=emptied)
    session = opened(trail)
    assert asked(session, at=30).found
    answer = asked(session)
    assert not answer.found
    assert answer.former[0].revoked is not None
    assert answer.former[0].revoked.user == "alice"


def test_the_members_of_system_masters_need_no_binding(trail: Trail, opened: Opened) -> None:
    trail.add(0, "bob", "get", "pods", "web-1")
    trail.events[-1]["user"]["groups"] = ["system:masters", "system:authenticated"]
    answer = asked(opened(trail))
    assert answer.found
    assert answer.grants == []
    assert "system:masters" in answer.summary


def test_words_name_a_right_as_kubectl_takes_them(trail: Trail, opened: Opened) -> None:
    trail.add(0, "bob", "get", "pods", "web-1")
    facts = Facts(opened(trail), "default")
    assert granted.right_of(facts, "GET", "po/log", "shop") == Right("get", "", "pods", "log", "shop")
    assert granted.right_of(facts, "get", "secret/db", "shop") == Right("get", "", "secrets", "", "shop", "db")
    assert granted.right_of(facts, "patch", "deploy/scale/web", None) == Right(
        "patch", "apps", "deployments", "scale", "default", "web"
    )
    assert granted.right_of(facts, "delete", "node/n1", "shop") == Right("delete", "", "nodes", "", "", "n1")
    assert granted.right_of(facts, "get", "/metrics", None) == Right("get", url="/metrics")


def test_the_api_servers_word_is_proof_where_no_body_is(trail: Trail, opened: Opened) -> None:
    given(trail, {"kind": "User", "name": "bob"}, level="Metadata")
    used = trail.add(30, "bob", "delete", "pods", "web-1", level="Metadata")
    why = 'RBAC: allowed by RoleBinding "tidy/shop" of Role "tidy" to User "bob"'
    trail.events[-1]["annotations"] = {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": why}
    trail.add(90, "carol", "delete", "rolebindings", "tidy", group=GROUP, level="Metadata")
    session = opened(trail)
    [grant] = asked(session, at=60).grants
    assert (grant.binding, grant.role, grant.subject) == ("RoleBinding/shop/tidy", "Role/shop/tidy", "User bob")
    assert grant.certainty == "proved"
    assert grant.used == f"audit:default/{used}/ResponseComplete"
    assert grant.binding_made is not None
    assert grant.binding_made.user == "carol"
    assert asked(session).former[0].revoked is not None
