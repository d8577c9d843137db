"""The table of keys in docs/tail.md: `python -m tests.inputs.tail_docs` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from kubewitness.inputs.tail_keys import KEYS

PAGE = Path(__file__).parents[2] / "docs" / "tail.md"
_TABLE = re.compile(r"(?<=<!-- keys -->\n).*?(?=<!-- /keys -->)", re.DOTALL)


def table() -> str:
    rows = [f"| `{k.name}` | {f'`{k.default}`' if k.default else ''} | {k.doc} |" for k in KEYS]
    return "\n".join(["| key | default | meaning here |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(_TABLE.sub(lambda _: table(), PAGE.read_text()))
