"""Parsers: bytes -> (fields, time). One file per format, and a line in the table.

A parser is made from the keys of its section (`[PARSER]`, or an item of `parsers`), which `keys.KEYS` declares. All
are pure and never raise; what does not match is None.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import cast

from kubewitness.config.keys import Options, nearest
from kubewitness.contracts import Parsed, Parser
from kubewitness.errors import UsageError
from kubewitness.parsers.keys import KEYS

__all__ = ["KEYS", "PARSERS", "Parsed", "Parser", "parser_of"]

#: `format` of a parser section -> (module, class); the class is called with the section's name, Options and clock
PARSERS: dict[str, tuple[str, str]] = {
    "json": ("kubewitness.parsers.json", "JsonParser"),
    "regex": ("kubewitness.parsers.regex", "RegexParser"),
    "logfmt": ("kubewitness.parsers.logfmt", "LogfmtParser"),
    "ltsv": ("kubewitness.parsers.ltsv", "LtsvParser"),
    "cri": ("kubewitness.parsers.cri", "CriParser"),
    "docker": ("kubewitness.parsers.docker", "DockerParser"),
    "klog": ("kubewitness.parsers.klog", "KlogParser"),
}


def parser_of(section_keys: Mapping[str, str], clock: Callable[[], float] = time.time) -> Parser:
    """The parser of a section: lower-case names, values of a repeated key joined by newlines.

    `clock` (seconds since 1970) tells the year of times that have none. UsageError for what the section has wrong.
    """
    name = section_keys.get("name", "").strip()
    if not name:
        raise UsageError("parser: it has no 'name'")
    what = f"parser {name}"
    opts = Options(what, section_keys, KEYS)
    kind = opts.text("format").strip().lower()
    if kind not in PARSERS:
        wrong = f"'format' cannot be {kind!r}" if kind else "it has no 'format'"
        raise UsageError(f"{what}: {wrong}{nearest(kind, PARSERS)}")
    module, class_name = PARSERS[kind]
    return cast(Parser, getattr(importlib.import_module(module), class_name)(name, opts, clock))
