"""Runs a pipeline file (Fluent Bit's YAML or classic format): inputs, a durable journal between, outputs.

With `storage.type: filesystem` (the default) records and positions are in the pipeline's journal before a source is
acknowledged, and nothing is lost or captured twice across restarts. With `memory` nothing touches the disk: what is
buffered is lost with the process, and positions are kept only when `storage.path` is set.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from kubewitness.cli.options import add_state, paths_of
from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.cli.plugins import located
from kubewitness.config.keys import Options
from kubewitness.config.load import load_pipeline
from kubewitness.config.state import StatePaths
from kubewitness.config.tree import Tree
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.pipeline.feeds import Feed, JournalFeed, MemoryQueue
from kubewitness.pipeline.filtering import HELD, FilterSink
from kubewitness.pipeline.rejected import Rejected
from kubewitness.pipeline.supervisor import Supervisor

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
    tree = load_pipeline(Path(args.config), KNOWN)
    service = Service(tree.service)
    with located(tree.service):
        _log_to(service.options)
    paths = paths_of(args)
    parts = Parts(tree, service, paths, strict=True, exit_on_eof=args.exit_on_eof, dry=args.dry_run)
    for warning in parts.warnings:
        log.warning("%s", warning)
    if args.dry_run:
        print(f"{tree.path}: ok, {len(parts.inputs)} inputs, {len(parts.outputs)} outputs")
        return 0
    return asyncio.run(_Pipeline(tree, service, parts, paths, exit_on_eof=args.exit_on_eof).run())


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
    """A configuration that runs."""

    def __init__(self, tree: Tree, service: Service, parts: Parts, paths: StatePaths, *, exit_on_eof: bool) -> None:
        self._path = tree.path
        self._service = service
        self._options = service.options
        self._parts = parts
        self._paths = paths
        self._exit_on_eof = exit_on_eof
        self._flush = service.options.seconds("flush")

    # --- running -----------------------------------------------------------------------------------------------------

    def _directory(self) -> Path:
        """Where this pipeline keeps what it keeps."""
        directory = self._options.text("storage.path")
        if directory:
            return Path(directory)
        place = hashlib.blake2b(str(self._path.absolute()).encode(), digest_size=4).hexdigest()
        return self._paths.root / "pipelines" / f"{self._path.stem}-{place}"

    def _rejected(self) -> Rejected:
        directory = self._options.text("storage.rejected.path")
        return Rejected(
            Path(directory) if directory else self._directory() / "rejected",
            limit=self._options.number("storage.rejected.limit") or None,
            keep=self._options.flag("storage.keep.rejected"),
        )

    def _journal_path(self) -> Path:
        path = self._directory()
        if not self._options.text("storage.path"):
            self._paths.create()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise UsageError(f"{self._service.where('storage.path')}: {path}: {e.strerror}") from e
        return path / "journal.db"

    async def run(self) -> int:
        """Returns what the process ends with: 0, unless an input says otherwise (`exec`)."""
        supervisor = Supervisor(grace=self._options.seconds("grace"), retry=self._waits())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)
        if self._parts.memory and not self._options.text("storage.path"):
            await self._run_in_memory(supervisor)
        else:
            await self._run_with_journal(supervisor)
        return supervisor.exit_code

    def _waits(self) -> tuple[float, float]:
        """The first wait of an output that has to try again, and the longest (seconds)."""
        options = self._options
        first = options.seconds("scheduler.base") if options.given("scheduler.base") else 0.5
        longest = options.seconds("scheduler.cap") if options.given("scheduler.cap") else 60.0
        return first, max(first, longest)

    async def _run_in_memory(self, supervisor: Supervisor) -> None:
        queue = MemoryQueue(linger=self._flush)
        await self._start(supervisor, queue, queue)

    async def _run_with_journal(self, supervisor: Supervisor) -> None:
        from kubewitness.journal import Journal
        from kubewitness.pipeline.committer import Committer

        with Journal(self._journal_path(), size_limit=self._options.number("storage.total_limit_size")) as journal:
            if self._parts.memory:
                queue = MemoryQueue(linger=self._flush, positions=journal)
                await self._start(supervisor, queue, queue)
                return
            for name in set(journal.stats().outputs) - {o.name for o in self._parts.outputs}:
                log.warning("output %s is no longer in %s; what it had not delivered is dropped", name, self._path)
                journal.unregister(name)
            for name in {n for n in journal.positions() if n.startswith(HELD)} - self._parts.held:
                log.warning("filter %s is no longer in %s; what it held comes when it is there again",
                            name.removeprefix(HELD), self._path)  # fmt: skip
            committer = Committer(journal)
            feed = JournalFeed(journal, committer, linger=self._flush)
            await self._start(supervisor, committer, feed, close=committer.close)

    async def _start(
        self, supervisor: Supervisor, sink: Sink, feed: Feed, *, close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`close`: of the sink, when nothing more will come."""
        filtered = FilterSink(sink, self._parts.filters, supervisor.fail)
        filters = [self._parts.filters]
        sinks = [filtered]
        for source, own in zip(self._parts.inputs, self._parts.processors, strict=True):
            filters.append(own)
            sinks.append(FilterSink(filtered, own, supervisor.fail))
            supervisor.add_input(source, sinks[-1])
            watch = getattr(source, "watch", None)
            if watch is not None:
                watch(supervisor.health, self._parts.metrics)
        for step in filters:
            supervisor.add_filters(step.health)
        for held in (s for s in reversed(sinks) if s.holds):
            # what an input's own filters let go still passes the others
            supervisor.add_service("filters", held.run)
            supervisor.add_drain(partial(held.finish, supervisor.stopped, supervisor.grace))
        if close is not None:
            supervisor.add_drain(close)
        rejected = self._rejected()
        for output in self._parts.outputs:
            show = getattr(output.output, "show", None)
            if show is not None:
                show(supervisor.health, self._parts.metrics)
            supervisor.add_output(output, feed, retry_limit=output.retry_limit, rejected=rejected)
        if self._service.monitor is not None:
            from kubewitness.web.monitor import Monitor

            host, port = self._service.monitor
            supervisor.add_service("monitor", Monitor(host, port, supervisor.health, self._parts.metrics).run)
        await supervisor.run(until_inputs_end=self._exit_on_eof)
