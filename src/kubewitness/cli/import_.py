"""Read audit logs, Events and other captures into the store.

PATH is a file, a folder (read to any depth, rotated files in their order) or - for standard input; plain, gzip or
zstd. What a file holds is found out by itself: audit JSON lines and EventLists, `kubectl get ... -o json|yaml`, raw
watch streams, AdmissionReviews, exports of EKS, GKE, AKS, Loki and Elasticsearch, component and container logs.
Lines that cannot be understood are kept in table `rejects` with the reason. Importing twice stores nothing twice.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from kubewitness.cli.options import add_output, add_state, new_cluster, paths_of

if TYPE_CHECKING:
    from kubewitness.inputs.importer import Importer, Summary
    from kubewitness.inputs.importer.files import Source

_FORMATS = ("auto", "audit", "events", "admission", "cri", "docker", "klog", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, or - for standard input")
    parser.add_argument(
        "--format", choices=_FORMATS, default="auto", help="what the files hold, if it should not be found out"
    )
    parser.add_argument(
        "--cluster", type=new_cluster, default="default", metavar="NAME", help="cluster the records are of"
    )
    add_state(parser)
    add_output(parser, ("text", "json"))


def run(args: argparse.Namespace) -> int:
    from kubewitness.inputs.importer import Importer
    from kubewitness.inputs.importer.files import find
    from kubewitness.inputs.importer.run import Progress

    sources = find(args.paths)
    with contextlib.ExitStack() as stack:
        shows = sys.stderr.isatty() and not args.quiet
        progress: Any = stack.enter_context(_bar()) if shows else Progress()
        if not shows and not args.quiet:
            progress.say = _say
        importer = Importer(paths_of(args), cluster=args.cluster, form=args.format, progress=progress)
        stack.enter_context(_ends_on_signal(importer))
        summary = importer.run(sources)
    if args.output == "json":
        _print_json(summary)
    else:
        _print_text(summary, quiet=args.quiet)
    return 130 if summary.interrupted else 0


@contextlib.contextmanager
def _ends_on_signal(importer: Importer) -> Iterator[None]:
    """The first Ctrl-C (or TERM) ends the run in order, the second at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if handle_count:
            raise KeyboardInterrupt
        handle_count.append(number)
        importer.stop()
        os.write(2, b"\nstopping after this batch; once more stops at once\n")

    handle_count: list[int] = []
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _print_json(summary: Summary) -> None:
    import msgspec

    answer = {
        "read": summary.read,
        "stored": summary.stored,
        "duplicates": summary.duplicates,
        "rejected": summary.rejected,
        "bytes": summary.bytes,
        "seconds": round(summary.seconds, 3),
        "sources": dict(summary.sources.most_common()),
        "interrupted": summary.interrupted,
        "failed": [{"file": file, "reason": reason} for file, reason in summary.failed],
    }
    print(msgspec.json.encode(answer).decode())


def _print_text(summary: Summary, *, quiet: bool) -> None:
    megabytes = summary.bytes / 1e6
    rate = f", {megabytes / summary.seconds:.0f} MB/s" if summary.seconds > 0.5 else ""
    print(
        f"read {summary.read:,} records ({megabytes:.1f} MB) in {summary.seconds:.1f} s{rate}: "
        f"{summary.stored:,} stored, {summary.duplicates:,} already there, {summary.rejected:,} not understood"
    )
    if quiet:
        return
    kinds = ", ".join(f"{count:,} {name}" for name, count in summary.sources.most_common())
    if kinds:
        print(f"they came as: {kinds}")
    for file, reason in summary.failed:
        print(f"{file}: {reason}; what came before that was imported")
    if summary.rejected:
        print('see why with: kubewitness sql "select file, \\"offset\\", reason from rejects"')
    if summary.interrupted:
        print("stopped before the end; import the same files again to go on, nothing is stored twice")


def _say(text: str) -> None:
    print(f"kubewitness import: {text}", file=sys.stderr)


@contextlib.contextmanager
def _bar() -> Iterator[Any]:
    """A progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    count = TextColumn("{task.fields[records]:,} records")
    with Progress(*columns, count, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        yield _Shown(bar)


class _Shown:
    """Shows a run's progress on the bar."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None

    def begin(self, sources: Sequence[Source]) -> None:
        known = all(source.size for source in sources)
        total = sum(source.size for source in sources) if known else None
        self._task = self._bar.add_task("importing", total=total, records=0)

    def file(self, source: Source) -> None:
        from rich.markup import escape

        self._bar.update(self._task, description=escape(source.name.rpartition(os.sep)[2][:40]))

    def advance(self, stored_bytes: int, records: int) -> None:
        self._bar.update(self._task, completed=stored_bytes, records=records)

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False)
