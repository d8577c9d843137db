"""Keys for every filter of the table, and records to put through them."""

from __future__ import annotations

import importlib
import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from hypothesis import strategies as st

from kubewitness.config import classic
from kubewitness.config.tree import Draft
from kubewitness.contracts import Filter
from kubewitness.filters import FILTERS
from kubewitness.parsers.library import Library
from kubewitness.record import KEY_BYTES, Chunk, ChunkBuilder, Origin

Pairs = Sequence[tuple[str, str]]

ALICE = {"verb": "get", "user": {"username": "alice", "groups": ["devs"]}, "code": 200, "log": "hello world"}


#: values of filter `checklist`
LIST = Path(__file__).parent / "words.txt"


class Sample(NamedTuple):
    """Keys of a filter, and what it may do: drop records, change them, give them another tag. `hides`: it lets nothing
    through that it cannot read. `holds`: it joins records, and may hold some back."""

    keys: Pairs
    drops: bool = False
    changes: bool = False
    retags: bool = False
    hides: bool = False
    holds: bool = False


#: at least one for each filter: the contract tests refuse a filter without
SAMPLES: Mapping[str, Sequence[Sample]] = {
    "grep": [
        Sample([("regex", "log a"), ("exclude", "$user['username'] ^(bob|carol)$")], drops=True),
        Sample([("logical_op", "or"), ("regex", "log ^.$"), ("regex", "$a['b'] \\d")], drops=True),
        Sample([("logical_op", "and"), ("exclude", "log x"), ("exclude", "verb get")], drops=True),
    ],
    "modify": [
        Sample(
            [
                ("condition", "key_does_not_exist nothing"),
                ("add", "added 1"),
                ("rename", "log message"),
                ("set", "verb list"),
                ("hard_copy", "verb log"),
                ("remove_wildcard", "u"),
                ("move_to_start", "v"),
            ],
            changes=True,
        ),
        Sample([("condition", "matching_keys_have_matching_values . ^[a-z]*$"), ("remove_regex", "^l")], changes=True),
    ],
    "record_modifier": [
        Sample([("record", "cluster east"), ("remove_key", "LOG"), ("uuid_key", "id")], changes=True),
        Sample([("allowlist_key", "verb"), ("whitelist_key", "u*"), ("record", "verb 1")], changes=True),
    ],
    "nest": [
        Sample([("operation", "nest"), ("wildcard", "u*"), ("wildcard", "log"), ("nest_under", "a")], changes=True),
        Sample([("operation", "lift"), ("nested_under", "user"), ("add_prefix", "user_")], changes=True),
    ],
    "rewrite_tag": [
        Sample([("rule", "$log ^a(.*) a.$TAG.$1.$user['username'] false")], retags=True),
        Sample([("rule", "$verb . copy.$verb true"), ("rule", "$log . $nothing false")], retags=True),
    ],
    "throttle": [Sample([("rate", "2"), ("window", "1"), ("interval", "1h")], drops=True)],
    "type_converter": [
        Sample(
            [
                ("str_key", "log log int"),
                ("int_key", "code code string"),
                ("float_key", "a b int"),
                ("uint_key", "b a bool"),
            ],
            changes=True,
        )
    ],
    "checklist": [
        Sample(
            [("file", str(LIST)), ("lookup_key", "$log"), ("record", "listed yes"), ("mode", "partial")], changes=True
        ),
        Sample(
            [("file", str(LIST)), ("lookup_key", "$user['username']"), ("record", "x 1"), ("ignore_case", "on")],
            changes=True,
        ),
    ],
    "expect": [
        Sample([("key_exists", "log"), ("key_val_eq", "verb get")]),
        Sample([("key_val_is_null", "$a['b']"), ("action", "result_key"), ("result_key", "log")], changes=True),
    ],
    "log_to_metrics": [
        Sample([("metric_name", "all"), ("label_field", "verb"), ("regex", "log .")]),
        Sample([("metric_mode", "histogram"), ("value_field", "code"), ("kubernetes_mode", "on")]),
        Sample([("metric_mode", "gauge"), ("value_field", "code"), ("discard_logs", "on")], drops=True),
    ],
    "redact": [
        Sample(
            [("key", "$user['username']"), ("key", "log"), ("pattern", "\\d"), ("builtin", "email, card")],
            changes=True,
            hides=True,
        ),
    ],
    "expr": [
        Sample([("keep", "has(record.log) && record.log != 'aa'"), ("on_error", "drop")], drops=True),
        Sample([("set", "n size(record)"), ("set", "log record.verb + tag")], changes=True),
    ],
    "parser": [
        Sample([("key_name", "log"), ("parser", "json"), ("parser", "logfmt"), ("reserve_data", "on")], changes=True),
        Sample([("key_name", "log"), ("parser", "json"), ("preserve_key", "on"), ("unescape_key", "on")], changes=True),
    ],
    "multiline": [
        Sample([("multiline.parser", "java"), ("multiline.parser", "go")], changes=True, holds=True),
        Sample([("mode", "partial_message")], changes=True, holds=True),
    ],
    "kubernetes": [
        Sample([("use_tag_for_meta", "on"), ("merge_log", "on"), ("regex_parser", "json")], changes=True),
        Sample([("dummy_meta", "on")], changes=True),
        Sample([("use_journal", "on"), ("use_tag_for_meta", "on"), ("keep_log", "off")], changes=True),
    ],
    "dedupe": [
        Sample([], drops=True),
        Sample([("key", "log"), ("key", "$user['username']"), ("max_keys", "2")], drops=True),
    ],
}


def made(plugin: str, keys: Pairs | Mapping[str, str], name: str = "") -> Filter:
    """A filter of the table."""
    module, cls = FILTERS[plugin]
    return cast(Filter, getattr(importlib.import_module(module), cls)(keys, name=name or plugin))


def library_of(directory: Path, text: str) -> Library:
    """The parsers of a file in the classic form."""
    draft = Draft(directory / "parsers.conf")
    draft.path.write_text(text)
    classic.read(draft.path, draft)
    kinds = {kind: [s for s in draft.sections if s.kind == kind] for kind in ("parser", "multiline_parser")}
    return Library(kinds["parser"], kinds["multiline_parser"])


def key_of(n: int) -> bytes:
    return n.to_bytes(KEY_BYTES, "big")


def chunk_of_json(records: Sequence[Any], table: str = "audit", tag: str = "kube.audit") -> Chunk:
    """A chunk of a JSON table; every record has a key of its own."""
    builder = ChunkBuilder(table, source="a file", tag=tag, received_us=1_000_000)
    for i, record in enumerate(records):
        builder.add(record if isinstance(record, bytes) else json.dumps(record).encode(), key_of(i))
    chunk = builder.take()
    chunk.times = array("q", [10_000 + i for i in range(len(records))])
    return chunk


def chunk_of_lines(lines: Sequence[bytes], form: str = "text", tag: str = "kube.log") -> Chunk:
    """A chunk of log lines, as input `tail` makes them."""
    builder = ChunkBuilder("logs", source="app.log", tag=tag, received_us=1_000_000, form=form)
    for i, line in enumerate(lines):
        builder.add(line, key_of(i))
    chunk = builder.take()
    chunk.lines = True
    chunk.origin = Origin("app.log", offset=100, node="n1")
    return chunk


def through(filter_: Filter, records: Sequence[Any], tag: str = "kube.audit") -> list[Any]:
    """The records that are left, decoded."""
    return [json.loads(r) for c in filter_.apply(chunk_of_json(records, tag=tag)) for r in c.records()]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_KEYS = st.sampled_from(["log", "verb", "user", "username", "code", "a", "b", "time", "kubernetes"]) | _TEXT
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
    | st.sampled_from(["get", "alice", "bob", "10", "1.5", "true", "aa"])
)  # fmt: skip
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=8
)
RECORDS = st.dictionaries(_KEYS, VALUES, max_size=6)
