"""`python -m tests.cluster.scenarios record|score`: see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.cluster.harness import NotInstalled, locate
from tests.cluster.scenarios.record import Leak, Recording, record
from tests.cluster.scenarios.scoring import print_scores
from tests.questions.variations import VARIATIONS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.scenarios")
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="play one seed on a real control plane, and write a recording")
    recording.add_argument("--seed", type=int, required=True)
    recording.add_argument("--out", type=Path, required=True, help="the recording's folder")
    recording.add_argument("--only", default="", help="names of scenarios, with commas; all by default")
    scoring = commands.add_parser("score", help="ask `who` about recordings, and compare with what is known")
    scoring.add_argument("folders", type=Path, nargs="*", help="recordings")
    scoring.add_argument("--seed", type=int, action="append", default=[], help="play that seed first")
    scoring.add_argument("--level", action="append", default=[], help="only this audit level; may be repeated")
    scoring.add_argument(
        "--vary", action="append", default=[], choices=[*VARIATIONS, "all"], help="spoil the captures; may be repeated"
    )
    scoring.add_argument("-q", "--quiet", action="store_true", help="leave the wrong answers out")
    options = parser.parse_args()
    try:
        if options.command == "record":
            record(options.seed, options.out, locate(), tuple(filter(None, options.only.split(","))))
            return 0
        with tempfile.TemporaryDirectory() as kept:
            fresh = [record(seed, Path(kept) / str(seed), locate()) for seed in options.seed]
            recordings = [Recording(folder) for folder in options.folders] + fresh
            vary = list(VARIATIONS) if "all" in options.vary else options.vary
            return print_scores(recordings, options.level, vary, quiet=options.quiet)
    except NotInstalled as e:
        print(f"scenarios: {e}", file=sys.stderr)
        return 2
    except Leak as e:
        print(f"scenarios: the captures hold traces of this machine:\n{e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
