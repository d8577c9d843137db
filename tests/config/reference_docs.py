"""The tables of docs/fluent-bit.md: `python -m tests.config.reference_docs` writes them anew.

Plugin by plugin every key: whether it is supported, which tests set it (`tests.tried`), what it means here, and what
differs from Fluent Bit. peer_keys.json has Fluent Bit 5.1's keys and defaults, of the plugins that it was read of.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kubewitness.config.common import FILTER_KEYS, INPUT_KEYS, OUTPUT_KEYS
from kubewitness.config.keys import TYPES, Key, parsed
from kubewitness.config.reference import kind as type_of
from kubewitness.config.service import SERVICE_KEYS
from kubewitness.filters import FILTERS
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS
from kubewitness.parsers.keys import KEYS as PARSER_KEYS
from kubewitness.parsers.multiline_rules import KEYS as MULTILINE_KEYS

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "fluent-bit.md"
TRIED = HERE / "tried.json"
PEER: dict[str, dict[str, str | None]] = json.loads((HERE / "peer_keys.json").read_text(encoding="utf-8"))
KINDS = (("Input", INPUTS), ("Filter", FILTERS), ("Output", OUTPUTS))
_TABLES = re.compile(r"(?<=<!-- keys -->\n).*?(?=<!-- /keys -->)", re.DOTALL)
_COUNTS = re.compile(r"(?<=<!-- counts -->\n).*?(?=<!-- /counts -->)", re.DOTALL)
_WITHOUT = "accepted, without effect: "
#: what the text of a key says about Fluent Bit
_SAID = re.compile(r" ?\(((?:not in Fluent Bit|Fluent Bit)[^()]*(?:\([^()]*\)[^()]*)*)\)")
#: how many tests' files a row names
_MOST = 3
_GENERAL = "config/test_reference"

#: section -> key -> the test files that set it
Known = Mapping[str, Mapping[str, Sequence[str]]]


def sections() -> Iterator[tuple[str, Sequence[Key]]]:
    """(heading, keys) of everything that has keys."""
    yield "Section `service`", SERVICE_KEYS
    yield "Every input", INPUT_KEYS
    yield "Every filter", FILTER_KEYS
    yield "Every output", OUTPUT_KEYS
    yield "Parsers", PARSER_KEYS
    yield "Multiline parsers", MULTILINE_KEYS
    for kind, plugins in KINDS:
        for name, (module, _) in sorted(plugins.items()):
            yield f"{kind} `{name}`", importlib.import_module(module).KEYS


def without_effect(key: Key) -> bool:
    return key.doc.startswith(_WITHOUT.rstrip(": "))


def unknown(title: str, keys: Sequence[Key]) -> list[str]:
    """Keys of Fluent Bit's that are not declared here."""
    names = [key.name for key in keys]
    prefixes = tuple(key.name for key in keys if key.type == "prefix")
    return [n for n in PEER.get(title, {}) if n not in names and not (prefixes and n.startswith(prefixes))]


def table(title: str, keys: Sequence[Key], known: Known) -> str:
    """Markdown, one row a key."""
    rows = [
        "| key | type | default | supported | tested by | meaning here | differs from Fluent Bit |",
        "|---" * 7 + "|",
    ]
    for key in keys:
        default = f"`{key.default}`" if key.default else ""
        meaning, differs = _meaning(key), "; ".join(_differs(title, key))
        name = key.name + ("N" if key.type == "prefix" else "")
        row = [f"`{name}`", type_of(key), default, _supported(key), _tested(title, key, known), meaning, differs]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    rows += [f"| `{name}` | | | no | | | an unknown key here |" for name in unknown(title, keys)]
    return "\n".join(rows) + "\n"


def _supported(key: Key) -> str:
    return "refused" if key.refused else "no effect" if without_effect(key) else "yes"


def _tested(title: str, key: Key, known: Known) -> str:
    if not _works(key) and not known.get(title, {}).get(key.name):
        return f"`{_GENERAL}`"
    found = _files(title, key, known)
    if found is None:
        return "**no test**"
    other, files = found
    return _named(title, files) if other == title else f"at {other.partition(' ')[2]}: {_named(other, files[:1])}"


def _files(title: str, key: Key, known: Known) -> tuple[str, Sequence[str]] | None:
    """(section, the test files that set the key there): its own, or another that has it from the same declaration, and
    so the same piece of code behind it."""
    others = (other for other, keys in sections() if any(one is key for one in keys))
    for other in (title, *others):
        if files := known.get(other, {}).get(key.name):
            return other, files
    return None


def _named(title: str, files: Sequence[str]) -> str:
    names = [file.removeprefix("tests/").removesuffix(".py") for file in files]
    plugin = title.rpartition(" ")[2].strip("`")
    room = title.partition(" ")[0].lower() + "s/"
    # the plugin's own tests first
    names.sort(key=lambda name: (plugin not in name, not name.startswith(room), name))
    more = f" and {len(names) - _MOST} more" if names[_MOST:] else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST]) + more


def _meaning(key: Key) -> str:
    doc = "" if without_effect(key) else _SAID.sub("", key.doc)
    parts = [doc or ("" if without_effect(key) else TYPES[key.type])]
    if key.choices:
        parts.append(f"one of {', '.join(f'`{choice}`' for choice in key.choices)}")
    return "; ".join(part for part in parts if part)


def _differs(title: str, key: Key) -> Iterator[str]:
    if without_effect(key):
        yield "without effect: " + key.doc.removeprefix(_WITHOUT)
    if key.refused:
        yield f"anything but the default is refused: {key.refused}"
    said = _SAID.findall(key.doc)
    yield from said
    peer = PEER.get(title)
    if peer is None or said:
        return
    theirs = peer.get(key.name)
    if theirs is not None and not _same(key, theirs):
        yield f"Fluent Bit's default: {f'`{theirs}`' if theirs else 'none'}"


def _same(key: Key, theirs: str) -> bool:
    if theirs.lower() == key.default.lower():
        return True
    if key.type in ("text", "list", "prefix"):
        return False
    ours = parsed(key.type, key.default) if key.default else 0
    return ours == (parsed(key.type, theirs) if theirs else 0)


def tried() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(TRIED.read_text(encoding="utf-8")) if TRIED.exists() else {}
    return found


def counts(known: Known) -> str:
    """How many keys there are of each kind, in one line."""
    rows = [(title, key) for title, keys in sections() for key in keys]
    working, left = sum(map(_works, (key for _, key in rows))), len(untested(known))
    idle, refused = sum(without_effect(k) for _, k in rows), sum(bool(k.refused) for _, k in rows)
    return (
        f"{len(rows)} keys: {working} work, and tests set {f'all but {left}' if left else 'each'} of them to something "
        f"else than its default; {idle} are accepted without effect, {refused} are refused unless they have their "
        "default.\n"
    )


def untested(known: Known) -> list[tuple[str, str]]:
    """(section, key) of those that work, and that no test sets to anything."""
    return [
        (title, key.name) for title, keys in sections() for key in keys if _works(key) and not _files(title, key, known)
    ]


def _works(key: Key) -> bool:
    return not key.refused and not without_effect(key)


def written(page: str) -> str:
    """The page with its tables as they should be."""
    known = tried()
    parts = [
        f"### {title}\n\n{table(title, keys, known) if keys else 'None of its own.' + chr(10)}"
        for title, keys in sections()
    ]
    page = _COUNTS.sub(lambda _: "\n" + counts(known) + "\n", page)
    return _TABLES.sub(lambda _: "\n" + "\n".join(parts) + "\n", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
