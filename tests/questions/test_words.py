"""Times, objects and fields as people type them."""

from __future__ import annotations

from datetime import datetime

import pytest

from kubewitness.errors import UsageError
from kubewitness.formats.times import parse_us
from kubewitness.questions.filters import Filter, field_names, parse_words, tables_for, where
from kubewitness.questions.targets import parse_target
from kubewitness.questions.times import parse_time
from kubewitness.questions.views import VIEWS
from kubewitness.store.schema import TABLE_COLUMNS

NOW = parse_us("2026-03-01T12:00:00Z")
MINUTE = 60_000_000


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2026-03-01T11:00:00Z", NOW - 60 * MINUTE),
        ("2026-03-01T13:00:00+02:00", NOW - 60 * MINUTE),
        ("2026-03-01T11:00:00.250Z", NOW - 60 * MINUTE + 250_000),
        ("15m", NOW - 15 * MINUTE),
        ("1h30m", NOW - 90 * MINUTE),
        ("2d", NOW - 2880 * MINUTE),
        ("90s ago", NOW - 90_000_000),
        ("now", NOW),
    ],
)
def test_times_and_ages_are_understood(text: str, us: int) -> None:
    assert parse_time(text, now=NOW) == us


def test_a_clock_time_is_the_last_such_local_time() -> None:
    us = parse_time("10:42", now=NOW)
    local = datetime.fromtimestamp(us / 1e6)
    assert (local.hour, local.minute, local.second) == (10, 42, 0)
    assert NOW - 24 * 60 * MINUTE < us <= NOW


def test_a_local_date_and_time_without_offset_is_local() -> None:
    us = parse_time("2026-03-01 10:42:07", now=NOW)
    assert datetime.fromtimestamp(us / 1e6) == datetime(2026, 3, 1, 10, 42, 7)


@pytest.mark.parametrize("text", ["yesteryear", "10:99", "15 parsecs", "", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused_with_the_option_named(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parse_time(text, now=NOW, option="--since")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pod/web-1"], "Pod/shop/web-1"),
        (["pods", "web-1"], "Pod/shop/web-1"),
        (["po/web-1"], "Pod/shop/web-1"),
        (["Deployment/web"], "Deployment/shop/web"),
        (["deployments.apps/web"], "Deployment/shop/web"),
        (["no/n1"], "Node/n1"),
        (["widgets.example.com/w"], "Widget/shop/w"),
    ],
)
def test_objects_are_named_as_kubectl_users_do(words: list[str], said: str) -> None:
    assert str(parse_target(words, namespace="shop", cluster="default")) == said


def test_the_namespace_is_default_when_none_is_given() -> None:
    assert parse_target(["pod/x"], namespace=None, cluster="c").namespace == "default"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["pood/x"], "did you mean 'pod'"),
        (["pod"], "KIND/NAME"),
        (["pod/"], "name is missing"),
        (["pod,rs/x"], "one kind at a time"),
        (["pod/a", "pod/b"], "one object at a time"),
        ([], "KIND/NAME"),
    ],
)
def test_what_names_no_object_is_refused_with_a_hint(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        parse_target(words, namespace="shop", cluster="default")


def test_a_recorded_custom_kind_needs_no_group() -> None:
    ref = parse_target(["widget/w"], namespace="shop", cluster="c", known=[("example.com", "widgets")])
    assert (ref.group, ref.resource) == ("example.com", "widgets")


def test_every_field_is_a_column_of_its_table() -> None:
    for view in VIEWS.values():
        columns = {name for name, _ in TABLE_COLUMNS[view.table]}
        assert set(view.fields.values()) <= columns, view.table
        assert set(view.columns) <= columns, view.table
        assert set(view.text) <= columns, view.table


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'namespace'"):
        parse_words(["namspace=shop"])


def test_words_are_conditions_or_text() -> None:
    conditions, text = parse_words(["user=alice", "code>=400", "oom killed", "name=a=b"])
    assert [(c.field, c.operator, c.value) for c in conditions] == [
        ("user", "=", "alice"),
        ("code", ">=", "400"),
        ("name", "=", "a=b"),
    ]
    assert text == "oom killed"


def test_conditions_choose_the_tables_that_have_the_fields() -> None:
    conditions, _ = parse_words(["type=Warning"])
    assert [v.table for v in tables_for(conditions)] == ["events"]
    conditions, _ = parse_words(["source=audit,event"])
    assert [v.table for v in tables_for(conditions)] == ["audit", "events"]


def test_values_are_bound_and_never_part_of_the_sql() -> None:
    evil = "x' OR 1=1 --"
    for field in field_names():
        if field in ("source", "id", "kind", "time", "code", "count", "offset", "generation"):
            continue
        conditions, _ = parse_words([f"{field}={evil}", f"{field}~{'a'}"])
        for view in tables_for(conditions):
            sql, params = where(view, Filter(conditions, text=evil))
            assert evil not in sql
            assert evil in params or field == "dry_run"


@pytest.mark.parametrize("word", ["code=abc", "user~[", "id=nonsense", "source=nowhere"])
def test_values_that_make_no_sense_are_refused(word: str) -> None:
    conditions, _ = parse_words([word])

    def all_of_it() -> None:
        for view in tables_for(conditions):
            where(view, Filter(conditions))

    with pytest.raises(UsageError):
        all_of_it()
