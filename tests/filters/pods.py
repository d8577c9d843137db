"""Pods as API servers show them, and chunks of their logs, for the tests of filter `kubernetes`."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubewitness.formats.recordform import objects
from kubewitness.record import Chunk, ChunkBuilder, Origin
from tests.filters.samples import key_of

CONTAINERS = "/var/log/containers"


def container_id(letter: str) -> str:
    return letter * 64


def pod(name: str = "web-1", node: str = "worker-1", **metadata: Any) -> dict[str, Any]:
    """As `kubectl get pod -o json` shows it, as far as anybody looks. Its container `app` has the id aaa..."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-11-22T10:00:00Z",
            "labels": {"app": "web"},
            "annotations": {"team": "alice"},
            **metadata,
        },
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "registry/web:1"}]},
        "status": {
            "podIP": "10.0.0.7",
            "containerStatuses": [
                {
                    "name": "app",
                    "image": "registry/web:1",
                    "imageID": "docker-pullable://registry/web@sha256:0123",
                    "containerID": f"containerd://{container_id('a')}",
                    "lastState": {"terminated": {"containerID": f"containerd://{container_id('9')}"}},
                }
            ],
        },
    }


def preload(folder: Path, *pods: dict[str, Any], indent: int | None = None) -> list[tuple[str, str]]:
    """Keys of a filter that finds these in a folder, and asks nobody else."""
    for one in pods:
        meta = one["metadata"]
        (folder / f"{meta['namespace']}_{meta['name']}.meta").write_text(json.dumps(one, indent=indent))
    return [("kube_meta_preload_cache_dir", str(folder)), ("kube_url", "http://127.0.0.1:9")]


def log_file(name: str = "web-1", container: str = "app", letter: str = "a", namespace: str = "shop") -> str:
    return f"{CONTAINERS}/{name}_{namespace}_{container}-{container_id(letter)}.log"


def lines_of(
    file: str, lines: Sequence[str], form: str = "cri", *, target: str = "", tag: str = "", known: bool = True
) -> Chunk:
    """As input `tail` reads them with `tag: kube.*`; not `known`: as they come over the network."""
    builder = ChunkBuilder("logs", tag=tag or "kube" + file.replace("/", "."), form=form, received_us=1_000_000)
    for i, line in enumerate(lines):
        builder.add(line.encode(), key_of(i))
    chunk = builder.take()
    chunk.lines = True
    if form == "record":
        chunk.times = array("q", [1] * len(lines))
    if known:
        chunk.origin = Origin(file, target, offset=0)
    return chunk


def cri(*texts: str, stream: str = "stdout") -> list[str]:
    return [f"2026-11-22T10:00:0{i}Z {stream} F {text}" for i, text in enumerate(texts)]


def shown(chunks: Sequence[Chunk]) -> list[Any]:
    """The records as outputs show them."""
    return [json.loads(raw) for chunk in chunks for raw in objects(chunk)]
