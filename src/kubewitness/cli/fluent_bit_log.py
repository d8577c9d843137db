"""The log in Fluent Bit's shape: `[2026/11/27 12:00:00.123456789] [ info] [input:tail:tail.0] ...`."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from collections.abc import Mapping

from kubewitness.cli.pipeline import Configuration
from kubewitness.pipeline.delivery import NOT_TAKEN, RECOVERED, RETRIED

_LEVELS = {"WARNING": "warn", "CRITICAL": "error"}
#: rooms whose messages are shown under their plugin's kind
_ROOMS = {"inputs": "input", "outputs": "output", "filters": "filter"}


#: what alerts look for in the log: how Fluent Bit's lines about the same begin; then our output, and what we say
_WORDS = {
    RETRIED: "[engine] failed to flush chunk, retry in {} seconds: output={}: {}",
    NOT_TAKEN: "[engine] chunk cannot be retried: output={}: {} records, {}: {}",
    RECOVERED: "[engine] flush chunk succeeded at retry: output={}",
}


class FluentBitFormatter(logging.Formatter):
    """`titles`: names of parts -> what stands for them in brackets. A message that begins with a name gets its title,
    one that has brackets of its own stays."""

    def __init__(self) -> None:
        super().__init__()
        self.titles: Mapping[str, str] = {}

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        nanoseconds = min(int((record.created % 1) * 1e9), 999_999_999)
        return f"{time.strftime('%Y/%m/%d %H:%M:%S', time.localtime(record.created))}.{nanoseconds:09d}"

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, record.levelname.lower())
        line = f"[{self.formatTime(record)}] [{level:>5}] {self._message(record)}"
        if record.exc_info and record.levelno <= logging.DEBUG:
            line += "\n" + self.formatException(record.exc_info)
        return line

    def _message(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple) and record.msg in _WORDS:
            name, *rest = record.args
            values = [max(1, round(float(str(rest[1])))), name, rest[0]] if record.msg == RETRIED else [name, *rest]
            return _WORDS[record.msg].format(*values)
        text = record.getMessage()
        if text.startswith("["):
            return text
        first = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if isinstance(first, str) and first in self.titles and text.startswith(first):
            return f"[{self.titles[first]}] {text[len(first) :].lstrip(': ')}"
        return f"[{_title(record.name)}] {text}"


def _title(logger: str) -> str:
    parts = logger.split(".")
    if len(parts) > 2 and parts[0] == "kubewitness" and parts[1] in _ROOMS:
        return f"{_ROOMS[parts[1]]}:{parts[2]}"
    return "engine"


def titles_of(now: Configuration) -> dict[str, str]:
    """Name of each part -> `KIND:PLUGIN:NAME`."""
    parts, tree = now.parts, now.tree
    titles = {}
    for source, section, name in zip(parts.inputs, tree.inputs, parts.input_names, strict=True):
        titles[source.name] = titles[name] = f"input:{section.plugin}:{name}"
    for output, section in zip(parts.outputs, tree.outputs, strict=True):
        titles[output.name] = f"output:{section.plugin}:{output.name}"
    return titles


def log_to(path: str, level: int, *, aloud: bool = False) -> FluentBitFormatter:
    """To a file, which may be rotated away, or to standard error; also to that when the file cannot be opened.
    `aloud`: errors go to both, for whoever started it."""
    shape = FluentBitFormatter()
    handler: logging.Handler
    try:
        handler = logging.handlers.WatchedFileHandler(path) if path else logging.StreamHandler(sys.stderr)
    except OSError:
        print(f"[log] error opening log file {path}. Using stderr.", file=sys.stderr)
        handler = logging.StreamHandler(sys.stderr)
    handlers = [handler]
    if aloud and isinstance(handler, logging.FileHandler):
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[1].setLevel(logging.ERROR)
    for each in handlers:
        each.setFormatter(shape)
    logging.basicConfig(handlers=handlers, level=level, force=True)
    return shape
