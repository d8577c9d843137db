"""The questions over HTTP take the same parameters and give the same objects as the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubewitness.errors import UsageError
from kubewitness.store import Session, Store
from kubewitness.web.endpoints import ENDPOINTS
from tests.questions.builder import Trail, uid
from tests.questions.recordings import imported, written


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    trail = Trail()
    body = trail.pod("web-1", 1, labels={"app": "web"})
    trail.add(0, "alice", "create", "pods", "web-1", code=201, request=body, response=body)
    trail.add(5, "bob", "patch", "pods", "web-1", request={"metadata": {"labels": {"app": "api"}}}, level="Request")
    trail.add(9, "carol", "delete", "pods", "web-1", audit_id=uid(77))
    store = Store(imported(tmp_path / "state", [written(tmp_path / "capture", trail.events)]))
    with store.session() as opened:
        yield opened
    store.close()


def asked(session: Session, name: str, **params: str) -> Any:
    endpoint = next(e for e in ENDPOINTS if e.name == name)
    assert set(params) <= {p.name for p in endpoint.parameters}
    return msgspec.to_builtins(endpoint.ask(session, {k: [v] for k, v in params.items()}))


def test_diff_names_who_changed_which_field(session: Session) -> None:
    [change] = asked(session, "diff", object="pod/web-1", namespace="shop")["changes"]
    assert (change["field"], change["old"], change["new"], change["user"]) == (
        "metadata.labels.app",
        "web",
        "api",
        "bob",
    )


def test_trace_follows_a_request_by_its_audit_id(session: Session) -> None:
    answer = asked(session, "trace", id=uid(77), events="false")
    assert answer["root"]["actor"] == "carol"
    with pytest.raises(UsageError, match="'id' is missing"):
        asked(session, "trace")


def test_granted_needs_a_user_a_verb_and_a_resource(session: Session) -> None:
    answer = asked(session, "granted", user="bob", verb="delete", resource="pods", namespace="shop")
    assert not answer["found"]
    assert answer["question"]["resource"] == "pods"
    with pytest.raises(UsageError, match="'verb' is missing"):
        asked(session, "granted", user="bob")


def test_show_rebuilds_the_object(session: Session) -> None:
    answer = asked(session, "show", object="pod/web-1", namespace="shop")
    assert answer["object"]["metadata"]["labels"] == {"app": "api"}
    assert answer["how"] == "rebuilt"
