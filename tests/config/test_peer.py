"""The drop-in's defaults: Fluent Bit's where a configuration says nothing, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.config.load import Known, load_pipeline
from kubewitness.config.peer import with_defaults
from kubewitness.config.tree import Tree

KNOWN = Known(inputs=["tail"], filters=["kubernetes"], outputs=["stdout", "http", "store", "forward"])


def read(place: Path, text: str) -> Tree:
    path = place / "fluent-bit.conf"
    path.write_text(text)
    return with_defaults(load_pipeline(path, KNOWN, strict=False))


PIPELINE = """\
[INPUT]
    Name tail
[OUTPUT]
    Name {name}
    {more}
"""


def test_what_a_file_does_not_say_is_as_in_fluent_bit(tmp_path: Path) -> None:
    tree = read(tmp_path, PIPELINE.format(name="stdout", more="Match *"))
    assert tree.service.keys == {
        "http_listen": "0.0.0.0",
        "storage.type": "memory",
        "storage.keep.rejected": "off",
        "scheduler.base": "5",
        "scheduler.cap": "2000",
    }
    assert tree.outputs[0].keys == {
        "match": "*", "retry_limit": "1", "format": "msgpack", "json_date_key": "date",
    }  # fmt: skip


def test_a_filter_checks_names_in_certificates_only_when_it_is_told_to(tmp_path: Path) -> None:
    text = PIPELINE.format(name="stdout", more="Match *") + "[FILTER]\n    Name kubernetes\n    Match *\n"
    assert read(tmp_path, text).filters[0].keys == {"match": "*", "tls.verify_hostname": "off"}
    assert read(tmp_path, text + "    TLS.Verify_Hostname on\n").filters[0].keys["tls.verify_hostname"] == "on"


def test_what_a_file_says_stays(tmp_path: Path) -> None:
    service = "[SERVICE]\n    storage.type filesystem\n    HTTP_Listen 127.0.0.1\n"
    tree = read(tmp_path, service + PIPELINE.format(name="http", more="Retry_Limit no_limits"))
    assert (tree.service.keys["storage.type"], tree.service.keys["http_listen"]) == ("filesystem", "127.0.0.1")
    assert tree.outputs[0].keys == {"retry_limit": "no_limits"}


def test_an_output_that_fluent_bit_does_not_have_keeps_its_own_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, PIPELINE.format(name="store", more="Match *")).outputs[0].keys == {"match": "*"}


@pytest.mark.parametrize(
    ("plugins", "warned"),
    [("[PLUGINS]\n    # Path /path/to/out_gstdout.so\n", False), ("[PLUGINS]\n    Path /x.so\n", True), (None, False)],
)
def test_a_plugins_file_is_worth_a_word_only_when_something_is_missing(
    tmp_path: Path, plugins: str | None, warned: bool
) -> None:
    if plugins is not None:
        (tmp_path / "plugins.conf").write_text(plugins)
    tree = read(tmp_path, "[SERVICE]\n    Plugins_File plugins.conf\n" + PIPELINE.format(name="http", more=""))
    assert "plugins_file" not in tree.service.keys
    assert [w.endswith("external plugins cannot be loaded") for w in tree.warnings] == [True] * warned
