"""Stands in journalctl's place where systemd is not installed; see `tests.journald`.

Reads the entries of --directory=DIR in order of time. --cursor=C: from that entry on, or where it is gone from the
first one behind it; --lines=N: the last N of them; --follow: goes on; FIELD=VALUE: matches, of one field any, of
several all, `+` between alternatives.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    options = dict(a.removeprefix("--").partition("=")[::2] for a in arguments if a.startswith("--") and a != "--")
    matches = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    after = _place(options["cursor"]) if "cursor" in options else (0, 0)
    lines = options.get("lines", "all")
    seen: set[str] = set()
    while True:
        found = [e for e in entries(Path(options["directory"])) if _place(e["cursor"]) >= after]
        found = [e for e in found if e["cursor"] not in seen and wanted(e, matches)]
        for entry in found if lines == "all" else found[-int(lines) :]:
            seen.add(entry["cursor"])
            sys.stdout.buffer.write(shown(entry))
        sys.stdout.buffer.flush()
        if "follow" not in options:
            return
        time.sleep(0.05)


def entries(directory: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(directory.glob("*.entries")):
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            continue
        found += [json.loads(line) for line in lines[:-1]]
    return sorted(found, key=lambda entry: _place(entry["cursor"]))


def wanted(entry: dict[str, Any], matches: list[str]) -> bool:
    if not matches:
        return True
    has = {f"{name}={base64.b64decode(value).decode('utf-8', 'replace')}" for name, value in entry["fields"]}
    alternatives: list[list[str]] = [[]]
    for word in matches:
        if word == "+":
            alternatives.append([])
        else:
            alternatives[-1].append(word)
    return any(
        all(has & {w for w in words if w.partition("=")[0] == word.partition("=")[0]} for word in words)
        for words in alternatives
    )


def shown(entry: dict[str, Any]) -> bytes:
    parts = [f"__CURSOR={entry['cursor']}\n".encode()]
    for name, value in entry["fields"]:
        raw = base64.b64decode(value)
        plain = raw.isascii() and all(byte >= 32 for byte in raw)
        size = struct.pack("<Q", len(raw))
        parts.append(b"%b=%b\n" % (name.encode(), raw) if plain else b"%b\n%b%b\n" % (name.encode(), size, raw))
    return b"".join(parts) + b"\n"


def _place(cursor: str) -> tuple[int, int]:
    parts = dict(part.split("=") for part in cursor.split(";"))
    return int(parts["t"], 16), int(parts["i"], 16)


if __name__ == "__main__":
    main(sys.argv[1:])
