"""Filter `rewrite_tag`: the manual's examples, copies and their identity, the way through other filters."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.pipeline.filtering import Filters, Step
from tests.filters.samples import chunk_of_json, chunk_of_lines, made

TOOL = {"tool": "fluent", "sub": {"s1": {"s2": "bit"}}}


def tags(rules: str | list[str], records: list[Any], tag: str = "test_tag") -> dict[str, int]:
    """New tag -> records."""
    lines = [rules] if isinstance(rules, str) else rules
    filter_ = made("rewrite_tag", [("rule", line) for line in lines])
    return {c.tag: len(c) for c in filter_.apply(chunk_of_json(records, tag=tag))}


def test_the_example_of_the_manual() -> None:
    rule = "$tool ^(fluent)$  from.$TAG.new.$tool.$sub['s1']['s2'].out false"
    assert tags(rule, [TOOL]) == {"from.test_tag.new.fluent.bit.out": 1}


def test_parts_of_the_tag_and_groups() -> None:
    record = {"name": "abc-123", "ss": {"s1": {"s2": "flb"}}}
    rule = "$name ^([a-z]+)-([0-9]+)$ newtag.$TAG.$TAG[1].$1.$ss['s1']['s2'].out.$2 false"
    assert tags(rule, [record], "aa.bb.cc") == {"newtag.aa.bb.cc.bb.abc.flb.out.123": 1}


def test_the_first_rule_that_matches_counts_and_others_stay() -> None:
    rules = ["$log ^a one false", "$log a two false"]
    assert tags(rules, [{"log": "a"}, {"log": "ba"}, {"log": "c"}, {"log": 5}, {}]) == {
        "test_tag": 3,
        "one": 1,
        "two": 1,
    }


def test_a_copy_has_an_identity_of_its_own_that_is_the_same_next_time() -> None:
    chunk = chunk_of_json([TOOL, TOOL])
    keep = made("rewrite_tag", {"rule": "$tool . copy.$TAG true"})
    stays, copy = keep.apply(chunk)
    assert (stays, copy.tag, copy.data) == (chunk, "copy.kube.audit", chunk.data)
    assert {copy.key(0), copy.key(1)}.isdisjoint({chunk.key(0), chunk.key(1)})
    assert keep.apply(chunk)[1].keys == copy.keys


def test_a_moved_record_keeps_its_identity_bytes_and_form() -> None:
    chunk = chunk_of_lines([b"2026-11-22T19:26:05.038Z stdout F go"], "cri")
    (moved,) = made("rewrite_tag", {"rule": "$stream ^(.*)$ by.$1 false"}).apply(chunk)
    assert (moved.tag, moved.form, moved.data, moved.keys) == ("by.stdout", "cri", chunk.data, chunk.keys)


def test_a_rule_that_gives_the_same_tag_moves_nothing() -> None:
    assert tags("$tool . $TAG false", [TOOL]) == {"test_tag": 1}


def test_moved_records_pass_the_filters_before_it_but_not_itself_again() -> None:
    grep = made("grep", {"exclude": "tool fluent"})
    rewrite = made("rewrite_tag", {"rule": "$tool . moved.$TAG true"})
    filters = Filters([Step(grep, lambda tag: tag.startswith("moved.")), Step(rewrite, lambda tag: True)])
    left = filters.apply(chunk_of_json([TOOL, {"tool": "other"}]))
    assert [(c.tag, len(c)) for c in left] == [("kube.audit", 2), ("moved.kube.audit", 1)]
    counts = filters.health()["rewrite_tag"]
    assert (counts["drop_records"], counts["emit_records"]) == (0, 2)


@pytest.mark.parametrize("rule", ["$a b", "$a b c", "$a ( c true", "$a b c maybe", "$a[ b c true"])
def test_a_rule_that_cannot_be_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="filter rewrite_tag"):
        made("rewrite_tag", {"rule": rule})
