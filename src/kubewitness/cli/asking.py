"""What the asking commands share: the session, the object's words, the clusters."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence

from kubewitness.cli.options import paths_of
from kubewitness.questions.coverage import find_target
from kubewitness.questions.targets import Ref
from kubewitness.questions.times import parse_time
from kubewitness.store import Session, Store


@contextlib.contextmanager
def session_of(args: argparse.Namespace) -> Iterator[Session]:
    """A session on the state that the options name."""
    store = Store(paths_of(args))
    try:
        with store.session() as session:
            yield session
    finally:
        store.close()


def target_of(session: Session, args: argparse.Namespace, words: Sequence[str]) -> Ref:
    """The object that the words and `-n`, `--cluster` name; kinds that were recorded are known."""
    return find_target(session, words, args.namespace, args.cluster)


def time_of(args: argparse.Namespace, name: str) -> int | None:
    """The time option `--<name>`, microseconds UTC."""
    text = getattr(args, name)
    return None if text is None else parse_time(text, option=f"--{name}")
