"""Which keys tests set: `pytest --keys` writes tests/config/tried.json, from which docs/fluent-bit.md has "tested by".

Not declared by anyone, but seen: while a test runs, every set of keys that a plugin, the service or the engine is made
from is noted, where the value is not the default; so are those of pipelines that a test runs as processes of their own,
by the file that these are started with. Only tests that pass count, that name the key (what a command sets of itself is
not theirs), and no pipeline that is only checked (`--dry-run`).
That a test sets a key does not prove that it looks at what the key does; that none sets it proves that nothing does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubewitness.config.keys import Key, Options
from tests.config.reference_docs import KINDS, TRIED, sections

ROOT = Path(__file__).parents[1]
#: tests that set every key there is to see that it can be set
_NOT_COUNTED = ("tests/config/test_reference.py", "tests/fuzz/")

#: section -> key -> test files
Tried = dict[str, dict[str, set[str]]]


class Recorder:
    """While it is on, notes what is set."""

    def __init__(self) -> None:
        self.tried: Tried = {}
        self.files: set[str] = set()
        self._now: set[tuple[str, str]] = set()
        self._by_keys = {id(keys): title for title, keys in sections()}
        self._by_module = {
            module: f"{kind} `{name}`" for kind, plugins in KINDS for name, (module, _) in plugins.items()
        }
        self._declared = {title: {key.name: key for key in keys} for title, keys in sections()}
        self._checking = 0

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        from kubewitness.cli.pipeline_parts import Parts

        recorder = self
        make, start, parts = Options.__init__, subprocess.Popen.__init__, Parts.__init__

        def made(this: Any, what: str, given: Mapping[str, object], keys: Sequence[Key]) -> None:
            make(this, what, given, keys)
            if not recorder._checking:
                recorder._note(recorder._title(what, keys), given)

        def started(this: Any, args: Any, *more: Any, **named: Any) -> None:
            recorder._note_process(args)
            start(this, args, *more, **named)

        def parted(this: Any, *more: Any, **named: Any) -> None:
            recorder._checking += bool(named.get("dry"))
            try:
                parts(this, *more, **named)
            finally:
                recorder._checking -= bool(named.get("dry"))

        places: list[tuple[Any, Any, Any]] = [
            (Options, made, make),
            (subprocess.Popen, started, start),
            (Parts, parted, parts),
        ]
        for place, ours, _ in places:
            place.__init__ = ours
        try:
            yield
        finally:
            for place, _, theirs in places:
                place.__init__ = theirs

    def begin(self) -> None:
        """A test."""
        self._now = set()

    def end(self, file: str, passed: bool) -> None:
        """Of it."""
        if file.startswith(_NOT_COUNTED):
            return
        self.files.add(file)
        for title, key in self._now if passed else ():
            self.tried.setdefault(title, {}).setdefault(key, set()).add(file)
        self._now = set()

    # --- seeing ------------------------------------------------------------------------------------------------------

    def _title(self, what: str, keys: Sequence[Key]) -> str:
        """Whose keys they are."""
        if id(keys) in self._by_keys and keys:
            return self._by_keys[id(keys)]
        frame: Any = sys._getframe(2)
        if frame.f_globals["__name__"] == "kubewitness.cli.plugins":
            return f"Every {what.partition(' ')[0]}"
        while frame is not None:
            title = self._by_module.get(frame.f_globals.get("__name__", ""))
            if title is not None:
                return title
            frame = frame.f_back
        return ""

    def _note(self, title: str, given: Mapping[str, object]) -> None:
        declared = self._declared.get(title, {})
        for name, value in given.items():
            key = _declared(declared, str(name).lower())
            if key is not None and str(value).strip().lower() != key.default.lower():
                self._now.add((title, key.name))

    def _note_process(self, args: Any) -> None:
        words = [str(word) for word in args] if isinstance(args, list | tuple) else []
        if "kubewitness" not in " ".join(words[:3]) or "--dry-run" in words:
            return
        for at, word in enumerate(words[:-1]):
            if word in ("-c", "--config"):
                self._note_file(Path(words[at + 1]))

    def _note_file(self, path: Path) -> None:
        from kubewitness.cli.pipeline_parts import KNOWN
        from kubewitness.config.load import load_pipeline
        from kubewitness.errors import UsageError

        try:
            tree = load_pipeline(path, KNOWN, strict=False)
        except UsageError:
            return
        self._note("Section `service`", tree.service.keys)
        for kind, found in (("Input", tree.inputs), ("Filter", tree.filters), ("Output", tree.outputs)):
            for section in [*found, *(p for s in found for p in s.processors)]:
                own = "Filter" if section not in found else kind
                self._note(f"{own} `{section.plugin}`", section.keys)
                self._note(f"Every {own.lower()}", section.keys)
        for parser in tree.parsers:
            self._note("Parsers", parser.keys)
        for parser in tree.multiline_parsers:
            self._note("Multiline parsers", parser.keys)

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Adds what was seen; what was known of files that did not run stays, where it is still so."""
        before: dict[str, dict[str, list[str]]] = json.loads(TRIED.read_text()) if TRIED.exists() else {}
        found = {entry for entry in entries(before) if entry[2] not in self.files}
        found |= set(entries({title: {k: list(v) for k, v in keys.items()} for title, keys in self.tried.items()}))
        known: dict[str, dict[str, list[str]]] = {}
        for title, key, file in sorted(found):
            if not stale(title, key, file):
                known.setdefault(title, {}).setdefault(key, []).append(file)
        TRIED.write_text(json.dumps(known, indent=1) + "\n")


def _declared(declared: Mapping[str, Key], name: str) -> Key | None:
    found = declared.get(name)
    if found is not None:
        return found
    return next((k for k in declared.values() if k.type == "prefix" and name.startswith(k.name)), None)


def entries(tried: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[tuple[str, str, str]]:
    for title, keys in tried.items():
        for key, files in keys.items():
            for file in files:
                yield title, key, file


def stale(title: str, key: str, file: str) -> str:
    """Why an entry cannot be true any more; "" when it can."""
    declared = {name: {k.name for k in keys} for name, keys in sections()}
    if key not in declared.get(title, set()):
        return "there is no such key"
    if not (ROOT / file).exists():
        return "there is no such file"
    return "" if _names(_texts(file), key) else "the test does not name the key"


def _names(text: str, key: str) -> bool:
    """In any of the ways in which tests write keys: `tls.verify`, `tls__verify`, `"tls." + "verify"`."""
    if any(key.replace(".", between) in text for between in (".", "_", "__")):
        return True
    group, dot, last = key.rpartition(".")
    return bool(dot) and f"{group}." in text and last in text


_read: dict[str, str] = {}


def _texts(file: str) -> str:
    """A test file, the parts of the suite that it takes things from, and the configurations that it runs."""
    if file not in _read:
        text = (ROOT / file).read_text(encoding="utf-8")
        texts = [text, *_imported(text)]
        folders = [ROOT / file.rpartition("/")[0] / "."] if "golden" in file else []
        folders += [ROOT / name for name in ("examples", "deploy", "docs") if name in text]
        for folder in folders:
            texts += [
                p.read_text(encoding="utf-8", errors="replace")
                for p in folder.rglob("*")
                if p.suffix in (".conf", ".yaml", ".yml", ".md", ".tmpl")
            ]
        _read[file] = "\n".join(texts).lower()
    return _read[file]


def _imported(text: str, seen: set[Path] | None = None) -> Iterator[str]:
    """What a file takes from the suite, and what that takes from it."""
    seen = set() if seen is None else seen
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("from", "import") and words[1].startswith("tests"):
            for name in (words[1], *(f"{words[1]}.{w.strip('(),')}" for w in words[3:])):
                path = ROOT / (name.replace(".", "/") + ".py")
                if path.exists() and path not in seen:
                    seen.add(path)
                    inner = path.read_text(encoding="utf-8")
                    yield inner
                    yield from _imported(inner, seen)


class Plugin:
    """Of pytest, when `--keys` is given."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._on = self.recorder.on()

    def pytest_sessionstart(self) -> None:
        for _, keys in KINDS:
            for module, _ in keys.values():
                importlib.import_module(module)
        self._on.__enter__()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.recorder.begin()
        item.stash[_PASSED] = False
        result = yield
        self.recorder.end(item.nodeid.partition("::")[0], item.stash[_PASSED])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Any:
        report = yield
        if report.when == "call":
            item.stash[_PASSED] = report.passed
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._on.__exit__(None, None, None)
        self.recorder.write()


_PASSED = pytest.StashKey[bool]()
