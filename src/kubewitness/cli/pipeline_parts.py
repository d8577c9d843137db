"""A configuration made into parts: inputs, filters, outputs and what the service says, all checked that can be."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import cast

from kubewitness.cli.lenient import as_fluent_bit_reads
from kubewitness.cli.plugins import Routes, located, names_of, parted, plugin
from kubewitness.config.common import FILTER_KEYS, INPUT_KEYS, OUTPUT_KEYS
from kubewitness.config.elsewhere import ELSEWHERE
from kubewitness.config.keys import Key, Options, parsed
from kubewitness.config.load import Known
from kubewitness.config.service import SERVICE_KEYS
from kubewitness.config.state import StatePaths
from kubewitness.config.tree import Section, Tree
from kubewitness.contracts import Filter, Input, Output
from kubewitness.errors import UsageError
from kubewitness.filters import FILTERS
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS
from kubewitness.parsers.library import Library
from kubewitness.pipeline.feeds import MEMORY_LIMIT
from kubewitness.pipeline.filtering import Filters, Step, joined_metrics
from kubewitness.pipeline.routing import Routed

#: the plugins that a configuration may name
KNOWN = Known(inputs=INPUTS, filters=FILTERS, outputs=OUTPUTS, refused=ELSEWHERE)
#: common keys that an input sees, too
_FOR_INPUTS = ("tag", "alias")
#: inputs and filters that ask for parsers by name
_PARSING = ("tail", "stdin", "exec", "syslog", "parser", "multiline", "kubernetes")
#: filters that cannot stand between the journal and an output -> why
_NOT_BEHIND = {
    "multiline": "what it holds back would be lost with the process",
    "rewrite_tag": "records have been routed by their tags already",
    "throttle": "what had to wait for an output that was down would come too fast, and be dropped",
    "dedupe": "what had to wait for an output that was down would come within one window, and be dropped",
}
#: inputs whose records may bring tags of their own, which no section names
_TAGGED = ("http", "forward")
#: filters that give records tags which no section names
_RETAGGING = ("rewrite_tag",)
#: outputs that are given numbers by a feed of their own, and no records
_OWN_NUMBERS = ("prometheus_remote_write",)


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
        limit = service.options.number("multiline_buffer_limit")
        parsers = tree.parsers if strict else [as_fluent_bit_reads(s, self._complain) for s in tree.parsers]
        self._library = Library(parsers, tree.multiline_parsers, limit=limit)
        kind = self._storage_type()
        self.memory = kind != "filesystem"
        #: bytes at which the oldest records in memory are dropped; 0: inputs wait there
        self.ring = self._ring_limit() if kind == "memrb" else 0
        # A repeat is recognised by its key: in the journal, and in the store's.
        self._keyed = not self.memory or any(s.plugin == "store" for s in tree.outputs)
        #: as everybody sees them; `Input.name` is where positions are kept
        self.input_names = names = names_of(tree.inputs)
        tags = [section.keys.get("tag") or _unnamed(tree.inputs, i) for i, section in enumerate(tree.inputs)]
        retagged = any(s.plugin in _TAGGED for s in tree.inputs) or any(
            s.plugin in _RETAGGING for s in _all_filters(tree)
        )
        self._routes = Routes(tags, retagged, self._complain)
        self.inputs = [self._input(section, tag) for section, tag in zip(tree.inputs, tags, strict=True)]
        self.processors = [self._processors(s, name) for s, name in zip(tree.inputs, names, strict=True)]
        self.filters = self._filters()
        self.outputs = [self._output(s, name) for s, name in zip(tree.outputs, names_of(tree.outputs), strict=True)]

    def _storage_type(self) -> str:
        """One for the whole pipeline, the safest that an input has: where one wants the journal, the others' records go
        through it, too; the oldest are dropped only where every input says `memrb`."""
        default = self._service.options.choice("storage.type")
        types = {section.keys.get("storage.type", default).lower() for section in self._tree.inputs}
        return next(kind for kind in ("filesystem", "memory", "memrb") if kind in types or kind == "memrb")

    def _ring_limit(self) -> int:
        limits = [parsed("size", section.keys.get("mem_buf_limit", "0")) or 0 for section in self._tree.inputs]
        return sum(int(limit) or MEMORY_LIMIT for limit in limits)

    def _input(self, section: Section, tag: str) -> Input:
        module, made = plugin(INPUTS[section.plugin])
        declared: Sequence[Key] = getattr(module, "KEYS", ())
        _, own = parted(section, declared, INPUT_KEYS, _FOR_INPUTS)
        if self._exit_on_eof and any(key.name == "exit_on_eof" for key in declared):
            own["exit_on_eof"] = "on"
        more: dict[str, object] = {"library": self._library} if section.plugin in _PARSING else {}
        if section.plugin in _TAGGED:
            more["default_tag"] = tag
        else:
            own["tag"] = tag
        with located(section):
            return cast(Input, made(own, redact_key=self._redact_key(), keyed=self._keyed, **more))

    def _filters(self) -> Filters:
        steps = []
        for section, name in zip(self._tree.filters, names_of(self._tree.filters), strict=True):
            common, made = self._filter(section, name)
            if not common.text("match") and not common.text("match_regex"):
                self._complain(f"{section.where()}: filter {section.plugin} has no 'match'; write `match: '*'` for all")
                continue
            steps.append(Step(made, self._routes.wanted(section, common, "")))
        return Filters(steps)

    def _processors(self, section: Section, of: str) -> Filters:
        """The filters of one input or output."""
        steps = []
        for processor, name in zip(section.processors, names_of(section.processors), strict=True):
            if processor.plugin not in FILTERS:
                KNOWN.check(processor, "processor", FILTERS)
            _, made = self._filter(processor, f"{of}/{name}")
            steps.append(Step(made, lambda tag: True))
        return Filters(steps)

    def _filter(self, section: Section, name: str) -> tuple[Options, Filter]:
        module, made = plugin(FILTERS[section.plugin])
        common, own = parted(section, getattr(module, "KEYS", ()), FILTER_KEYS)
        more = {"library": self._library} if section.plugin in _PARSING else {}
        with located(section):
            return common, cast(Filter, made([pair for pair in section.pairs if pair[0] in own], name=name, **more))

    @property
    def held(self) -> set[str]:
        """Positions under which filters keep what they hold."""
        return {name for f in (*self.processors, self.filters) for name in f.positions}

    def metrics(self) -> str:
        """What filters count for others, as Prometheus text."""
        return joined_metrics([f.metrics() for f in self.all_filters])

    @property
    def all_filters(self) -> list[Filters]:
        """In the order in which records go through them: of inputs, of all, of outputs."""
        behind = [output.processors for output in self.outputs if output.processors is not None]
        return [*self.processors, self.filters, *behind]

    def _output(self, section: Section, name: str) -> Routed:
        module, made = plugin(OUTPUTS[section.plugin])
        common, own = parted(section, getattr(module, "KEYS", ()), OUTPUT_KEYS)
        if section.plugin == "store" and "state" not in own:
            own = {"state": str(self._paths.root), "store": self._paths.store_uri} | own
        if section.plugin == "s3" and not own.get("store_dir"):
            own["store_dir"] = str(self._paths.root / "s3")
        # what shows numbers takes no records; its `match` may be the tag that numbers have in Fluent Bit
        wants = (
            (lambda tag: section.plugin in _OWN_NUMBERS)
            if section.plugin in ("prometheus_exporter", *_OWN_NUMBERS)
            else self._routes.wanted(section, common, "*")
        )
        with located(section):
            retry_limit = self._retry_limit(section, common.text("retry_limit"))
            limit = common.number("storage.total_limit_size") or None
            behind = self._behind(section, name)
            return Routed(cast(Output, made(own, name=name)), wants, name, retry_limit, behind, limit)

    def _retry_limit(self, section: Section, text: str) -> int | None:
        try:
            return _retry_limit(text)
        except UsageError as e:
            self._complain(f"{section.where('retry_limit')}: {e}; taken as 1")
            return 1

    def _behind(self, section: Section, of: str) -> Filters | None:
        """An output's own filters: they see what it is given, when it is given."""
        if not section.processors:
            return None
        for processor in section.processors:
            if processor.plugin in _NOT_BEHIND:
                raise UsageError(
                    f"{processor.where()}: {processor.plugin} cannot be a processor of an output: "
                    f"{_NOT_BEHIND[processor.plugin]}; write it as a filter, or as a processor of the input"
                )
        return self._processors(section, of)

    def _complain(self, text: str) -> None:
        if self._strict:
            raise UsageError(text)
        self.warnings.append(text)

    def _redact_key(self) -> bytes:
        """The state's, for digests of what was redacted; a throw-away one where nothing is kept on this disk."""
        if self._dry or not self._keyed:
            return secrets.token_bytes(32)
        return self._paths.create().redact_key()


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


def _all_filters(tree: Tree) -> list[Section]:
    return [*tree.filters, *(processor for section in tree.inputs for processor in section.processors)]


def _unnamed(sections: Sequence[Section], index: int) -> str:
    """The tag of an input that names none: `NAME.N`, N counted from 0 for each plugin."""
    plugin_name = sections[index].plugin
    return f"{plugin_name}.{sum(section.plugin == plugin_name for section in sections[:index])}"
