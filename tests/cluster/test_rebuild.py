"""Rebuilt objects against a real API server: random patches of all kinds, and its own table of merge keys."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from kubewitness.questions.rebuild.mergekeys import merge_key, merges_scalars
from tests.cluster.harness import ControlPlane, Options
from tests.cluster.patch_play import play
from tests.questions.patch_checks import wrong

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

#: strategies of kinds that no strategic merge patch is sent for: the table has them as replaced
_UNUSED = {"subsets"}


def test_random_patches_are_rebuilt_as_the_api_server_made_them(
    start_cluster: Callable[[Options], ControlPlane],
) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED", random.randrange(1 << 30)))
    print(f"KUBEWITNESS_SEED={seed}")
    cluster = start_cluster(Options(nodes=()))
    plays = play(cluster, seed, 120)
    differing = [d for p in plays for doubt, found in [wrong(p)] if not doubt for d in found]
    assert differing == [], f"seed {seed}"
    assert sum(1 for p in plays if not wrong(p)[0]) > len(plays) // 2

    lists: dict[str, set[str]] = {}
    scalars: set[str] = set()
    for definition in cluster.api("admin").get("/openapi/v2")["definitions"].values():
        _collect(definition.get("properties") or {}, lists, scalars)
    for field, keys in lists.items():
        for key in keys:
            assert field in _UNUSED or merge_key(field, [{key: 1}]) == key, f"{field} is merged by {key}"
    assert {s for s in scalars if not merges_scalars(s)} == set()


def _collect(properties: dict[str, Any], lists: dict[str, set[str]], scalars: set[str]) -> None:
    for name, about in properties.items():
        if about.get("type") != "array" or "merge" not in str(about.get("x-kubernetes-patch-strategy", "")):
            continue
        key = about.get("x-kubernetes-patch-merge-key")
        if key:
            lists.setdefault(name, set()).add(key)
        else:
            scalars.add(name)
