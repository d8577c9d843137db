"""The portable yardstick: `orjson.loads` + `orjson.dumps` of every line, to a file.

python -m benchmarks.yardstick IN OUT
"""

from __future__ import annotations

import sys

import orjson


def main() -> None:
    with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
        for line in source:
            target.write(orjson.dumps(orjson.loads(line)))
            target.write(b"\n")


if __name__ == "__main__":
    main()
