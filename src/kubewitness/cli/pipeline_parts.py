"""A configuration made into parts: inputs, outputs and what the service says, everything checked that can be."""

from __future__ import annotations

import contextlib
import importlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from kubewitness.config.common import INPUT_KEYS, OUTPUT_KEYS
from kubewitness.config.keys import ENGINE_KEYS, Key, Options
from kubewitness.config.load import Known
from kubewitness.config.service import SERVICE_KEYS
from kubewitness.config.state import StatePaths
from kubewitness.config.tree import Section, Tree
from kubewitness.contracts import Input, Output
from kubewitness.errors import UsageError
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS
from kubewitness.pipeline.routing import Routed, wanting

#: the plugins that a configuration may name
KNOWN = Known(inputs=INPUTS, outputs=OUTPUTS)
#: common keys that an input sees, too
_FOR_INPUTS = ("tag", "alias")


class Service:
    """What the service says."""

    def __init__(self, section: Section) -> None:
        self._section = section
        with located(section):
            self.options = Options("service", section.given(SERVICE_KEYS), SERVICE_KEYS)
        self.monitor = self._monitor()

    def where(self, key: str) -> str:
        return self._section.where(key)

    def _monitor(self) -> tuple[str, int] | None:
        """Address for probes and metrics, if they are wanted."""
        if not self.options.flag("http_server"):
            return None
        port = self.options.number("http_port")
        if not 0 < port < 65536:
            raise UsageError(f"{self.where('http_port')}: 'http_port' is {port!r}; it takes a port")
        return self.options.text("http_listen"), port


class Parts:
    """Inputs and outputs of a configuration. `dry`: nothing is kept, no state is made."""

    def __init__(
        self, tree: Tree, service: Service, paths: StatePaths, *, strict: bool, exit_on_eof: bool, dry: bool
    ) -> None:
        self._tree = tree
        self._service = service
        self._paths = paths
        self._strict = strict
        self._exit_on_eof = exit_on_eof
        self._dry = dry
        self.warnings = list(tree.warnings)
        _no_processors(tree)
        self.memory = self._storage_type() == "memory"
        # A repeat is recognised by its key: in the journal, and in the store's.
        self._keyed = not self.memory or any(s.plugin == "store" for s in tree.outputs)
        self._tags = [s.keys.get("tag") or name for s, name in zip(tree.inputs, _names(tree.inputs), strict=True)]
        self.inputs = [self._input(section, tag) for section, tag in zip(tree.inputs, self._tags, strict=True)]
        self.outputs = [self._output(s, name) for s, name in zip(tree.outputs, _output_names(tree), strict=True)]

    def _storage_type(self) -> str:
        """One for the whole pipeline so far."""
        default = self._service.options.choice("storage.type")
        types = {section.keys.get("storage.type", default).lower() for section in self._tree.inputs}
        if len(types) > 1:
            raise UsageError(
                f"{self._tree.path}: inputs with different storage.type in one pipeline are not supported yet"
            )
        return types.pop()

    def _input(self, section: Section, tag: str) -> Input:
        module, made = _plugin(INPUTS[section.plugin])
        declared: Sequence[Key] = getattr(module, "KEYS", ())
        _, own = _parted(section, declared, INPUT_KEYS, _FOR_INPUTS)
        own["tag"] = tag
        if self._exit_on_eof and any(key.name == "exit_on_eof" for key in declared):
            own["exit_on_eof"] = "on"
        with located(section):
            return cast(Input, made(own, redact_key=self._redact_key(), keyed=self._keyed))

    def _output(self, section: Section, name: str) -> Routed:
        module, made = _plugin(OUTPUTS[section.plugin])
        common, own = _parted(section, getattr(module, "KEYS", ()), OUTPUT_KEYS, ())
        if section.plugin == "store" and "state" not in own:
            own = {"state": str(self._paths.root), "store": self._paths.store_uri} | own
        wants = self._wants(section, common)
        with located(section):
            return Routed(cast(Output, made(own, name=name)), wants, name, _retry_limit(common.text("retry_limit")))

    def _wants(self, section: Section, common: Options) -> Callable[[str], bool]:
        """By `match` and `match_regex`; neither: everything. An error (or a warning) when no tag can fit."""
        match, expression = common.text("match"), common.text("match_regex")
        pattern = None
        if expression:
            from kubewitness.parsers.onigmo import compiled

            with located(section):
                pattern = compiled(expression)
        match = match or ("" if expression else "*")
        wants = wanting(match, pattern)
        if not any(wants(tag) or _may_match(match, pattern is not None, tag) for tag in self._tags):
            key = "match" if match else "match_regex"
            self._complain(
                f"{section.where(key)}: {key} {match or expression!r} of {section.kind} {section.plugin} fits no "
                f"input's tag; there is {', '.join(self._tags)}"
            )
        return wants

    def _complain(self, text: str) -> None:
        if self._strict:
            raise UsageError(text)
        self.warnings.append(text)

    def _redact_key(self) -> bytes:
        """The state's, for digests of what was redacted; a throw-away one where nothing is kept on this disk."""
        if self._dry or not self._keyed:
            return secrets.token_bytes(32)
        return self._paths.create().redact_key()


@contextlib.contextmanager
def located(section: Section) -> Iterator[None]:
    """Puts file and line before what a plugin says about its keys."""
    try:
        yield
    except UsageError as e:
        said = str(e)
        if said.startswith(f"{section.file}:"):
            raise
        named = next((key for key in section.keys if repr(key) in said), "")
        raise UsageError(f"{section.where(named)}: {said}") from e


def _plugin(place: tuple[str, str]) -> tuple[Any, Any]:
    module = importlib.import_module(place[0])
    return module, getattr(module, place[1])


def _parted(
    section: Section, declared: Sequence[Key], common: Sequence[Key], shared: Sequence[str]
) -> tuple[Options, dict[str, str]]:
    """(the engine's keys, the plugin's own); both see what both declare, and what is `shared`."""
    own_names = {key.name for key in declared}
    engine = [key for key in common if key.name not in own_names or key.name in ENGINE_KEYS]
    names = {key.name for key in engine}
    keys = section.given((*declared, *common))
    with located(section):
        options = Options(f"{section.kind} {section.plugin}", {k: v for k, v in keys.items() if k in names}, engine)
    return options, {k: v for k, v in keys.items() if k not in names or k in own_names or k in shared}


def _names(sections: Sequence[Section]) -> list[str]:
    """`NAME.N`, N counted from 0 for each plugin."""
    counts: Counter[str] = Counter()
    names = []
    for section in sections:
        names.append(f"{section.plugin}.{counts[section.plugin]}")
        counts[section.plugin] += 1
    return names


def _output_names(tree: Tree) -> list[str]:
    names: list[str] = []
    for section, name in zip(tree.outputs, _names(tree.outputs), strict=True):
        name = section.keys.get("alias") or name
        if name in names:
            raise UsageError(f"{section.where('alias')}: two outputs are called {name!r}")
        names.append(name)
    return names


def _retry_limit(text: str) -> int | None:
    """Tries after the first; None: without end."""
    text = text.strip().lower()
    if text in ("no_limits", "false", "off"):
        return None
    if text == "no_retries":
        return 0
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    raise UsageError(f"'retry_limit' is {text!r}; it takes a number from 1, no_limits or no_retries")


def _no_processors(tree: Tree) -> None:
    for section in (*tree.inputs, *tree.outputs):
        if section.processors:
            first = section.processors[0]
            raise UsageError(f"{first.where()}: processors are not supported yet; write {first.plugin!r} as a filter")


def _may_match(match: str, expression: bool, tag: str) -> bool:
    """Whether a route can fit a tag, which may have placeholders of its own: tail's `*` and `<name>`."""
    begins = re.split(r"[*<]", tag, maxsplit=1)
    if len(begins) == 1:
        return False
    wanted = match.partition("*")[0]
    return expression or begins[0].startswith(wanted) or wanted.startswith(begins[0])
