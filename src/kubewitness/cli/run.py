"""Runs a pipeline file (Fluent Bit's YAML or classic format): inputs, a durable journal between, outputs.

With `storage.type: filesystem` (the default) records and positions are in the pipeline's journal before a source is
acknowledged, and nothing is lost or captured twice across restarts. With `memory` nothing touches the disk: what is
buffered is lost with the process, and positions are kept only when `storage.path` is set or an input has a `db`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from kubewitness.cli.options import add_state, paths_of
from kubewitness.cli.pipeline import Configuration, Pipeline
from kubewitness.cli.pipeline_parts import KNOWN, Parts, Service
from kubewitness.cli.plugins import located
from kubewitness.config.keys import Options
from kubewitness.config.load import load_pipeline
from kubewitness.config.tree import Tree
from kubewitness.errors import UsageError

LEVELS = {
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
    paths = paths_of(args)

    def read() -> Tree:
        return load_pipeline(Path(args.config), KNOWN)

    def made(tree: Tree) -> Configuration:
        service = Service(tree.service)
        if service.options.flag("daemon"):
            raise UsageError(f"{service.where('daemon')}: 'daemon' is on; a supervisor (systemd, the kubelet) keeps it "
                             "running")  # fmt: skip
        parts = Parts(tree, service, paths, strict=True, exit_on_eof=args.exit_on_eof, dry=args.dry_run)
        return Configuration(tree, service, parts)

    tree = read()
    with located(tree.service):
        _log_to(Service(tree.service).options, dry=args.dry_run)
    first = made(tree)
    for warning in first.parts.warnings:
        log.warning("%s", warning)
    if args.dry_run:
        print(f"{tree.path}: ok, {len(first.parts.inputs)} inputs, {len(first.parts.outputs)} outputs")
        return 0
    return asyncio.run(Pipeline(first, read, made, paths, exit_on_eof=args.exit_on_eof).run())


def _log_to(service: Options, *, dry: bool) -> None:
    """Standard error, or `log_file` when it runs."""
    path = "" if dry else service.text("log_file")
    try:
        handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    except OSError as e:
        raise UsageError(f"service: 'log_file' {path}: {e.strerror}") from e
    logging.basicConfig(
        handlers=[handler], level=LEVELS[service.choice("log_level")], format="%(asctime)s %(levelname)s %(message)s"
    )
