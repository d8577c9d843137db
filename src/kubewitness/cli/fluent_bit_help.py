"""What the drop-in says of itself: version, help, the keys of a plugin, the support report."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import textwrap
from collections.abc import Mapping, Sequence

from kubewitness import __version__
from kubewitness.config.common import FILTER_KEYS, INPUT_KEYS, OUTPUT_KEYS
from kubewitness.config.keys import Key
from kubewitness.config.peer import VERSION
from kubewitness.config.reference import kind as type_of
from kubewitness.config.tree import Section, Tree
from kubewitness.errors import UsageError
from kubewitness.filters import FILTERS
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS

#: kind -> its plugins and the keys that all of them have
ROOMS: Mapping[str, tuple[Mapping[str, tuple[str, str]], Sequence[Key]]] = {
    "input": (INPUTS, INPUT_KEYS),
    "filter": (FILTERS, FILTER_KEYS),
    "processor": (FILTERS, ()),
    "output": (OUTPUTS, OUTPUT_KEYS),
}
_OPTIONS = (
    ("-b  --storage_path=PATH", "directory of the journal, and of what far sides refused"),
    ("-c  --config=FILE", "a configuration file, classic or YAML"),
    ("-d, --daemon", "run in the background"),
    ("    --supervisor", "accepted, without effect: nothing is lost when the process is restarted by others"),
    ("-D, --dry-run", "check the configuration and end"),
    ("-f, --flush=SECONDS", "how long records may wait to be delivered together (default: 1)"),
    ("-i, --input=INPUT", "add an input"),
    ("-F  --filter=FILTER", "add a filter"),
    ("-m, --match=MATCH", "same as '-p match=MATCH'"),
    ("-o, --output=OUTPUT", "add an output"),
    ('-p, --prop="A=B"', "a key of the plugin before it"),
    ("-R, --parser=FILE", "a parsers file"),
    ("-e, --plugin=FILE", "refused: external plugins cannot be loaded"),
    ("-l, --log_file=FILE", "write the log to a file"),
    ("-t, --tag=TAG", "same as '-p tag=TAG'"),
    ("-T, --sp-task=SQL", "refused: there is no stream processor; see `kubewitness sql`"),
    ("-v, --verbose", "log more (default: info); -vv: trace"),
    ("-w, --workdir", "change the working directory first"),
    ("-H, --http", "answer probes and show metrics over HTTP"),
    ("-L, --http_listen", "address for that (default: 0.0.0.0)"),
    ("-P, --port", "TCP port for that (default: 2020)"),
    ("-s, --coro_stack_size", "accepted, without effect"),
    ("-q, --quiet", "log nothing"),
    ("-S, --sosreport", "print a report for support"),
    ("-Y, --enable-hot-reload", "SIGHUP and POST /api/v2/reload read the configuration again"),
    ("-W, --disable-thread-safety-on-hot-reload", "accepted, without effect: a reload cuts nothing short"),
    ("-V, --version", "show version number"),
    ("-h, --help", "print this help; after -i, -F or -o NAME: the keys of that plugin"),
    ("-J, --help-json", "the same as JSON"),
)


def version_text() -> str:
    return f"Fluent Bit v{VERSION}\nGit commit: kubewitness-{__version__}\n"


def banner() -> str:
    return f"Fluent Bit v{VERSION}\n* kubewitness v{__version__}, in the place of Fluent Bit\n\n"


def usage(program: str) -> str:
    lines = [f"Usage: {program} [OPTION]", "", "Available Options", *(_row(*option) for option in _OPTIONS)]
    for title, room in (("Inputs", INPUTS), ("Processors", FILTERS), ("Filters", FILTERS), ("Outputs", OUTPUTS)):
        lines += ["", title, *(_row(name, "") for name in sorted(room))]
    return "\n".join(lines) + "\n"


def _row(name: str, text: str) -> str:
    return f"  {name:<24}{text}" if len(name) < 24 else f"  {name}  {text}"


def keys_of(kind: str, name: str) -> tuple[str, list[tuple[str, Sequence[Key]]]]:
    """(what the plugin is, its keys by heading). UsageError when there is no such plugin."""
    room, common = ROOMS.get(kind, ({}, ()))
    if name not in room:
        raise UsageError(f"invalid {kind} plugin '{name}'")
    module = importlib.import_module(room[name][0])
    own: Sequence[Key] = module.KEYS
    shared = [key for key in common if key.name not in {k.name for k in own}]
    about = (module.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    return about, [(title, keys) for title, keys in (("properties", own), ("global options", shared)) if keys]


def plugin_text(kind: str, name: str) -> str:
    """As `-i NAME -h` shows it."""
    about, sections = keys_of(kind, name)
    width = max((len(_shown(key)) for _, keys in sections for key in keys), default=0) + 2
    lines = ["HELP", f"{name} {kind} plugin", "", "DESCRIPTION", about]
    for title, keys in sections:
        lines += ["", title.upper()]
        for key in keys:
            first, *rest = textwrap.wrap(_meaning(key), max(40, 90 - width)) or [""]
            lines.append(f"{_shown(key):<{width}}{first}")
            lines += [" " * width + line for line in rest]
            default = f"default: {key.default}, " if key.default else ""
            lines += [f"{' ' * width}> {default}type: {_type(key)}", ""]
    return "\n".join(lines) + "\n"


def plugin_json(kind: str, name: str) -> dict[str, object]:
    """As `-i NAME -J` shows it."""
    about, sections = keys_of(kind, name)
    properties = {
        {"properties": "options", "global options": "global_options"}[title]: [
            {"name": _shown(k), "description": k.doc, "default": k.default or None, "type": _type(k)} for k in keys
        ]
        for title, keys in sections
    }
    return {"type": kind, "name": name, "description": about, "properties": properties}


def schema_text() -> str:
    """Every plugin and its keys, as `-J` alone shows them."""
    head = {"version": VERSION, "schema_version": "1", "os": sys.platform}
    rooms = {
        f"{kind}s": [plugin_json(kind, name) for name in sorted(room)]
        for kind, (room, _) in ROOMS.items()
        if kind != "processor"
    }
    return json.dumps({"fluent-bit": head, "customs": [], **rooms})


def _meaning(key: Key) -> str:
    parts = [key.doc or "no description available"]
    if key.choices:
        parts.append(f"one of {', '.join(f'`{choice}`' for choice in key.choices)}")
    if key.refused:
        parts.append(f"anything else is refused: {key.refused}")
    return "; ".join(parts)


def _shown(key: Key) -> str:
    return key.name + ("N" if key.type == "prefix" else "")


def _type(key: Key) -> str:
    return "multiple " + type_of(key).removesuffix(" (several)") if key.multi else type_of(key)


def report(tree: Tree) -> str:
    """For support: what runs where, and how its parts hang together; no key that could hold a secret."""
    system = platform.uname()
    lines = ["Fluent Bit - SOS Report", "=======================", "", "[Fluent Bit]"]
    lines += [f"    Edition\t\tkubewitness {__version__}", f"    Version\t\t{VERSION}", "", "[Operating System]"]
    lines += [f"    Name\t\t{system.system}", f"    Release\t\t{system.release}", f"    Version\t\t{system.version}"]
    lines += ["", "[Hardware]", f"    Architecture\t{system.machine}", f"    Processors\t\t{os.cpu_count()}"]
    lines += ["", "[Built Plugins]"]
    lines += [f"    {title}\t\t{' '.join(sorted(room))}" for title, room in
              (("Inputs", INPUTS), ("Filters", FILTERS), ("Outputs", OUTPUTS))]  # fmt: skip
    lines += ["", "[SERVER] Runtime configuration"]
    lines += [f"    {name}\t\t{tree.service.keys[name]}" for name in ("flush", "grace", "log_level", "storage.type")
              if name in tree.service.keys]  # fmt: skip
    for title, sections in (("INPUT", tree.inputs), ("FILTER", tree.filters), ("OUTPUT", tree.outputs)):
        for section in sections:
            lines += ["", f"[{title}] Instance", f"    Name\t\t{section.plugin}", *_route(section)]
    return "\n".join(lines) + "\n"


def _route(section: Section) -> list[str]:
    keys = section.keys
    shown = ("alias", "tag", "match", "match_regex", "storage.type", "retry_limit")
    return [f"    {name.capitalize()}\t\t{keys[name]}" for name in shown if name in keys]
