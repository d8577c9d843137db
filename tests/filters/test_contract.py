"""Every filter of the table keeps the contract (`contracts.Filter`): any record in, nothing raised, nothing missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubewitness.config.elsewhere import FILTERS as ELSEWHERE
from kubewitness.errors import UsageError
from kubewitness.filters import FILTERS
from kubewitness.formats.recordform import CHANGED
from kubewitness.pipeline.filtering import Filters, Step
from kubewitness.record import Chunk
from tests.filters.samples import RECORDS, SAMPLES, Sample, chunk_of_json, chunk_of_lines, key_of, made

CASES = [
    pytest.param(plugin, sample, id=f"{plugin}-{n}")
    for plugin in FILTERS
    for n, sample in enumerate(SAMPLES.get(plugin, ()))
]
quick = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one(plugin: str, sample: Sample) -> Filters:
    return Filters([Step(made(plugin, sample.keys), lambda tag: True)])


def check(plugin: str, sample: Sample, chunk: Chunk) -> None:
    """Puts a chunk through and checks what holds for all filters."""
    filters = one(plugin, sample)
    before = list(chunk.records())
    left = [*filters.apply(chunk), *filters.expire(everything=True)]
    counts: dict[str, Any] = filters.health()[plugin]
    assert list(chunk.records()) == before, "a filter changes no chunk that it was given"
    assert counts["records"] == len(chunk)
    own = [c for c in left if c.tag == chunk.tag]
    kept = sum(len(c) for c in own)
    assert kept == len(chunk) - counts["drop_records"] + counts["add_records"] - counts.get("joined", 0)
    assert counts["drop_records"] == 0 or sample.drops or sample.retags
    if not sample.retags:
        assert own == left
    if not sample.drops and not sample.retags and not sample.holds:
        assert kept == len(chunk)
    for part in own:
        places = [next(i for i in range(len(chunk)) if chunk.key(i) == part.key(n)) for n in range(len(part))]
        assert places == sorted(places), "the order is kept"
        if chunk.times is not None and part.times is not None:
            assert list(part.times) == [chunk.times[i] for i in places]
        for n, (i, record) in enumerate(zip(places, part.records(), strict=True)):
            if record != before[i] and part.form == chunk.form:
                assert sample.changes
                assert CHANGED in part.notes[n].flags
            if part.form == "record" or record != before[i]:
                assert isinstance(json.loads(record.decode("utf-8", "replace")), dict)
        again = Chunk.from_parts(part.header(), part.data)
        assert list(again.records()) == list(part.records())
        assert again.times == part.times
    for value in counts.values():
        assert isinstance(value, int | float | str | dict), "health is numbers and words"


@pytest.mark.parametrize("plugin", FILTERS)
def test_every_filter_has_samples_and_declares_its_keys(plugin: str) -> None:
    assert SAMPLES[plugin]
    with pytest.raises(UsageError, match=f"filter {plugin}: unknown key 'no_such_key'"):
        made(plugin, [*SAMPLES[plugin][0].keys, ("no_such_key", "1")])


def test_what_is_refused_says_what_to_use_instead() -> None:
    assert "expr" in ELSEWHERE["lua"]


@pytest.mark.parametrize(("plugin", "sample"), CASES)
@quick
@given(records=st.lists(RECORDS, max_size=5))
def test_any_json_records_go_through(plugin: str, sample: Sample, records: list[dict[str, Any]]) -> None:
    check(plugin, sample, chunk_of_json(records))


@pytest.mark.parametrize(("plugin", "sample"), CASES)
@pytest.mark.parametrize("form", ["text", "cri", "docker", "json"])
def test_log_lines_of_every_form_go_through(plugin: str, sample: Sample, form: str) -> None:
    lines = [
        b'{"log":"aa\\n","stream":"stdout","time":"2026-11-22T19:26:05.038Z"}',
        b"2026-11-22T19:26:05.038000000Z stderr F aa \xc3\xa4 \xff",
        b"",
        b"plain aa",
        b'{"level": "info", "msg": "aa", "a": {"b": 1}}',
    ]
    check(plugin, sample, chunk_of_lines(lines, form))


@pytest.mark.parametrize(("plugin", "sample"), CASES)
def test_what_is_no_json_object_passes_and_is_counted(plugin: str, sample: Sample) -> None:
    records = [b"[1]", b"{", b"\xff", b'{"log":"\xff"}', b'{"log":"\\ud800"}', b'{"a":1e400,"log":"a"}', b"{" * 3000]
    chunk = chunk_of_json(records)
    filters = one(plugin, sample)
    left = [*filters.apply(chunk), *filters.expire(everything=True)]
    kept = {part.key(n): r for part in left for n, r in enumerate(part.records())}
    for i in (0, 1, 2, 6):
        if sample.hides:
            assert json.loads(kept[key_of(i)]) == {"redacted": "REDACTED"}
        elif not sample.drops or plugin == "grep":
            assert kept[key_of(i)] == records[i]


@pytest.mark.parametrize(("plugin", "sample"), CASES)
def test_rejects_and_other_tags_are_not_touched(plugin: str, sample: Sample) -> None:
    rejects = chunk_of_json([b"\xff", b'{"log":"x"}'], table="rejects")
    assert one(plugin, sample).apply(rejects) == [rejects]
    other = chunk_of_json([{"log": "x"}])
    assert Filters([Step(made(plugin, sample.keys), lambda tag: False)]).apply(other) == [other]
