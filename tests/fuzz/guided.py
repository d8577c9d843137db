"""`python -m tests.fuzz.guided TARGET INPUTS SEED FOLDER`: one target under atheris (libFuzzer), guided by coverage.

It begins with the seeds and words of `pieces`. It exits with 0 after so many inputs; a broken promise, an input that
takes longer than `SLOW` seconds or more than 2 GB ends it with the input in FOLDER and in its output.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

SLOW = 10

with atheris.instrument_imports(include=["kubewitness.formats", "kubewitness.inputs", "kubewitness.kube.lines"]):
    from tests.fuzz.pieces import SEEDS, WORDS
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, inputs, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    corpus = folder / name
    corpus.mkdir(parents=True)
    for n, data in enumerate(SEEDS):
        (corpus / f"seed-{n}").write_bytes(data)
    words = folder / f"{name}.words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS if 0 < len(word) <= 60))
    limits = [f"-runs={inputs}", f"-seed={seed}", f"-timeout={SLOW}", "-max_len=1024", "-rss_limit_mb=2048"]
    paths = [f"-dict={words}", f"-artifact_prefix={folder}/{name}-failed-", str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *paths, "-print_final_stats=1", "-reload=0"], TARGETS[name])
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
