"""Questions on a large state: each asked of many objects in one warm session, and once as a whole process."""

from __future__ import annotations

import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import python, run


def report(state: Path, records: int) -> None:
    """Prints p50 and worst of each question, milliseconds, and the peak memory of the asking process."""
    from kubewitness.config.state import state_paths
    from kubewitness.store import Store

    store = Store(state_paths(str(state)))
    rng = random.Random(5)
    with store.session() as session:
        stored = session.query("SELECT count(*) FROM audit")[0][0]
        pods = session.query(
            "SELECT namespace, name FROM audit WHERE resource = 'pods' AND verb = 'create' AND subresource = 'eviction'"
            " AND stage = 'ResponseComplete' AND code = 201"
        )
    print(f"\n{stored} audit records asked for, {records} generated; {len(pods)} evicted pods to choose from\n")
    chosen = rng.sample(pods, min(40, len(pods)))
    print("| question (warm session) | p50 ms | worst ms | asked |\n|---|---|---|---|")
    for name, ask in _questions(store):
        times = [_timed(ask, *pod) for pod in chosen]
        print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} | {len(times)} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"\npeak memory of the asking process: {peak:.0f} MB\n")
    namespace, pod = chosen[0]
    for words in (["who", "evicted"], ["timeline"]):
        command = python("-m", "kubewitness", *words, f"pod/{pod}", "-n", namespace, "--state", str(state))
        cost = run(command)
        name = f"kubewitness {' '.join(words)} pod/..."
        print(f"`{name}` as a whole process: {cost.wall_s * 1000:.0f} ms, {cost.peak_mb:.0f} MB")


def _timed(ask: Callable[[str, str], Any], namespace: str, name: str) -> float:
    start = time.perf_counter()
    answer = ask(namespace, name)
    took = (time.perf_counter() - start) * 1000
    if not answer:
        raise RuntimeError(f"no answer for {namespace}/{name}")
    return took


def _questions(store: Any) -> list[tuple[str, Callable[[str, str], Any]]]:
    from kubewitness.formats.names import object_key

    def timeline(namespace: str, name: str) -> Any:
        with store.session() as s:
            key = object_key("default", "", "pods", namespace, name)
            return s.query(
                "SELECT ts, verb, user, code FROM audit WHERE object_key = ? AND name = ? ORDER BY ts", (key, name)
            )

    def last_of_user(_namespace: str, _name: str) -> Any:
        with store.session() as s:
            return s.query("SELECT ts, verb, name FROM audit WHERE user = 'alice' ORDER BY ts DESC LIMIT 100")

    def histogram(_namespace: str, _name: str) -> Any:
        with store.session() as s:
            return s.query("SELECT time_bucket(INTERVAL 1 HOUR, ts) AS hour, verb, count(*) FROM audit GROUP BY 1, 2")

    return [
        ("one object's rows (SQL)", timeline),
        ("a user's last 100 (SQL)", last_of_user),
        ("histogram by hour and verb (SQL)", histogram),
    ]
