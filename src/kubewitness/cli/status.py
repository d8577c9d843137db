"""What is being recorded, how far the tables are behind, what was dropped or rejected, and how much room it takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from kubewitness.cli.options import add_output, add_state, paths_of
from kubewitness.cli.render import clean, print_json, style_for
from kubewitness.formats.times import format_us
from kubewitness.store.status import status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)
    add_output(parser, ("text", "json"))


def run(args: argparse.Namespace) -> int:
    found = status(paths_of(args))
    if args.output == "json":
        print_json(found)
    else:
        _print(found)
    return 0


def _print(s: dict[str, Any]) -> None:
    style = style_for()
    recorder = s["recorder"]
    alive = style(f"recording (process {recorder['pid']})", "green") if recorder["alive"] else "nobody records now"
    print(f"state     {s['state']}: {alive}")
    if s["election"] is not None:
        _print_election(s["election"], style)
    for source in s["inputs"]:
        _print_input(source, style)
    waiting = sum(t["waiting"]["records"] for t in s["tables"].values())
    limit = s["journal"]["size_limit"]
    room = f" of {size(limit)}" if limit else ""
    print(f"journal   {size(s['journal']['bytes'])}{room}, {waiting} records not in the tables yet")
    if s["journal"]["quarantined"]:
        print(style(f"          {s['journal']['quarantined']} damaged chunks set aside", "red"))
    for source, counts in s["journal"]["sources"].items():
        print(f"source    {source}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    print(f"raw       {size(s['raw']['bytes'])} in {s['raw']['segments']} segments")
    print(f"disk      {size(s['disk']['free_bytes'])} free of {size(s['disk']['total_bytes'])}")
    print(f"rejects   {s['rejects']}" + ("  (look at table rejects with `kubewitness sql`)" if s["rejects"] else ""))
    for refused in s["set_aside"]:
        told = f"{refused['records']} records of pipeline {refused['pipeline']}, output {refused['output']}"
        print(style(f"set aside {clean(told)}: {clean(refused['path'])}", "red"))
    print(f"\n{'table':<10}{'rows':>12}{'waiting':>9}{'files':>7}{'size':>10}  {'from':<20}{'to':<20}last commit")
    for name, t in s["tables"].items():
        if t["rows"] or t["waiting"]["records"]:
            cells = (t["first"], t["last"], t["last_commit"])
            first, last, commit = ((c or "-")[:19] for c in cells)
            line = f"{name:<10}{t['rows']:>12}{t['waiting']['records']:>9}{t['files']:>7}{size(t['bytes']):>10}"
            print(f"{line}  {first:<20}{last:<20}{commit}")


def _print_election(e: dict[str, Any], style: Callable[[str, str], str]) -> None:
    """Who leads, and what keeps this one from it."""
    told = style("leading", "green") if e["leading"] else e["state"]
    print(f"election  {told} in term {e['term']}, lease {e['lease']} held by {clean(e['holder'] or 'nobody')}")
    if e["last_error"]:
        print("          " + style(clean(e["last_error"]), "red"))


def _print_input(source: dict[str, Any], style: Callable[[str, str], str]) -> None:
    """An input, its watches, and what it would have to be granted."""
    state, since = source["state"], source.get("dead_since_us")
    color = "red" if state in ("failing", "failed", "waiting") or since else "green"
    error = source.get("last_error")
    told = f"{state}, nothing since {format_us(since)[:19]}" if since else state
    print(
        f"input     {source['name']}: {style(told, color)}" + (f" ({clean(error)})" if error and color == "red" else "")
    )
    for word, watch in source.get("watch", {}).items():
        last = watch["last_event_us"]
        print(f"          watch {word}: {watch['state']}, last message {format_us(last)[:19] if last else 'never'}")
    for right in source.get("missing_rights", []):
        print("          " + style(f"not allowed to {right}: grant it with RBAC", "red"))


def size(n: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(n) < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"
