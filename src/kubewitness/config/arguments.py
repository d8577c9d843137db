"""A configuration on a command line, as Fluent Bit takes it: `-i NAME -p KEY=VALUE ... -F NAME -m MATCH -o NAME`.

`-p`, `-t` and `-m` are for the plugin before them. What stands for a key of the service (`-f`, `-l`, `-R`, `-b`, `-v`,
`-q`, `-H`, `-L`, `-P`, `-Y`, `-d`, ...) becomes one; what is about the process is returned.
"""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from kubewitness.config.tree import Draft, Entry, Section, section_of
from kubewitness.errors import UsageError

_SHORT = "b:c:dDf:C:i:m:o:R:r:F:p:e:t:T:l:vw:qVhJL:HP:s:X:SWYZ"
_LONG = {
    "config=": "c", "input=": "i", "filter=": "F", "output=": "o", "prop=": "p", "tag=": "t", "match=": "m",
    "flush=": "f", "log_file=": "l", "parser=": "R", "storage_path=": "b", "workdir=": "w", "http": "H",
    "http_server": "H", "http_listen=": "L", "http_port=": "P", "port=": "P", "coro_stack_size=": "s", "custom=": "C",
    "plugin=": "e", "sp-task=": "T", "quiet": "q", "verbose": "v", "daemon": "d", "dry-run": "D", "help": "h",
    "help-json": "J", "version": "V", "enable-hot-reload": "Y", "disable-thread-safety-on-hot-reload": "W",
    "supervisor": "supervisor", "sosreport": "S", "enable-chunk-trace": "Z", "processor=": "r",
    "coro_collective_timeslice=": "X",
}  # fmt: skip
_PLUGINS = {"i": "input", "F": "filter", "o": "output", "C": "custom", "r": "processor"}
_SERVICE = {
    "f": "flush", "l": "log_file", "R": "parsers_file", "b": "storage.path", "L": "http_listen", "P": "http_port",
    "s": "coro_stack_size", "e": "plugins_file", "T": "streams_file",
}  # fmt: skip
_SWITCHES = {
    "q": ("log_level", "off"), "d": ("daemon", "on"), "H": ("http_server", "on"), "Y": ("hot_reload", "on"),
    "W": ("hot_reload.ensure_thread_safety", "off"), "Z": ("enable_chunk_trace", "on"),
}  # fmt: skip
#: what is about the process: option -> name in what `read` returns
_PROCESS = {
    "c": "config", "w": "workdir", "D": "dry-run", "V": "version", "S": "sosreport", "supervisor": "supervisor",
    "X": "timeslice",
}  # fmt: skip
#: with the plugin that stands before them
_ABOUT = {"h": "help", "J": "help-json"}
#: how errors call what is written here
COMMAND_LINE = Path("command line")


def read(arguments: Sequence[str], draft: Draft) -> dict[str, str]:
    """Adds what the arguments say; returns those about the process: config, workdir, dry-run, version, sosreport,
    supervisor; help and help-json with the plugin before them, "input tail", or "".

    UsageError for an option that does not exist, and for one that has nothing to belong to.
    """
    try:
        options, rest = getopt.gnu_getopt(list(arguments), _SHORT, list(_LONG))
    except getopt.GetoptError as e:
        raise UsageError(f"{e.msg}; see --help") from e
    if rest:
        raise UsageError(f"argument {rest[0]!r} belongs to no option; see --help")
    reader = _Reader()
    for option, value in options:
        reader.option(_letter(option), value)
    for section in reader.sections():
        draft.add(section)
    return reader.process


def _letter(option: str) -> str:
    """The short form of an option as getopt gives it."""
    if not option.startswith("--"):
        return option[1:]
    name = option[2:]
    return _LONG.get(name) or _LONG[name + "="]


class _Reader:
    def __init__(self) -> None:
        self.process: dict[str, str] = {}
        #: kind, what was written, keys
        self._plugins: list[tuple[str, str, list[Entry]]] = []
        self._service: list[Entry] = []
        self._verbosity = 0
        #: kind and name of the plugin that was named last
        self._last: tuple[str, ...] = ()

    def option(self, letter: str, value: str) -> None:
        if letter in _PLUGINS:
            self._plugin(letter, value)
        elif letter in ("p", "t", "m"):
            self._key(letter, value)
        elif letter in _SERVICE:
            self._service.append(Entry(_SERVICE[letter], value, 0))
        elif letter in _SWITCHES:
            self._service.append(Entry(*_SWITCHES[letter], 0))
        elif letter == "v":
            self._verbosity += 1
        elif letter in _ABOUT:
            self.process[_ABOUT[letter]] = " ".join(self._last)
        else:
            self.process[_PROCESS[letter]] = value

    def _plugin(self, letter: str, value: str) -> None:
        entries = []
        name = value
        if "://" in value:  # tcp://host:port
            try:
                parts = urlsplit(value)
                host, port = parts.hostname, parts.port
            except ValueError as e:
                raise UsageError(f"-{letter} {value}: {e}") from e
            name = parts.scheme
            entries = [Entry("host", host, 0)] if host else []
            entries += [Entry("port", str(port), 0)] if port else []
        self._last = (_PLUGINS[letter], name.lower())
        self._plugins.append((_PLUGINS[letter], f"-{letter} {name}", [Entry("name", name, 0), *entries]))

    def _key(self, letter: str, value: str) -> None:
        if not self._plugins:
            raise UsageError(f"-{letter} {value}: there is no -i, -F or -o before it")
        kind, written, entries = self._plugins[-1]
        if letter == "p":
            name, equals, text = value.partition("=")
            if not equals or not name.strip():
                raise UsageError(f"{written} -p {value}: it takes KEY=VALUE")
            entries.append(Entry(name.strip().lower(), text.strip(), 0))
            return
        name = "tag" if letter == "t" else "match"
        if name == "match" and kind == "input":
            return  # as Fluent Bit does: `-i NAME -m '*'` is often written
        entries.append(Entry(name, value, 0))

    def sections(self) -> list[Section]:
        if self._verbosity:
            self._service.append(Entry("log_level", "debug" if self._verbosity == 1 else "trace", 0))
        made = [section_of(k, Path(w), 0, entries) for k, w, entries in self._plugins if k != "processor"]
        service = [section_of("service", COMMAND_LINE, 0, self._service)] if self._service else []
        return service + made
