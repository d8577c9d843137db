"""Errors in Fluent Bit's words, for whoever looks for them in a log; behind them where, and the nearest name."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TypeVar

from kubewitness.cli.plugins import Located
from kubewitness.config.keys import UnknownKey
from kubewitness.config.load import UnknownPlugin
from kubewitness.errors import KubewitnessError, StateError, UsageError

log = logging.getLogger("kubewitness.run")

_OPTION = {"input": "-i", "filter": "-F", "processor": "-F", "output": "-o"}
E = TypeVar("E", bound=BaseException)


class Wrong(KubewitnessError):
    """It was told what is wrong; the process ends with `code`."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@contextlib.contextmanager
def in_its_words(program: str, *, code: int) -> Iterator[None]:
    """Tells what a person must mend, and raises `Wrong`."""
    try:
        yield
    except (UsageError, StateError) as e:
        raise Wrong(str(e), _tell(program, e, code)) from e


def _tell(program: str, error: KubewitnessError, code: int) -> int:
    plugin, key = _within(error, UnknownPlugin), _within(error, UnknownKey)
    if plugin is not None:
        log.error("[config] section '%s' tried to instance a plugin name that doesn't exist: %s", plugin.name, error)
    elif key is not None:
        _tell_key(program, key, _within(error, Located))
    else:
        log.error("[config] %s", error)
    if code == 1:
        missing = isinstance(error.__cause__, FileNotFoundError | PermissionError)
        said = "Could not open configuration file" if missing else "Configuration file contains errors"
        print(f"Error: {said}. Aborting\n", file=sys.stderr)
        return 1
    log.error("[engine] initialization failed")
    return code


def _tell_key(program: str, key: UnknownKey, at: Located | None) -> None:
    name = at.section.plugin if at is not None else key.what.rpartition(" ")[2]
    allowed = ", ".join([*key.known[:-1], f"and {key.known[-1]}"]) if len(key.known) > 1 else "".join(key.known)
    place = f" ({at.place}{key.hint})" if at is not None else ""
    log.error("[config] %s: unknown configuration property '%s'. The following properties are allowed: %s.%s",
              name, key.key, allowed, place)  # fmt: skip
    if at is not None and at.section.kind in _OPTION:
        log.info("[help] try the command: %s %s %s -h", program, _OPTION[at.section.kind], name)


def _within(error: BaseException | None, kind: type[E]) -> E | None:
    """An error of that kind, among those that led to this one."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error
