"""What a file holds, told by its beginning."""

from __future__ import annotations

import re
from typing import Literal

Shape = Literal["json", "yaml", "cri", "docker", "klog", "binary"]

CRI = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ ]* (stdout|stderr) [PF]( |$)")
KLOG = re.compile(rb"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ ")
_DOCKER = re.compile(rb'\{"log":".*"stream":"std(out|err)"')
_YAML = re.compile(
    rb"(---\s*$|(kind|apiVersion|items|metadata|request|object|annotations|level|auditID|type): ?)", re.M
)


def shape(head: bytes) -> Shape:
    """How to read a file that begins so (64 KiB are enough). JSON lines, one of whose lines is of another kind, and
    everything that is not known, are read as "json": line by line, what is not understood goes to the rejects."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in head[:8192]:
        return "binary"
    first = text.split(b"\n", 1)[0]
    if CRI.match(first):
        return "cri"
    if KLOG.match(first):
        return "klog"
    if _DOCKER.match(first) and b'\\"auditID\\"' not in first:
        return "docker"
    if text[:1] in (b"{", b"["):
        return "json"
    if _YAML.match(text) or (first.startswith(b"#") and _YAML.search(text)):
        return "yaml"
    return "json"
