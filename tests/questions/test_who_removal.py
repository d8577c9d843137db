"""Which request removed a pod: small trails with one trap each."""

from __future__ import annotations

from kubewitness.formats.times import format_us
from tests.questions.builder import BEGIN, CONTROLLERS, SECOND, Trail, uid
from tests.questions.conftest import Who


def deleted(trail: Trail, clock: float, user: str, name: str, number: int, grace: int = 30, **rest: object) -> None:
    """A delete that began a deletion: the answer carries the deletionTimestamp it set."""
    body = trail.pod(name, number, **trail.going(clock, grace))
    options = {"kind": "DeleteOptions", "propagationPolicy": "Background"}
    trail.add(clock, user, "delete", "pods", name, request=options, response=body, **rest)  # type: ignore[arg-type]


def test_the_kubelets_final_delete_is_never_the_answer(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    deleted(trail, 60, "bob", "web-1", 1)
    trail.kubelet_ends(70, 60, "web-1", 1)
    answer = who(trail, "pod/web-1")
    assert answer.question.verb == "deleted"
    assert (answer.mechanism, answer.certainty) == ("direct", "proved")
    assert answer.root is not None
    assert answer.root.user == "bob"
    assert answer.actor is not None
    assert answer.actor.peer_ip == "10.0.0.7"


def test_when_only_the_kubelets_delete_was_recorded_the_answer_says_what_is_missing(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    trail.kubelet_ends(70, 60, "web-1", 1)
    answer = who(trail, "pod/web-1", "deleted")
    assert not answer.found
    assert format_us(BEGIN + 60 * SECOND) in answer.summary
    assert any("pods/eviction" in m for m in answer.missing)


def test_a_delete_at_another_time_than_the_deletion_began_is_not_blamed(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    # bob's delete came when the pod was already terminating: its answer shows when that began
    body = trail.pod("web-1", 1, **trail.going(60))
    trail.add(80, "bob", "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=body)
    trail.kubelet_ends(90, 60, "web-1", 1)
    answer = who(trail, "pod/web-1", "deleted")
    assert not answer.found
    assert answer.missing


def test_a_dry_run_is_no_deletion_even_when_only_its_body_says_so(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    body = trail.pod("web-1", 1, **trail.going(50))
    trail.add(
        50, "carol", "delete", "pods", "web-1", request={"kind": "DeleteOptions", "dryRun": ["All"]}, response=body
    )
    deleted(trail, 60, "bob", "web-1", 1)
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.root is not None
    assert answer.root.user == "bob"
    assert answer.certainty == "proved"


def test_at_level_metadata_two_deletes_by_two_people_are_never_proved(trail: Trail, who: Who) -> None:
    trail.add(0, "alice", "create", "pods", "web-1", code=201, level="Metadata")
    trail.add(50, "carol", "delete", "pods", "web-1", level="Metadata")
    trail.add(52, "bob", "delete", "pods", "web-1", level="Metadata")
    trail.add(60, "system:node:n1", "delete", "pods", "web-1", level="Metadata")
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.certainty == "inferred"
    assert answer.root is not None
    assert {answer.root.user, *(c.user for c in answer.candidates)} == {"carol", "bob"}


def test_a_refused_delete_is_not_the_cause(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    trail.add(50, "carol", "delete", "pods", "web-1", code=403)
    assert not who(trail, "pod/web-1", "deleted").found


def test_a_forced_second_delete_does_not_take_the_blame_from_the_first(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    deleted(trail, 60, "bob", "web-1", 1)
    body = trail.pod("web-1", 1, **trail.going(60, 0))
    trail.add(
        62,
        "carol",
        "delete",
        "pods",
        "web-1",
        request={"kind": "DeleteOptions", "gracePeriodSeconds": 0},
        response=body,
    )
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.root is not None
    assert answer.root.user == "bob"


def test_two_pods_of_one_name_are_two_objects(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    deleted(trail, 60, "bob", "web-1", 1, 0)
    trail.create_pod(100, "alice", "web-1", 2)
    deleted(trail, 160, "carol", "web-1", 2, 0)
    latest = who(trail, "pod/web-1", "deleted")
    assert latest.root is not None
    assert latest.root.user == "carol"
    assert latest.question.uid == uid(2)
    by_uid = who(trail, "pod/web-1", "deleted", uid=uid(1))
    assert by_uid.root is not None
    assert by_uid.root.user == "bob"
    by_time = who(trail, "pod/web-1", "deleted", at=BEGIN + 61 * SECOND)
    assert by_time.root is not None
    assert by_time.root.user == "bob"


def test_a_node_whose_clock_is_behind_does_not_begin_a_life_before_its_creation(trail: Trail, who: Who) -> None:
    """A pod's kubelet wrote "Started" with a time that lies in the life of the pod before it."""
    trail.create_pod(0, "alice", "web-1", 1)
    deleted(trail, 60, "bob", "web-1", 1, 0)
    trail.create_pod(64, "alice", "web-1", 2)
    trail.event(59.5, "web-1", 2, "Started", "Started container web", "kubelet", host="n1")
    deleted(trail, 160, "carol", "web-1", 2, 0)
    by_time = who(trail, "pod/web-1", "deleted", at=BEGIN + 61 * SECOND)
    assert by_time.root is not None
    assert by_time.root.user == "bob"


def test_with_impersonation_the_user_is_who_logged_in(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    deleted(trail, 60, "bob", "web-1", 1, acting_as="carol")
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.root is not None
    assert (answer.root.user, answer.root.acting_as) == ("bob", "carol")


def test_a_collections_delete_counts_only_for_the_objects_it_answered_with(trail: Trail, who: Who) -> None:
    for number in (1, 2):
        trail.create_pod(0, "alice", f"web-{number}", number)
    taken = {"kind": "PodList", "items": [trail.pod("web-1", 1)]}
    trail.add(60, "carol", "deletecollection", "pods", "", response=taken, query="labelSelector=app%3Dweb")
    first = who(trail, "pod/web-1", "deleted")
    assert (first.mechanism, first.certainty) == ("collection", "proved")
    assert first.root is not None
    assert first.root.object == "Pod/shop"
    assert not who(trail, "pod/web-2", "deleted").found


def cordon(trail: Trail, clock: float, user: str, value: bool = True, node: str = "n1") -> None:
    trail.add(clock, user, "patch", "nodes", node, namespace="", request={"spec": {"unschedulable": value or None}})


def evicted(trail: Trail, clock: float, user: str, name: str, code: int = 201) -> None:
    status = {"kind": "Status", "code": code}
    if code == 429:
        cause = {"reason": "DisruptionBudget", "message": "The disruption budget web needs 3 healthy pods and has 3."}
        status["details"] = {"causes": [cause]}
    trail.add(clock, user, "create", "pods", name, sub="eviction", code=code, response=status)


def test_an_eviction_after_the_same_users_cordon_is_a_drain(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    cordon(trail, 50, "alice")
    evicted(trail, 51, "alice", "web-1")
    trail.kubelet_ends(60, 51, "web-1", 1)
    answer = who(trail, "pod/web-1", "evicted")
    assert (answer.mechanism, answer.certainty) == ("drain", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.action, answer.root.object) == ("alice", "drain", "Node/n1")


def test_an_eviction_is_no_drain_when_somebody_else_cordoned_or_the_node_was_given_back(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    cordon(trail, 50, "bob")
    evicted(trail, 51, "alice", "web-1")
    assert who(trail, "pod/web-1", "deleted").mechanism == "eviction-api"
    other = Trail()
    other.create_pod(0, "alice", "web-1", 1)
    cordon(other, 40, "alice")
    cordon(other, 50, "bob", value=False)
    evicted(other, 60, "alice", "web-1")
    other.kubelet_ends(70, 60, "web-1", 1)
    answer = who(other, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("eviction-api", "proved")


def test_a_refused_eviction_alone_is_told_but_not_found(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    for clock in (51, 56, 61):
        evicted(trail, clock, "alice", "web-1", 429)
    answer = who(trail, "pod/web-1", "evicted")
    assert not answer.found
    assert "tried 3 times" in answer.summary
    assert "disruption budget web" in answer.summary


def test_an_object_that_was_never_recorded_is_answered_with_near_names(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    answer = who(trail, "pod/web-2")
    assert not answer.found
    assert "web-1" in answer.summary
    assert any("from 2026-03-01T10:00:00" in m for m in answer.missing)


def test_the_namespace_controllers_deletes_lead_to_who_deleted_the_namespace(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    body = {"kind": "Namespace", "metadata": {"name": "shop", "uid": uid(7), **trail.going(60, 0)}}
    trail.add(
        60, "bob", "delete", "namespaces", "shop", namespace="shop", request={"kind": "DeleteOptions"}, response=body
    )
    taken = {"kind": "PodList", "items": [trail.pod("web-1", 1)]}
    trail.add(61, CONTROLLERS + "namespace-controller", "deletecollection", "pods", "", response=taken)
    answer = who(trail, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("namespace-deleted", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.object) == ("bob", "Namespace/shop")
