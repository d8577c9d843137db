"""Packages that only some outputs need: extras of `kubewitness[...]`."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from kubewitness.errors import UsageError


def need(what: str, module: str, extra: str) -> None:
    """UsageError if a module is not installed. `what`: the part that needs it, for the error."""
    if importlib.util.find_spec(module) is None:
        raise _missing(what, extra)


def otlp_records(what: str) -> Any:
    """Our module of that name. UsageError if what it needs is not installed."""
    try:
        return importlib.import_module("kubewitness.outputs.otlp_records")
    except ImportError as e:
        raise _missing(what, "opentelemetry") from e


def _missing(what: str, extra: str) -> UsageError:
    return UsageError(f"{what}: it needs more packages; install them with: pip install 'kubewitness[{extra}]'")
