"""Parsers: what comes out of records, worked out by hand from the manual; and nothing raises, whatever the bytes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.contracts import Parsed
from kubewitness.errors import UsageError
from kubewitness.parsers import PARSERS, parser_of

#: 2026-11-27T10:00:00Z
NOW = 1_795_773_600.0


def parse(raw: bytes | str, **keys: str) -> Parsed | None:
    data = raw if isinstance(raw, bytes) else raw.encode()
    return parser_of({"name": "p", **keys}, lambda: NOW).parse(data)


def fields(raw: bytes | str, **keys: str) -> dict[str, Any] | None:
    found = parse(raw, **keys)
    return found and found.fields


def ns(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int((fraction + "000000000")[:9])


# --- json ---


def test_an_object_keeps_its_types_and_order() -> None:
    found = parse('{"b": 1, "a": {"x": [1.5, null, true]}, "text": "é"}', format="json")
    assert found == Parsed({"b": 1, "a": {"x": [1.5, None, True]}, "text": "é"}, None)
    assert list(found.fields) == ["b", "a", "text"]


@pytest.mark.parametrize("raw", [b"", b"[1]", b"1", b"{} {}", b'{"a":', b'{"a":"\xff"}', b"[" * 5000, b"text"])
def test_what_is_not_one_object_does_not_match(raw: bytes) -> None:
    assert parse(raw, format="json") is None


def test_the_time_of_an_object_is_taken_out_unless_it_is_kept() -> None:
    keys = {"format": "json", "time_format": "%Y-%m-%dT%H:%M:%S.%L%z"}
    raw = '{"time":"2026-11-22T21:25:09.518619123Z","m":1}'
    assert parse(raw, **keys) == Parsed({"m": 1}, ns("2026-11-22T21:25:09.518619123"))
    assert parse(raw, **keys, time_keep="on") == Parsed(
        {"time": "2026-11-22T21:25:09.518619123Z", "m": 1}, ns("2026-11-22T21:25:09.518619123")
    )
    assert parse(raw, **keys, time_key="ts") == Parsed({"time": "2026-11-22T21:25:09.518619123Z", "m": 1}, None)


def test_a_time_that_cannot_be_read_stays_in_the_record() -> None:
    assert parse('{"time":"yesterday"}', format="json", time_format="%s") == Parsed({"time": "yesterday"}, None)


def test_seconds_since_1970_may_be_a_number() -> None:
    keys = {"format": "json", "time_format": "%s", "time_key": "ts"}
    assert parse('{"ts":1700000000}', **keys) == Parsed({}, 1_700_000_000 * 10**9)
    assert parse('{"ts":1700000000.25}', **keys | {"time_format": "%s.%L"}) == Parsed({}, 1_700_000_000_250_000_000)


# --- regex ---

APACHE = (
    r'^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" '
    r'(?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?$'
)


def test_named_groups_become_fields_with_time_and_types() -> None:
    found = parse(
        '192.168.2.20 - - [28/Jul/2006:10:27:10 -0300] "GET /cgi-bin/try/ HTTP/1.0" 200 3395',
        format="regex", regex=APACHE, time_format="%d/%b/%Y:%H:%M:%S %z", types="code:integer size:integer",
    )  # fmt: skip
    assert found == Parsed(
        {"host": "192.168.2.20", "user": "-", "method": "GET", "path": "/cgi-bin/try/", "code": 200, "size": 3395},
        ns("2006-07-28T13:27:10"),
    )


def test_what_an_expression_does_not_find_does_not_match() -> None:
    assert parse("x", format="regex", regex="^(?<n>[0-9]+)$") is None


def test_empty_values_are_left_out_unless_they_are_wanted() -> None:
    regex = "^(?<a>x*)(?<b>y)?-(?<c>.*)$"
    assert fields("-z", format="regex", regex=regex) == {"c": "z"}
    assert fields("-z", format="regex", regex=regex, skip_empty_values="off") == {"a": "", "b": "", "c": "z"}


def test_an_expression_is_searched_for_and_lines_have_beginnings() -> None:
    assert fields("one\ntwo", format="regex", regex="^(?<w>t.*)$") == {"w": "two"}


@pytest.mark.parametrize(
    ("regex", "raw", "expected"),
    [
        (r"(?<h>\h+)-", "xx12aF-", {"h": "12aF"}),
        (r"(?<h>[\h:]+)$", "zz 12:aF", {"h": "12:aF"}),
        (r"(?m)^(?<all>.*)\z", "a\nb", {"all": "a\nb"}),
        (r"(?m:(?<all>.*))", "a\nb", {"all": "a\nb"}),
        (r"(?<all>.*)", "a\nb", {"all": "a"}),
        (r"(?<a>a)\Z", "a\n", {"a": "a"}),
        (r"(?<q>[\"'])(?<in>.*?)\k<q>", "say 'it' now", {"q": "'", "in": "it"}),
        (r"(?<n>\d{1,3})(?:\.\g<n>){3}", "10.0.0.1", {"n": "10"}),
        (r"/^(?<w>[a-z]+)$/i", "ABC", {"w": "ABC"}),
        (r"(?i:(?<w>[a-z]+))", "ABC", {"w": "ABC"}),
        (r"(?<w>[[:alpha:]]+)", "12ab", {"w": "ab"}),
        (r"^(?<w>[^]]+)\]", "ab]", {"w": "ab"}),
        (r"(?<w>[a-c&&[b-d]]+)", "abcd", {"w": "bc"}),
        (r"(?<w>[!--]+)", "x+,-", {"w": "+,-"}),
        (r"(?<w>(?>a+)b)", "aab", {"w": "aab"}),
        (r"(?<w>a++b)", "aab", {"w": "aab"}),
        (r"(?<w>\w+)", "é b", {"w": "b"}),
        (r"(?<a>x)|(?<b>y)", "y", {"b": "y"}),
        (r"^(?<w>\p{L}+)", "éß1", {"w": "éß"}),
        (r"^(?<w>[[:alpha:]]+)", "éa1", {"w": "éa"}),
        (r"^(?<w>\w+)(?<l>[[:alpha:]]+)", "a1é", {"w": "a1", "l": "é"}),
        (r"^(?<w>[\d\-[:alpha:]]+)(?<r>[^\W[:digit:]]+)", "1-éa", {"w": "1-é", "r": "a"}),
        (r"(?'w'\d+)-", "12-", {"w": "12"}),
        (r"^(?<a>x)(?<b>y)?(?(<b>)z|w)", "xw", {"a": "x"}),
        (r"^\e\[\d+m(?<w>[\x{41}-\x{43}]+)", "\x1b[31mABCD", {"w": "ABC"}),
        (r"^(?:(?<p>TCP)|(?<p>UDP)) (?<n>\d+)$", "UDP 7", {"p": "UDP", "n": "7"}),
    ],
)
def test_expressions_mean_what_they_mean_in_onigmo(regex: str, raw: str, expected: dict[str, str]) -> None:
    assert fields(raw, format="regex", regex=regex) == expected


def test_bytes_that_are_not_text_are_shown_as_escapes() -> None:
    assert fields(b"a\xffb", format="regex", regex="^(?<all>.*)$") == {"all": "a\\xffb"}


def test_an_expression_that_never_ends_is_given_up_and_counted() -> None:
    parser = parser_of({"name": "p", "format": "regex", "regex": "^(?<a>(?:a|a)*)$"})
    assert parser.parse(b"a" * 40 + b"!") is None
    assert getattr(parser, "timeouts") == 1  # noqa: B009 - not in the protocol


# --- times ---


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%Y-%m-%dT%H:%M:%S.%L", "2026-11-22T21:25:09.5", "2026-11-22T21:25:09.5"),
        ("%Y-%m-%dT%H:%M:%S.%L%z", "2026-11-22T21:25:09Z", "2026-11-22T21:25:09"),
        ("%Y-%m-%dT%H:%M:%S,%L", "2026-11-22T21:25:09,123", "2026-11-22T21:25:09.123"),
        ("%Y-%m-%d %H:%M:%S %z", "2026-11-22 21:25:09 +0530", "2026-11-22T15:55:09"),
        ("%Y-%m-%d %H:%M:%S%z", "2026-11-22 21:25:09-03:00", "2026-11-23T00:25:09"),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-11-22 21:25:09 PST", "2026-11-23T05:25:09"),
        ("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:21:25:09 Z", "2026-11-22T21:25:09"),
        ("%a %b %e %H:%M:%S %Y", "Sun Nov  2 01:02:03 2025", "2025-11-02T01:02:03"),
        ("%A, %d %B %Y %I:%M:%S %p", "Sunday, 22 November 2026 09:25:09 PM", "2026-11-22T21:25:09"),
        ("%m/%d/%y %R", "11/22/26 21:25", "2026-11-22T21:25:00"),
        ("%D %T", "11/22/99 21:25:01", "1999-11-22T21:25:01"),
        ("%Y %j", "2024 366", "2024-12-31T00:00:00"),
        ("%s", "1700000000", "2023-11-14T22:13:20"),
        ("%s%L", "1700000000123", "2023-11-14T22:13:20.123"),
        ("%Y-%m-%dT%H:%M:%SZ", "2026-11-22T21:25:60Z and more", "2026-11-22T21:26:00"),
        # without a year: the latest that is not more than a day ahead of 27 November 2026
        ("%b %d %H:%M:%S", "Nov 27 09:00:00", "2026-11-27T09:00:00"),
        ("%b %d %H:%M:%S", "Nov 28 09:00:00", "2026-11-28T09:00:00"),
        ("%b %d %H:%M:%S", "Dec  1 09:00:00", "2025-12-01T09:00:00"),
        ("%b %d %H:%M:%S", "Feb 29 09:00:00", "2024-02-29T09:00:00"),
        ("%m%d %H:%M:%S.%L", "1122 21:25:09.518619", "2026-11-22T21:25:09.518619"),
        ("%H:%M:%S", "09:30:00", "2026-11-27T09:30:00"),
    ],
)
def test_times_are_read_by_their_format(form: str, text: str, expected: str) -> None:
    found = parse(text, format="regex", regex="^(?<time>.*)$", time_format=form)
    assert found == Parsed({}, ns(expected))


@pytest.mark.parametrize(
    ("form", "text"),
    [("%Y-%m-%d", "2026-02-30"), ("%H:%M", "25:00"), ("%Y", "soon"), ("%I", "13"), ("%b %d", "Foo 3"), ("%S", "")],
)
def test_what_is_no_such_time_has_none(form: str, text: str) -> None:
    found = parse(f"<{text}>", format="regex", regex="^<(?<time>.*)>(?<rest>.*)$", time_format=form)
    assert found is not None
    assert found.time_ns is None
    assert found.fields.get("time", "") == text


def test_a_long_line_where_a_time_should_be_does_not_hang() -> None:
    for form in ("%Y  %H", "%Y %n %t %H:%M", "%b %d  %H"):
        for text in ("2026" + " " * 100_000 + "x", " " * 100_000, "9" * 100_000):
            assert parse(text, format="regex", regex="^(?<time>.*)$", time_format=form) == Parsed({"time": text}, None)


def test_times_without_a_zone_have_the_given_one() -> None:
    keys = {"format": "regex", "regex": "^(?<time>.*)$", "time_format": "%Y-%m-%d %H:%M:%S"}
    assert parse("2026-11-22 21:25:09", **keys, time_offset="+0200") == Parsed({}, ns("2026-11-22T19:25:09"))
    zoned = keys | {"time_format": "%Y-%m-%d %H:%M:%S %z", "time_offset": "+0200"}
    assert parse("2026-11-22 21:25:09 Z", **zoned) == Parsed({}, ns("2026-11-22T21:25:09"))


def test_times_without_a_zone_may_be_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        keys = {"format": "regex", "regex": "^(?<time>.*)$", "time_format": "%Y-%m-%d %H", "time_system_timezone": "on"}
        assert parse("2026-07-01 12", **keys) == Parsed({}, ns("2026-07-01T10:00:00"))
        assert parse("2026-12-01 12", **keys) == Parsed({}, ns("2026-12-01T11:00:00"))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_without_strictness_a_time_is_taken_as_far_as_it_fits() -> None:
    keys = {"format": "regex", "regex": "^(?<time>.*)$", "time_format": "%Y-%m-%dT%H:%M:%S.%L %Z"}
    assert parse("2026-11-22T21:25:09", **keys) == Parsed({"time": "2026-11-22T21:25:09"}, None)
    assert parse("2026-11-22T21:25:09", **keys, time_strict="off") == Parsed({}, ns("2026-11-22T21:25:09"))
    assert parse("2026-11-22T21:25", **keys, time_strict="off") == Parsed({}, ns("2026-11-22T21:25:00"))
    assert parse("nothing", **keys, time_strict="off") == Parsed({"time": "nothing"}, None)


# --- types and decoders ---


def test_types_may_stand_with_commas_between_them() -> None:
    assert fields("1 2", format="regex", regex=r"^(?<a>\S+) (?<b>\S+)$", types="a:integer,b:integer") == {
        "a": 1,
        "b": 2,
    }


def test_types_are_taken_as_far_as_the_value_is_one() -> None:
    regex = "^(?<a>[^ ]*) (?<b>[^ ]*) (?<c>[^ ]*) (?<d>[^ ]*) (?<e>[^ ]*)$"
    types = "a:integer b:float c:bool d:hex e:string"
    assert fields("-12ms 1.5e3 TRUE 0xff 1", format="regex", regex=regex, types=types) == {
        "a": -12, "b": 1500.0, "c": True, "d": 255, "e": "1",
    }  # fmt: skip
    assert fields("- - maybe zz 1", format="regex", regex=regex, types=types) == {
        "a": "-", "b": "-", "c": "maybe", "d": "zz", "e": "1",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["integer", "float", "hex"])
def test_a_number_may_have_any_white_space_before_it(kind: str) -> None:
    assert fields(" \x1f\t1", format="regex", regex="^(?<a>.*)$", types=f"a:{kind}") == {"a": 1}


@pytest.mark.parametrize(
    ("keys", "log", "expected"),
    [
        ({"decode_field": "json log"}, '{"a":1}', {"log": '{"a":1}', "a": 1}),
        ({"decode_field_as": "json log"}, '{"a":1}', {"log": {"a": 1}}),
        ({"decode_field_as": "json log"}, "no", {"log": "no"}),
        ({"decode_field_as": "escaped log"}, r"a\nb\"c\\n", {"log": 'a\nb"c\\n'}),
        ({"decode_field_as": "escaped_utf8 log"}, r"\u00e9\x41\101\uD83D\uDE00\U0001F600", {"log": "éAA😀😀"}),
        ({"decode_field_as": "mysql_quoted log"}, r"'it\'s'", {"log": "it's"}),
        ({"decode_field_as": "escaped log do_next\njson log"}, r"{\"a\":1}", {"log": {"a": 1}}),
        ({"decode_field_as": "json log try_next\nescaped log"}, r"a\tb", {"log": "a\tb"}),
        ({"decode_field_as": "json log\nescaped log"}, r"a\tb", {"log": r"a\tb"}),
        ({"decode_field_as": "escaped log do_next", "decode_field": "json log"}, '{"a":1}', {"log": '{"a":1}', "a": 1}),
    ],
)
def test_fields_are_decoded_by_rules(keys: dict[str, str], log: str, expected: dict[str, Any]) -> None:
    assert fields(log, format="regex", regex="^(?<log>.*)$", **keys) == expected


def test_the_time_may_come_out_of_a_decoded_field() -> None:
    raw = r'{"log":"{\"time\":\"2026-11-22\",\"m\":1}"}'
    found = parse(raw, format="json", decode_field="json log", time_format="%Y-%m-%d")
    assert found == Parsed({"log": '{"time":"2026-11-22","m":1}', "m": 1}, ns("2026-11-22T00:00:00"))


# --- mistakes ---


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": ""}, "it has no 'name'"),
        ({}, "parser p: it has no 'format'; there is"),
        ({"format": "jsn"}, "parser p: 'format' cannot be 'jsn'; did you mean 'json'?"),
        ({"format": "regex"}, "parser p: it has no 'regex'"),
        ({"format": "regex", "regex": "abc"}, "parser p: 'regex' has no named group"),
        ({"format": "regex", "regex": "(?<a>"}, "regex '(?<a>': "),
        ({"format": "json", "time_frmat": "%s"}, "unknown key 'time_frmat'; did you mean 'time_format'?"),
        ({"format": "json", "time_format": "%Q"}, "there is no directive '%Q'"),
        ({"format": "json", "time_format": "%s", "time_offset": "2 hours"}, "'time_offset' is '2 hours'"),
        ({"format": "json", "types": "a=int"}, "'types' has 'a=int'; it takes FIELD:TYPE"),
        ({"format": "json", "decode_field": "yaml log"}, "unknown decoder 'yaml'"),
        ({"format": "json", "decode_field_as": "json"}, "it takes DECODER FIELD"),
        ({"format": "json", "time_keep": "perhaps"}, "'time_keep' is 'perhaps'; it takes on or off"),
    ],
)
def test_mistakes_of_a_section_are_told(keys: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as told:
        parser_of({"name": "p", **keys})
    assert message in str(told.value)


# --- whatever the bytes ---

_SECTIONS = {
    "regex": {"regex": r"^(?<time>\S*) (?<log>.*)$"},
}
_RICH = {
    "time_format": "%Y-%m-%dT%H:%M:%S.%L%z",
    "types": "log:integer level:bool",
    "decode_field": "json log",
    "decode_field_as": "escaped_utf8 log do_next\njson log",
}
_RAW = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from([b"2026-11-22T21:25:09.5Z", b" ", b"a=", b'"', b"\\u", b"{", b"}", b"\t", b":", b"\xff"]),
             max_size=12).map(b"".join),
)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(PARSERS))
@given(raw=_RAW)
def test_no_bytes_make_a_parser_raise(kind: str, raw: bytes) -> None:
    for strict in ("on", "off"):
        parser = parser_of({"name": "p", "format": kind, "time_strict": strict} | _SECTIONS.get(kind, {}) | _RICH)
        found = parser.parse(raw)
        if found is not None:
            assert isinstance(found.time_ns, int | None)
            assert all(isinstance(name, str) for name in found.fields)


def test_a_parser_is_found_by_its_format_whatever_its_case() -> None:
    assert parser_of({"name": "p", "format": "JSON"}).name == "p"
    assert datetime.fromtimestamp(NOW, UTC).isoformat() == "2026-11-27T10:00:00+00:00"
