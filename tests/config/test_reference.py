"""The reference of keys: those of Fluent Bit's service are all there, and the page shows what is declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubewitness.cli import main
from kubewitness.config.keys import Key, Options
from kubewitness.config.service import SERVICE_KEYS
from kubewitness.errors import UsageError
from kubewitness.outputs.http import HttpOutput
from tests.config.reference_docs import PAGE, PEER, sections, tried, unknown, untested, without_effect, written
from tests.tried import Recorder, entries, stale

#: all keys of the peer's section service, and their defaults where ours are the same
SERVICE = {
    "flush": "1", "grace": "5", "daemon": "off", "log_file": "", "log_level": "info", "parsers_file": "",
    "plugins_file": "", "streams_file": "", "http_server": "off", "http_listen": None, "http_port": "2020",
    "health_check": "off", "hc_errors_count": "5", "hc_retry_failure_count": "5", "hc_period": "60", "dns.mode": "",
    "dns.resolver": "", "dns.prefer_ipv4": "off", "dns.prefer_ipv6": "off", "storage.path": "",
    "storage.sync": "normal", "storage.metrics": "on", "storage.checksum": "off", "storage.backlog.mem_limit": "100M",
    "storage.backlog.flush_on_shutdown": "off", "storage.max_chunks_up": "128",
    "storage.delete_irrecoverable_chunks": "off", "storage.trim_files": "off", "storage.type": None,
    "storage.inherit": "off", "storage.keep.rejected": None, "storage.rejected.path": "",
    "storage.rejected.limit": None, "scheduler.base": "5", "scheduler.cap": "2000", "json.convert_nan_to_null": "off",
    "json.escape_unicode": "on", "multiline_buffer_limit": "2MB", "coro_stack_size": None,
    "security.fips_mode": "off", "sp.convert_from_str_to_num": None, "enable_chunk_trace": "off",
    "hot_reload": "off", "hot_reload.ensure_thread_safety": "on", "hot_reload.timeout": "0", "flush.adaptive": "off",
    "flush.min_interval": "0.5", "flush.max_interval": "2.0", "flush.low_pressure": "25",
    "flush.medium_pressure": "50", "flush.high_pressure": "75", "flush.up_steps": "2", "flush.down_steps": "3",
}  # fmt: skip


def test_every_key_of_the_peers_service_is_declared() -> None:
    ours = {key.name: key.default for key in SERVICE_KEYS}
    assert {k: ours.get(k) for k, default in SERVICE.items() if default is not None} == {
        k: default for k, default in SERVICE.items() if default is not None
    }
    assert set(ours) >= set(SERVICE)
    Options("service", {key.name: key.default for key in SERVICE_KEYS}, SERVICE_KEYS)


def test_the_page_shows_what_is_declared() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run `python -m tests.config.reference_docs`"


@pytest.mark.parametrize(("title", "keys"), list(sections()), ids=[title for title, _ in sections()])
def test_every_key_is_documented_once_and_takes_its_default(title: str, keys: tuple[Key, ...]) -> None:
    assert len({key.name for key in keys}) == len(keys)
    assert [key.name for key in keys if not key.doc] == []
    Options(title, {key.name: key.default for key in keys}, keys)


def another(key: Key) -> str:
    """A value that is not the key's default."""
    if key.choices:
        return next(choice for choice in key.choices if choice != key.default)
    values = {
        "bool": "off" if key.default in ("on", "true") else "on",
        "int": "7",
        "float": "7",
        "size": "7K",
        "seconds": "7",
    }
    return values.get(key.type, "other")


ROWS = [(title, key) for title, keys in sections() for key in keys]


@pytest.mark.parametrize(
    ("title", "key"), [row for row in ROWS if row[1].refused], ids=lambda v: v if isinstance(v, str) else v.name
)
def test_what_is_not_supported_is_refused_with_its_reason(title: str, key: Key) -> None:
    with pytest.raises(UsageError) as told:
        Options(title, {key.name: another(key)}, [key])
    assert f"{key.name!r} is not supported: {key.refused}" in str(told.value)


def test_what_has_no_effect_is_accepted() -> None:
    idle = [(title, key) for title, key in ROWS if without_effect(key) and not key.refused and key.type != "prefix"]
    assert len(idle) > 100
    for title, key in idle:
        Options(title, {key.name: another(key)}, [key])


def test_every_key_of_the_peers_plugins_is_declared_or_shown_as_unknown() -> None:
    assert len(PEER) > 15
    missing = {title: unknown(title, keys) for title, keys in sections() if unknown(title, keys)}
    assert missing == {"Input `tail`": ["windows.path_encoding"]}


def test_what_is_said_to_be_tested_can_be() -> None:
    wrong = [(*entry, stale(*entry)) for entry in entries(tried()) if stale(*entry)]
    assert wrong == [], "run `make keys`"


def test_every_key_that_works_is_tried_by_a_test() -> None:
    assert untested(tried()) == [], "write a test that fails when the key has no effect; `make keys TESTS=FILE`"


def test_a_key_counts_as_set_when_a_test_gives_it_another_value_than_its_default() -> None:
    recorder = Recorder()
    with recorder.on():
        recorder.begin()
        HttpOutput({"uri": "/x", "format": "json", "tls.verify": "off"})
        recorder.end("tests/a.py", passed=True)
        recorder.begin()
        HttpOutput({"header": "a b"})
        recorder.end("tests/b.py", passed=False)
    assert recorder.tried == {"Output `http`": {"uri": {"tests/a.py"}, "tls.verify": {"tests/a.py"}}}


def test_what_is_refused_says_why() -> None:
    with pytest.raises(UsageError, match="service: 'enable_chunk_trace' is not supported: not built yet"):
        Options("service", {"enable_chunk_trace": "on"}, SERVICE_KEYS)
    assert Options("service", {"enable_chunk_trace": "false"}, SERVICE_KEYS).flag("enable_chunk_trace") is False


_EXAMPLES = re.findall(r"```(conf|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(("form", "text"), _EXAMPLES)
def test_every_example_of_the_page_can_be_started(form: str, text: str, tmp_path: Path) -> None:
    (tmp_path / f"example.{form}").write_text(text)
    assert main(["run", "-c", str(tmp_path / f"example.{form}"), "--dry-run", "--state", str(tmp_path / "s")]) == 0
