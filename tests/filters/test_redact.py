"""Filter `redact`: by key, by pattern, by name of a pattern; nothing that it cannot read gets through."""

from __future__ import annotations

import json

import pytest

from kubewitness.errors import UsageError
from kubewitness.filters.redact import BUILTIN, luhn
from tests.filters.samples import chunk_of_json, made, through


def test_the_value_of_a_key_is_replaced_whatever_it_is() -> None:
    redact = made("redact", [("key", "password"), ("key", "$user['extra']['tokens'][0]"), ("key", "$no['such']")])
    record = {"password": {"a": 1}, "user": {"name": "alice", "extra": {"tokens": ["abc", "def"]}}, "no": 1}
    assert through(redact, [record]) == [
        {"password": "REDACTED", "user": {"name": "alice", "extra": {"tokens": ["REDACTED", "def"]}}, "no": 1}
    ]


def test_a_pattern_is_replaced_in_every_text_and_keys_stay() -> None:
    redact = made("redact", [("pattern", "sec[a-z]+"), ("replacement", "*")])
    record = {"secret": "my secret word", "deep": [{"a": "sector 5", "n": 5}], "other": "x"}
    assert through(redact, [record]) == [{"secret": "my * word", "deep": [{"a": "* 5", "n": 5}], "other": "x"}]


@pytest.mark.parametrize(
    ("builtin", "text", "left"),
    [
        ("bearer", "Authorization: Bearer abcdefgh.ijk-l", "Authorization: Bearer REDACTED"),
        ("jwt", "t=eyJhbGciOiJI.eyJzdWIi.sig_na-ture;", "t=REDACTED;"),
        ("email", "from alice@example.com.", "from REDACTED."),
        ("ipv4", "10.0.0.7:443 1.2.3.400", "REDACTED:443 1.2.3.400"),
        ("card", "card 4111 1111 1111 1111, order 4111111111111112", "card REDACTED, order 4111111111111112"),
        ("aws_key", "AKIAABCDEFGHIJKLMNOP", "REDACTED"),
        ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n", "REDACTED\n"),
    ],
)
def test_every_builtin_pattern(builtin: str, text: str, left: str) -> None:
    assert through(made("redact", {"builtin": builtin}), [{"log": text}]) == [{"log": left}]
    assert builtin in BUILTIN


def test_a_redacted_record_is_marked_and_others_keep_their_bytes() -> None:
    records = [b'{"log" : "alice@example.com"}', b'{"log" : "nobody"}']
    (left,) = made("redact", {"builtin": "email"}).apply(chunk_of_json(records))
    assert list(left.records()) == [b'{"log":"REDACTED"}', records[1]]
    assert left.notes[0].redacted
    assert 1 not in left.notes


def test_what_cannot_be_read_or_takes_too_long_is_replaced_as_a_whole() -> None:
    redact = made("redact", {"pattern": "^(a|aa)+$"})
    (left,) = redact.apply(chunk_of_json([b"{", json.dumps({"log": "a" * 40 + "!"}).encode()]))
    assert list(left.records()) == [b'{"redacted":"REDACTED"}'] * 2
    assert redact.health() == {"changed": 2, "unread": 2}


def test_only_numbers_with_a_right_check_digit_are_cards() -> None:
    assert luhn("4111-1111-1111-1111")
    assert luhn("378282246310005")
    assert not luhn("4111111111111112")
    assert not luhn("0000")


@pytest.mark.parametrize("keys", [{}, {"builtin": "emails"}, {"pattern": "("}])
def test_what_cannot_be_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        made("redact", keys)
