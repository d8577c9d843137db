"""`kubewitness-fluent-bit`: the drop-in, with Fluent Bit's command line, defaults, log, signals and exit codes.

Exit codes: 0 for a stop that was asked for, and for what only tells something; 1 for a command line or a configuration
file that is wrong; 255 where Fluent Bit would fail to start: a key that a plugin does not take, a port that is taken.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kubewitness import __version__
from kubewitness.cli import fluent_bit_help as told
from kubewitness.cli.fluent_bit_dump import dump
from kubewitness.cli.fluent_bit_log import FluentBitFormatter, log_to, titles_of
from kubewitness.cli.fluent_bit_wrong import Wrong, in_its_words
from kubewitness.cli.pipeline import Configuration, Pipeline
from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.cli.run import LEVELS
from kubewitness.config.load import draft_of, finished
from kubewitness.config.peer import VERSION, with_defaults
from kubewitness.config.state import state_paths
from kubewitness.config.tree import Draft, Tree
from kubewitness.errors import StateError, UsageError

log = logging.getLogger("kubewitness.run")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until it is stopped; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    program = Path(sys.argv[0]).name if argv is None else "kubewitness-fluent-bit"
    try:
        draft, process = draft_of(arguments)
    except UsageError as e:
        print(told.usage(program), end="")
        print(f"{program}: {e}", file=sys.stderr)
        return 1
    if "version" in process:
        print(told.version_text(), end="")
        return 0
    try:
        for option, shown in (("help", told.plugin_text), ("help-json", _plugin_json)):
            if option in process:
                print(_about(process[option], shown, program), end="")
                return 0
        return _DropIn(program, arguments, process, quiet=_is_quiet(draft)).start()
    except UsageError as e:
        print(e, file=sys.stderr)
        return 1
    except Wrong as e:
        return e.code
    except KeyboardInterrupt:
        return 0


def _plugin_json(kind: str, name: str) -> str:
    return json.dumps(told.plugin_json(kind, name)) + "\n"


def _about(plugin: str, shown: Callable[[str, str], str], program: str) -> str:
    """`plugin`: "input tail", or "" for all."""
    if not plugin:
        return told.usage(program) if shown is told.plugin_text else told.schema_text() + "\n"
    kind, _, name = plugin.partition(" ")
    print(told.banner(), end="", file=sys.stderr)
    return shown(kind, name)


def _is_quiet(draft: Draft) -> bool:
    return any(section.kind == "service" and section.keys.get("log_level") == "off" for section in draft.sections)


class _DropIn:
    """One run of it."""

    def __init__(self, program: str, arguments: Sequence[str], process: dict[str, str], *, quiet: bool) -> None:
        self._program = program
        self._arguments = arguments
        self._process = process
        self._quiet = quiet
        self._dry = "dry-run" in process
        self._paths = state_paths()
        self._shape = FluentBitFormatter()

    def start(self) -> int:
        if not self._quiet:
            print(told.banner(), end="", file=sys.stderr)
        self._shape = log_to("", LEVELS["error" if self._quiet else "info"])
        if "workdir" in self._process:
            try:
                os.chdir(self._process["workdir"])
            except OSError as e:
                log.error("[config] workdir %s: %s", self._process["workdir"], e.strerror)
                return 255
        with in_its_words(self._program, code=1):
            tree = self._read()
            service = Service(tree.service)
        self._log_as(service, quiet="error")
        with in_its_words(self._program, code=1 if self._dry else 255):
            first = self._made(tree)
        self._log_as(service)
        for warning in first.parts.warnings:
            log.warning("[config] %s", warning)
        if "sosreport" in self._process:
            print(told.report(tree), end="")
            return 0
        if self._dry:
            print("configuration test is successful", file=sys.stderr)
            return 0
        if service.options.flag("daemon"):
            _to_the_background()
        return self._run(first)

    def _read(self) -> Tree:
        draft, process = draft_of(self._arguments)
        return with_defaults(finished(draft, process, KNOWN, strict=False))

    def _made(self, tree: Tree) -> Configuration:
        service = Service(tree.service)
        parts = Parts(tree, service, self._paths, strict=False, exit_on_eof=False, dry=self._dry)
        return Configuration(tree, service, parts)

    def _log_as(self, service: Service, *, quiet: str = "off") -> None:
        """As the configuration says, or the environment. `quiet`: the level for a log that is off; what keeps the
        process from running is told whatever the level is, also on standard error. A dry run is asked by somebody who
        waits for the answer there."""
        level = os.environ.get("FLB_LOG_LEVEL", "").strip().lower()
        level = level if level in LEVELS else service.options.choice("log_level")
        path = "" if self._dry else service.options.text("log_file")
        self._shape = log_to(path, LEVELS[quiet if level == "off" else level], aloud=quiet == "error")

    def _run(self, first: Configuration) -> int:
        async def run() -> int:
            pipeline = Pipeline(first, self._read, self._made, self._paths, noted=self._note)
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGCONT, lambda: print(dump(pipeline.counts(), pipeline.waiting()), file=sys.stderr, flush=True)
            )
            return await pipeline.run()

        try:
            return asyncio.run(run())
        except (UsageError, StateError) as e:
            self._log_as(first.service, quiet="error")
            log.error("[engine] %s", e)
            return 255

    def _note(self, now: Configuration) -> None:
        """What Fluent Bit says when it starts."""
        self._shape.titles = titles_of(now)
        options, parts = now.service.options, now.parts
        log.info("[fluent bit] version=%s, commit=kubewitness-%s, pid=%d", VERSION, __version__, os.getpid())
        kind = "memory" if parts.memory else "memory+filesystem"
        log.info("[storage] ver=%s, type=%s, sync=%s, checksum=%s, max_chunks_up=%d", __version__, kind,
                 "normal" if parts.memory else "full", "off" if parts.memory else "on",
                 options.number("storage.max_chunks_up"))  # fmt: skip
        strategy = "'memory' (memory only)" if parts.memory else "'filesystem' (memory + filesystem)"
        for section, name in zip(now.tree.inputs, parts.input_names, strict=True):
            log.info("[input:%s:%s] initializing", section.plugin, name)
            log.info("[input:%s:%s] storage_strategy=%s", section.plugin, name, strategy)
        for section, output in zip(now.tree.outputs, parts.outputs, strict=True):
            log.info("[output:%s:%s] worker #0 started", section.plugin, output.name)
        if now.service.monitor is not None:
            log.info("[http_server] listen iface=%s tcp_port=%d", *now.service.monitor)
        grace = options.seconds("grace")
        log.info("[engine] Shutdown Grace Period=%d, Shutdown Input Grace Period=%d", grace, grace / 2)


def _to_the_background() -> None:
    """A child goes on, in the same directory, without a terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    log.info("switching to background mode (PID=%d)", os.getpid())
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
