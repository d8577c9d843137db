"""The asking commands as people run them: text, JSON, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main
from kubewitness.questions.model import TimelineRow
from tests.fixtures_demo import Demo
from tests.questions.recordings import imported


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cli") / "state"
    imported(folder, Demo().captures)
    return str(folder)


@pytest.fixture(scope="module")
def drained() -> dict[str, Any]:
    truth = json.loads(Demo().truth_file.read_text())
    found: dict[str, Any] = next(v for v in truth["vanished"] if v["mechanism"] == "drain")
    return found


def test_who_says_the_sentence_first_and_then_the_chain(
    state: str, drained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["who", f"pod/{drained['name']}", "-n", drained["namespace"], "--state", state])
    out = capsys.readouterr().out
    assert code == 0
    assert out.splitlines()[0].startswith(f"alice drained node {drained['node']}")
    assert "drain, proved" in out
    assert "audit:default/" in out
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", out)
    assert "\x1b[" not in out


def test_who_as_json_has_the_contracts_keys(
    state: str, drained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["who", "evicted", "pod", drained["name"], "-n", drained["namespace"], "-o", "json", "--state", state])
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) >= {
        "question", "found", "mechanism", "when", "actor", "root", "certainty", "summary", "chain", "candidates",
        "missing", "gaps",
    }  # fmt: skip
    assert set(answer["question"]) >= {"verb", "cluster", "kind", "namespace", "name", "uid", "at"}
    assert answer["question"]["uid"] == drained["uid"]
    assert set(answer["root"]) >= {"user", "kind", "acting_as", "action", "object", "when"}
    assert set(answer["actor"]) >= {"user", "kind", "acting_as", "groups", "peer_ip", "claimed_ips", "user_agent"}
    for link in answer["chain"]:
        assert set(link) >= {"when", "actor", "action", "object", "sentence", "certainty", "evidence"}


def test_nothing_found_is_exit_code_1_with_near_names(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "deploy/wep", "-n", "shop", "--state", state]) == 1
    assert "web" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["who", "delted", "pod/x"], "did you mean 'deleted'"),
        (["who", "pood/x"], "did you mean 'pod'"),
        (["who", "cordoned", "pod/x"], "only nodes"),
        (["who", "pod/x", "--at", "whenever"], "--at"),
        (["search", "usr=alice"], "did you mean 'user'"),
        (["top", "colour"], "unknown field"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(
    words: list[str], hint: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--state", state]) == 2
    err = capsys.readouterr().err
    assert hint in err
    assert err.count("\n") == 1


def test_a_state_without_records_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "pod/x", "--state", str(tmp_path / "nothing")]) == 3
    assert "nothing has been recorded" in capsys.readouterr().err


def test_timeline_prints_every_form(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["timeline", "deploy/web", "-n", "shop", "--state", state]
    assert main([*words, "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [set(r) for r in rows] == [set(TimelineRow.__struct_fields__)] * len(rows)
    assert main([*words, "-o", "jsonl"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    assert main([*words, "-o", "csv"]) == 0
    columns = "when,source,actor,action,object,outcome,count,summary,id,until,duration_ms,stages,joined"
    assert capsys.readouterr().out.splitlines()[0] == columns
    assert main(words) == 0
    assert "ci-bot" in capsys.readouterr().out


def test_search_top_and_show_answer(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "user=bob", "code=403", "--state", state]) == 0
    assert "refused, 403 Forbidden" in capsys.readouterr().out
    assert main(["search", "user=nobody", "--state", state]) == 1
    capsys.readouterr()
    assert main(["top", "user", "verb=delete", "--state", state, "-o", "csv"]) == 0
    assert capsys.readouterr().out.startswith("value,count,first,last\n")
    assert main(["show", "deploy/web", "-n", "shop", "--state", state]) == 0
    printed = capsys.readouterr()
    assert "image: shop/web" in printed.out
    assert "managedFields" not in printed.out
    assert "audit:default/" in printed.err


def test_tail_ends_after_the_time_asked_for(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "user=bob", "--since", "1h", "--for", "0s", "-o", "jsonl", "--state", state]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(json.loads(line)["actor"] == "bob" for line in lines)


def test_what_a_cluster_says_cannot_drive_the_terminal() -> None:
    from kubewitness.cli.render import clean

    assert clean("a\x1b[31mb\nc\u202ed") == "a[31mb cd"


def test_the_demo_prints_three_right_answers_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo", "--no-serve"]) == 0
    out = capsys.readouterr().out
    assert out.count("$ kubewitness who") == 3
    assert "drain, proved" in out
    assert "rollout, proved" in out
    assert list(tmp_path.iterdir()) == []


def test_with_several_clusters_recorded_the_question_must_name_one(
    drained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, *_ = Demo().captures
    for cluster in ("east", "west"):
        assert main(["import", "-q", "--cluster", cluster, "--state", str(tmp_path / "s"), str(one)]) == 0
    capsys.readouterr()
    asked = ["who", f"pod/{drained['name']}", "-n", drained["namespace"], "--state", str(tmp_path / "s")]
    assert main(asked) == 2
    assert "several clusters are recorded (east, west); choose one with --cluster" in capsys.readouterr().err
    assert main([*asked, "--cluster", "west"]) == 0
    assert "alice drained" in capsys.readouterr().out


def test_trace_prints_the_tree_of_what_a_request_set_off(
    state: str, drained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["who", "deleted", f"pod/{drained['name']}", "-n", drained["namespace"], "-o", "json", "--state", state]
    assert main(asked) == 0
    root = json.loads(capsys.readouterr().out)["chain"][-1]["evidence"][0]
    assert main(["trace", root, "--no-events", "--state", state]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"alice changed node {drained['node']}")
    assert any(line.startswith(("├─", "└─")) and drained["name"] in line for line in lines)
    assert main(["trace", "00000000-0000-4000-8000-000000000000", "--state", state]) == 1


def test_trace_refuses_what_is_no_request_and_limits_that_are_none(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "event:default/x@1", "--state", state]) == 2
    with pytest.raises(SystemExit):
        main(["trace", "abc", "--limit", "0", "--state", state])
    assert "not a number" in capsys.readouterr().err


def test_diff_names_the_fields_with_old_and_new_value_and_who(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "deploy/web", "-n", "shop", "--state", state]) == 0
    out = capsys.readouterr().out
    assert "spec.template.spec.containers.web.image\n    - shop/web:1.0\n    + shop/web:1.1\n" in out
    assert "ci-bot, as field manager kubectl-set" in out
    assert main(["diff", "deploy/web", "-n", "shop", "-o", "json", "--state", state]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {
        "found", "object", "uid", "before", "after", "exact", "changes", "unknown", "deleted", "notes", "gaps",
    }  # fmt: skip
    assert set(answer["changes"][0]) == {
        "path", "field", "old", "new", "user", "acting_as", "manager", "webhook", "when", "certainty", "evidence",
    }  # fmt: skip
    assert main(["diff", "deploy/nothing", "-n", "shop", "--state", state]) == 1
    assert main(["diff", "deploy/web", "--from", "1h", "--to", "2h", "--state", state]) == 2


def test_granted_says_which_binding_and_exits_1_where_none_is(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "granted", "bob", "delete", "pods", "-n", "shop", "--state", state]) == 0
    out = capsys.readouterr().out
    assert out.startswith("bob could delete pods in shop by RoleBinding/shop/devs-developer of ClusterRole/developer")
    assert "binding by admin" in out
    assert main(["who", "granted", "bob", "get", "secrets", "-n", "payments", "--state", state]) == 1
    assert main(["who", "granted", "rolebinding/devs-developer", "-n", "shop", "-q", "--state", state]) == 0
    assert main(["who", "granted", "pod/web", "-n", "shop", "--state", state]) == 2
