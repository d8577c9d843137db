"""Runs a pipeline file (Fluent Bit's YAML form): inputs, a durable journal between, outputs.

With `storage.type: filesystem` (the default) records and positions are in the pipeline's journal before a source is
acknowledged, and nothing is lost or captured twice across restarts. With `memory` nothing touches the disk: what is
buffered is lost with the process, and positions are kept only when `storage.path` is set.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import importlib
import logging
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from kubewitness.cli.options import add_state, paths_of
from kubewitness.config.keys import Options
from kubewitness.config.pipeline_file import PipelineFile, Section, load_pipeline
from kubewitness.config.service import SERVICE_KEYS
from kubewitness.config.state import StatePaths
from kubewitness.contracts import Input, Output, Sink
from kubewitness.errors import UsageError
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS
from kubewitness.pipeline.feeds import Feed, JournalFeed, MemoryQueue
from kubewitness.pipeline.routing import Routed, matcher
from kubewitness.pipeline.supervisor import Supervisor

#: Keys that the engine reads; plugins do not see them.
_OUTPUT_KEYS = ("match", "alias")
_INPUT_KEYS = ("storage.type",)
_LEVELS = {
    "off": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}

log = logging.getLogger("kubewitness.run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", required=True, help="the pipeline file")
    parser.add_argument("--dry-run", action="store_true", help="only check the file and the plugins' keys")
    parser.add_argument("--exit-on-eof", action="store_true", help="end when every input has come to its end")
    add_state(parser)


def run(args: argparse.Namespace) -> int:
    file = load_pipeline(Path(args.config), inputs=INPUTS, outputs=OUTPUTS)
    with _located(file.service):
        service = Options("service", file.service.keys, SERVICE_KEYS)
        _log_to(service)
    pipeline = _Pipeline(file, service, paths_of(args), exit_on_eof=args.exit_on_eof, dry=args.dry_run)
    if args.dry_run:
        print(f"{file.path}: ok, {len(file.inputs)} inputs, {len(file.outputs)} outputs")
        return 0
    asyncio.run(pipeline.run())
    return 0


def _log_to(service: Options) -> None:
    """Standard error, or `log_file`."""
    path = service.text("log_file")
    try:
        handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    except OSError as e:
        raise UsageError(f"service: 'log_file' {path}: {e.strerror}") from e
    logging.basicConfig(
        handlers=[handler], level=_LEVELS[service.choice("log_level")], format="%(asctime)s %(levelname)s %(message)s"
    )


class _Pipeline:
    """A pipeline file made into parts. Making it checks everything that can be checked without starting."""

    def __init__(
        self, file: PipelineFile, service: Options, paths: StatePaths, *, exit_on_eof: bool, dry: bool
    ) -> None:
        self._file = file
        self._service = service
        self._paths = paths
        self._exit_on_eof = exit_on_eof
        self._dry = dry
        self._grace = service.seconds("grace")
        self._flush = service.seconds("flush")
        self._limit = service.number("storage.total_limit_size")
        self._monitor = self._monitor_address()
        self._memory = self._storage_type() == "memory"
        # A repeat is recognised by its key: in the journal, and in the store's.
        self._keyed = not self._memory or any(s.plugin == "store" for s in file.outputs)
        self._tags = [s.keys.get("tag") or f"{s.plugin}.{i}" for i, s in enumerate(file.inputs)]
        self._check_names()
        self._inputs = [self._input(section, tag) for section, tag in zip(file.inputs, self._tags, strict=True)]
        self._outputs = [self._output(section, i) for i, section in enumerate(file.outputs)]

    def _monitor_address(self) -> tuple[str, int] | None:
        if not self._service.flag("http_server"):
            return None
        port = self._service.number("http_port")
        if not 0 < port < 65536:
            raise UsageError(f"{self._file.service.where('http_port')}: 'http_port' is {port!r}; it takes a port")
        return self._service.text("http_listen"), port

    def _storage_type(self) -> str:
        """One for the whole pipeline so far."""
        types = set()
        for section in self._file.inputs:
            name = section.keys.get("storage.type", self._service.choice("storage.type")).lower()
            if name not in ("filesystem", "memory"):
                raise UsageError(
                    f"{section.where('storage.type')}: {section.plugin}: 'storage.type' cannot be {name!r}; "
                    "there is filesystem, memory"
                )
            types.add(name)
        if len(types) > 1:
            raise UsageError(
                f"{self._file.path}: inputs with different storage.type in one pipeline are not supported yet"
            )
        return types.pop()

    def _check_names(self) -> None:
        aliases: set[str] = set()
        for i, section in enumerate(self._file.outputs):
            name = _output_name(section, i)
            if name in aliases:
                raise UsageError(f"{section.where('alias')}: two outputs are called {name!r}")
            aliases.add(name)
            match = section.keys.get("match", "*")
            if not any(_may_match(match, tag) for tag in self._tags):
                raise UsageError(
                    f"{section.where('match')}: match {match!r} of output {section.plugin} fits no input's tag; "
                    f"there is {', '.join(self._tags)}"
                )

    def _input(self, section: Section, tag: str) -> Input:
        module_name, class_name = INPUTS[section.plugin]
        module = importlib.import_module(module_name)
        keys = section.rest(*_INPUT_KEYS) | {"tag": tag}
        if self._exit_on_eof and any(key.name == "exit_on_eof" for key in getattr(module, "KEYS", ())):
            keys["exit_on_eof"] = "on"
        with _located(section):
            made = getattr(module, class_name)(keys, redact_key=self._redact_key(), keyed=self._keyed)
        return cast(Input, made)

    def _output(self, section: Section, index: int) -> Routed:
        module_name, class_name = OUTPUTS[section.plugin]
        name = _output_name(section, index)
        keys = section.rest(*_OUTPUT_KEYS)
        if section.plugin == "store" and "state" not in keys:
            keys = {"state": str(self._paths.root), "store": self._paths.store_uri} | keys
        with _located(section):
            made = getattr(importlib.import_module(module_name), class_name)(keys, name=name)
        return Routed(cast(Output, made), section.keys.get("match", "*"), name)

    def _redact_key(self) -> bytes:
        """The state's, for digests of what was redacted; a throw-away one where nothing is kept on this disk."""
        if self._dry or not self._keyed:
            return secrets.token_bytes(32)
        return self._paths.create().redact_key()

    # --- running -----------------------------------------------------------------------------------------------------

    def _journal_path(self) -> Path:
        directory = self._service.text("storage.path")
        if directory:
            path = Path(directory)
        else:
            place = hashlib.blake2b(str(self._file.path.absolute()).encode(), digest_size=4).hexdigest()
            path = self._paths.create().root / "pipelines" / f"{self._file.path.stem}-{place}"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise UsageError(f"{self._file.service.where('storage.path')}: {path}: {e.strerror}") from e
        return path / "journal.db"

    async def run(self) -> None:
        supervisor = Supervisor(grace=self._grace)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)
        if self._memory and not self._service.text("storage.path"):
            await self._run_in_memory(supervisor)
        else:
            await self._run_with_journal(supervisor)

    async def _run_in_memory(self, supervisor: Supervisor) -> None:
        queue = MemoryQueue(linger=self._flush)
        await self._start(supervisor, queue, queue)

    async def _run_with_journal(self, supervisor: Supervisor) -> None:
        from kubewitness.journal import Journal
        from kubewitness.pipeline.committer import Committer

        with Journal(self._journal_path(), size_limit=self._limit) as journal:
            if self._memory:
                queue = MemoryQueue(linger=self._flush, positions=journal)
                await self._start(supervisor, queue, queue)
                return
            for name in set(journal.stats().outputs) - {o.name for o in self._outputs}:
                log.warning("output %s is no longer in %s; what it had not delivered is dropped", name, self._file.path)
                journal.unregister(name)
            committer = Committer(journal)
            supervisor.add_drain(committer.close)
            await self._start(supervisor, committer, JournalFeed(journal, committer, linger=self._flush))

    async def _start(self, supervisor: Supervisor, sink: Sink, feed: Feed) -> None:
        for source in self._inputs:
            supervisor.add_input(source, sink)
        for output in self._outputs:
            supervisor.add_output(output, feed)
        if self._monitor is not None:
            from kubewitness.web.monitor import Monitor

            host, port = self._monitor
            supervisor.add_service("monitor", Monitor(host, port, supervisor.health).run)
        await supervisor.run(until_inputs_end=self._exit_on_eof)


@contextlib.contextmanager
def _located(section: Section) -> Iterator[None]:
    """Puts file and line before what a plugin says about its keys."""
    try:
        yield
    except UsageError as e:
        named = next((key for key in section.keys if repr(key) in str(e)), "")
        raise UsageError(f"{section.where(named)}: {e}") from e


def _may_match(match: str, tag: str) -> bool:
    """Whether a `match` can fit a tag, which may have placeholders of its own: tail's `*` and `<name>`."""
    if matcher(match).fullmatch(tag):
        return True
    begins = re.split(r"[*<]", tag, maxsplit=1)
    wanted = match.partition("*")[0]
    return len(begins) > 1 and (begins[0].startswith(wanted) or wanted.startswith(begins[0]))


def _output_name(section: Section, index: int) -> str:
    return section.keys.get("alias") or f"{section.plugin}.{index}"
