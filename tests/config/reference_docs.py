"""The tables of docs/fluent-bit.md: `python -m tests.config.reference_docs` writes them anew."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kubewitness.config.common import FILTER_KEYS, INPUT_KEYS, OUTPUT_KEYS
from kubewitness.config.keys import Key
from kubewitness.config.reference import table
from kubewitness.config.service import SERVICE_KEYS
from kubewitness.filters import FILTERS
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS
from kubewitness.parsers.keys import KEYS as PARSER_KEYS
from kubewitness.parsers.multiline_rules import KEYS as MULTILINE_KEYS

PAGE = Path(__file__).parents[2] / "docs" / "fluent-bit.md"
_TABLES = re.compile(r"(?<=<!-- keys -->\n).*?(?=<!-- /keys -->)", re.DOTALL)


def sections() -> Iterator[tuple[str, Sequence[Key]]]:
    """(heading, keys) of everything that has keys."""
    yield "Section `service`", SERVICE_KEYS
    yield "Every input", INPUT_KEYS
    yield "Every filter", FILTER_KEYS
    yield "Every output", OUTPUT_KEYS
    yield "Parsers", PARSER_KEYS
    yield "Multiline parsers", MULTILINE_KEYS
    for kind, plugins in (("Input", INPUTS), ("Filter", FILTERS), ("Output", OUTPUTS)):
        for name, (module, _) in sorted(plugins.items()):
            yield f"{kind} `{name}`", importlib.import_module(module).KEYS


def written(page: str) -> str:
    """The page with its tables as they should be."""
    parts = [f"### {title}\n\n{table(keys) if keys else 'None of its own.' + chr(10)}" for title, keys in sections()]
    return _TABLES.sub(lambda _: "\n" + "\n".join(parts) + "\n", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
