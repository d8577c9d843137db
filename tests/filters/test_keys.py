"""Filters that add, remove, move and convert keys: `record_modifier`, `nest`, `type_converter`, `checklist`. The
examples are those of Fluent Bit's manual, worked out by hand."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from kubewitness.errors import UsageError
from tests.filters.samples import Pairs, chunk_of_json, made, through

MEMORY = {
    "Mem.total": 1016024,
    "Mem.used": 716672,
    "Mem.free": 299352,
    "Swap.total": 2064380,
    "Swap.used": 32656,
    "Swap.free": 2031724,
}


def ordered(plugin: str, pairs: Pairs, record: Mapping[str, object]) -> str:
    """The record that comes out, keys in their order."""
    (left,) = made(plugin, pairs).apply(chunk_of_json([record]))
    return json.dumps(json.loads(left.data))


# --- record_modifier --------------------------------------------------------------------------------------------------


def test_fields_are_appended() -> None:
    pairs = [("Record", "hostname localhost.localdomain"), ("Record", "product Awesome_Tool")]
    assert ordered("record_modifier", pairs, MEMORY) == json.dumps(
        {**MEMORY, "hostname": "localhost.localdomain", "product": "Awesome_Tool"}
    )


@pytest.mark.parametrize(
    "pairs",
    [
        [("Remove_key", "Swap.total"), ("Remove_key", "Swap.used"), ("Remove_key", "swap.FREE")],
        [("Remove_key", "Swap*")],
        [("Allowlist_key", "Mem.total"), ("Allowlist_key", "Mem.used"), ("Whitelist_key", "mem.free")],
    ],
)
def test_fields_are_removed_or_only_some_stay(pairs: Pairs) -> None:
    left = {k: v for k, v in MEMORY.items() if k.startswith("Mem")}
    assert ordered("record_modifier", pairs, MEMORY) == json.dumps(left)


def test_what_is_appended_stands_there_once_and_is_not_removed() -> None:
    pairs = [("record", "a 'two words'"), ("remove_key", "a"), ("remove_key", "b")]
    assert ordered("record_modifier", pairs, {"a": 1, "b": 2, "c": 3}) == '{"c": 3, "a": "two words"}'


def test_every_record_gets_a_uuid_of_its_own() -> None:
    left = through(made("record_modifier", {"uuid_key": "id"}), [{"a": 1}, {"a": 1}])
    assert len({uuid.UUID(r["id"]) for r in left}) == 2


def test_removing_and_allowing_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        made("record_modifier", [("remove_key", "a"), ("allowlist_key", "b")])


# --- nest -------------------------------------------------------------------------------------------------------------

NEST = [("operation", "nest"), ("wildcard", "Mem.*"), ("nest_under", "Memstats"), ("remove_prefix", "Mem.")]


def test_nest_of_the_manual() -> None:
    assert ordered("nest", NEST, MEMORY) == (
        '{"Swap.total": 2064380, "Swap.used": 32656, "Swap.free": 2031724, '
        '"Memstats": {"total": 1016024, "used": 716672, "free": 299352}}'
    )


def test_nest_and_lift_undo_each_other() -> None:
    there = [("operation", "nest"), ("wildcard", "Mem.*"), ("wildcard", "Swap.*"), ("nest_under", "Stats"),
             ("add_prefix", "NESTED")]  # fmt: skip
    back = [("operation", "lift"), ("nested_under", "Stats"), ("remove_prefix", "NESTED")]
    nested = json.loads(ordered("nest", there, MEMORY))
    assert list(nested) == ["Stats"]
    assert next(iter(nested["Stats"])) == "NESTEDMem.total"
    assert ordered("nest", back, nested) == json.dumps(MEMORY)


def test_three_levels_and_back_with_prefixes() -> None:
    record: dict[str, object] = dict(MEMORY)
    for wildcard, under in (("Mem.*", "LAYER1"), ("LAYER1*", "LAYER2"), ("LAYER2*", "LAYER3")):
        record = json.loads(
            ordered("nest", [("operation", "nest"), ("wildcard", wildcard), ("nest_under", under)], record)
        )
    assert list(record) == ["Swap.total", "Swap.used", "Swap.free", "LAYER3"]
    assert record["LAYER3"] == {"LAYER2": {"LAYER1": {k: v for k, v in MEMORY.items() if k.startswith("Mem")}}}
    for under, prefix in (
        ("LAYER3", "Lifted3_"), ("Lifted3_LAYER2", "Lifted3_Lifted2_"),
        ("Lifted3_Lifted2_LAYER1", "Lifted3_Lifted2_Lifted1_"),
    ):  # fmt: skip
        record = json.loads(
            ordered("nest", [("operation", "lift"), ("nested_under", under), ("add_prefix", prefix)], record)
        )
    assert list(record)[3:] == [f"Lifted3_Lifted2_Lifted1_Mem.{k}" for k in ("total", "used", "free")]


@pytest.mark.parametrize(
    ("pairs", "record"),
    [
        (NEST, {"other": 1}),
        (NEST, {"Mem.used": 1, "Memstats": "in the way"}),
        ([("operation", "lift"), ("nested_under", "a")], {"a": "no object"}),
        ([("operation", "lift"), ("nested_under", "a")], {"b": {"c": 1}}),
    ],
)
def test_nest_leaves_alone_what_does_not_fit(pairs: Pairs, record: dict[str, object]) -> None:
    chunk = chunk_of_json([record])
    assert made("nest", pairs).apply(chunk) == [chunk]


def test_nesting_under_an_object_that_is_there_adds_to_it() -> None:
    assert ordered("nest", NEST, {"Memstats": {"total": 1, "x": 2}, "Mem.total": 3}) == (
        '{"Memstats": {"total": 3, "x": 2}}'
    )


@pytest.mark.parametrize("pairs", [[], [("operation", "nest")], [("operation", "lift"), ("nest_under", "a")],
                                   [*NEST, ("add_prefix", "x")]])  # fmt: skip
def test_nest_refuses_what_cannot_be(pairs: Pairs) -> None:
    with pytest.raises(UsageError, match="filter nest"):
        made("nest", pairs)


# --- type_converter ---------------------------------------------------------------------------------------------------


def test_numbers_to_strings_of_the_manual() -> None:
    pairs = [("uint_key", f"Mem.{k} Mem.{k}_str string") for k in ("total", "used", "free")]
    assert ordered("type_converter", pairs, MEMORY) == json.dumps(
        {**MEMORY, "Mem.total_str": "1016024", "Mem.used_str": "716672", "Mem.free_str": "299352"}
    )


@pytest.mark.parametrize(
    ("rule", "value", "result"),
    [
        (("str_key", "int"), "-12", -12),
        (("str_key", "uint"), "-12", None),
        (("str_key", "hex"), "0x1F", 31),
        (("str_key", "float"), "1.5", 1.5),
        (("str_key", "float"), "nan", None),
        (("str_key", "int"), "twelve", None),
        (("str_key", "bool"), "True", True),
        (("int_key", "float"), 3, 3.0),
        (("int_key", "string"), -3, "-3"),
        (("int_key", "string"), "3", None),
        (("uint_key", "string"), -3, None),
        (("float_key", "string"), 0.5, "0.500000"),
        (("float_key", "int"), 2.9, 2),
        (("int_key", "int"), True, None),
    ],
)
def test_every_conversion(rule: tuple[str, str], value: object, result: object) -> None:
    (left,) = through(made("type_converter", {rule[0]: f"$a['b'] to {rule[1]}"}), [{"a": {"b": value}}])
    assert left.get("to") == result
    assert type(left.get("to")) is type(result)


@pytest.mark.parametrize("value", ["a b", "a b number"])
def test_a_conversion_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="'str_key'"):
        made("type_converter", {"str_key": value})


# --- checklist --------------------------------------------------------------------------------------------------------


def test_checklist_of_the_manual(tmp_path: Path) -> None:
    (tmp_path / "ip_list.txt").write_text("# bad ones\n1.2.3.4\n6.6.4.232\n\n7.7.7.7\n")
    pairs = [("file", str(tmp_path / "ip_list.txt")), ("lookup_key", "$remote_addr"), ("record", "ioc    abc"),
             ("record", "badurl null")]  # fmt: skip
    rest = {"ioc": "false", "url": "https://badurl.com/payload.htm", "badurl": "no"}
    records = [{"remote_addr": value, **rest} for value in (True, "7.7.7.2", "7.7.7.7")]
    (left,) = made("checklist", pairs).apply(chunk_of_json(records))
    assert [json.loads(r) for r in left.records()] == [*records[:2], {**records[2], "ioc": "abc", "badurl": "null"}]
    assert list(left.records())[2] == (
        b'{"remote_addr":"7.7.7.7","ioc":"abc","url":"https://badurl.com/payload.htm","badurl":"null"}'
    )


@pytest.mark.parametrize(
    ("more", "value", "found"),
    [
        ([], "mal", False),
        ([], "MALWARE", False),
        ([("ignore_case", "true")], "MALWARE", True),
        ([("mode", "partial")], "a malware b", True),
        ([("mode", "partial"), ("ignore_case", "on")], "a MalWare b", True),
        ([("mode", "partial")], "mal", False),
        ([], 5, True),
    ],
)
def test_modes_of_checklist(tmp_path: Path, more: Pairs, value: object, found: bool) -> None:
    (tmp_path / "words").write_text("malware\n5")
    pairs = [("file", str(tmp_path / "words")), ("lookup_key", "log"), ("record", "found yes"), *more]
    (left,) = through(made("checklist", pairs), [{"log": value}])
    assert ("found" in left) == found


def test_checklist_may_tell_how_long_it_looked_for_what_it_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kubewitness.filters")
    (tmp_path / "words").write_text("malware\n")
    pairs = [("file", str(tmp_path / "words")), ("record", "found yes")]
    for more in ([], [("print_query_time", "on")]):
        through(made("checklist", [*pairs, *more]), [{"log": "malware"}, {"log": "other"}])
        if not more:
            assert caplog.messages == []
    (told,) = caplog.messages
    assert re.fullmatch(r"filter checklist: found in \d\.\d{6} s", told)


def test_checklist_without_its_file_is_refused(tmp_path: Path) -> None:
    for file in ("", str(tmp_path / "none")):
        with pytest.raises(UsageError, match="'file'"):
            made("checklist", [("file", file), ("record", "a b")])
