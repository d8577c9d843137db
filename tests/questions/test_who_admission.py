"""`who` where only an admission webhook saw the requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubewitness.questions.targets import parse_target
from kubewitness.questions.who import WhoQuestion, ask
from kubewitness.store import Store
from tests.questions.builder import uid
from tests.questions.recordings import imported


def review(number: int, clock: int, user: str, operation: str) -> dict[str, Any]:
    """An AdmissionReview (admission.k8s.io/v1) with the time at which the recorder got it."""
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1", "namespace": "shop", "uid": uid(1)}}
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid(number),
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web-1",
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": user, "groups": ["devs"]},
            "object": None if operation == "DELETE" else pod,
            "oldObject": pod if operation == "DELETE" else None,
            "dryRun": False,
        },
        "requestReceivedTimestamp": f"2026-03-01T10:00:{clock:02d}.000000Z",
    }


def test_a_reviewed_delete_is_inferred_with_the_reviews_id_as_evidence(tmp_path: Path) -> None:
    file = tmp_path / "reviews.log"
    reviews = [review(5, 1, "alice", "CREATE"), review(6, 9, "bob", "DELETE")]
    file.write_text("".join(json.dumps(r) + "\n" for r in reviews))
    store = Store(imported(tmp_path / "state", [file]))
    ref = parse_target(["pod/web-1"], namespace="shop", cluster="default")
    with store.session() as session:
        deleted = ask(session, WhoQuestion(ref))
        created = ask(session, WhoQuestion(ref, "created"))
    store.close()
    assert deleted.root is not None
    assert (deleted.mechanism, deleted.root.user, deleted.certainty) == ("direct", "bob", "inferred")
    assert deleted.chain[0].evidence == [f"admission:default/{uid(6)}"]
    assert created.root is not None
    assert (created.root.user, created.certainty) == ("alice", "inferred")
