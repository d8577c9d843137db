"""Questions on a large state: each asked of many objects in one warm session, and once as a whole process."""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import python, run

_EVICTED = (
    "SELECT namespace, name FROM audit WHERE resource = 'pods' AND verb = 'create' AND subresource = 'eviction'"
    " AND stage = 'ResponseComplete' AND code = 201"
)


def report(state: Path, records: int) -> None:
    """Prints p50 and worst of each question, milliseconds, and the peak memory of the asking process."""
    whole_processes(state)  # first: a child's peak memory is never told as less than its parent's

    from kubewitness.config.state import state_paths
    from kubewitness.store import Store

    store = Store(state_paths(str(state)))
    rng = random.Random(5)
    with store.session() as session:
        stored = session.query("SELECT count(*) FROM audit")[0][0]
        pods = session.query(_EVICTED)
    print(f"\n{stored} audit records, {records} asked for; {len(pods)} evicted pods to choose from\n")
    chosen = rng.sample(pods, min(40, len(pods)))
    print("| question (warm session) | p50 ms | worst ms | asked |\n|---|---|---|---|")
    for name, ask in _questions(store):
        times = [_timed(ask, *pod) for pod in chosen]
        print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} | {len(times)} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"\npeak memory of the asking process: {peak:.0f} MB")


def whole_processes(state: Path) -> None:
    """The command line, start-up included."""
    sql = [*python("-m", "kubewitness", "sql", "-o", "json", "--state", str(state)), f"{_EVICTED} LIMIT 1"]
    pod = json.loads(subprocess.run(sql, capture_output=True, check=True).stdout)[0]
    for words in (["who", "evicted"], ["timeline"]):
        target = [f"pod/{pod['name']}", "-n", pod["namespace"]]
        cost = run(python("-m", "kubewitness", *words, *target, "--state", str(state)))
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
    from kubewitness.questions import board, complete, line, states, timeline, who
    from kubewitness.questions import histogram as histogram_of
    from kubewitness.questions.filters import Condition, Filter
    from kubewitness.questions.targets import parse_target

    def who_evicted(namespace: str, name: str) -> Any:
        with store.session() as s:
            ref = parse_target([f"pod/{name}"], namespace=namespace, cluster="default")
            answer = who.ask(s, who.WhoQuestion(ref, verb="evicted"))
            return answer.root is not None and answer.root.user == "alice" and answer.mechanism == "drain"

    def whole_timeline(namespace: str, name: str) -> Any:
        with store.session() as s:
            ref = parse_target([f"pod/{name}"], namespace=namespace, cluster="default")
            return timeline.ask(s, timeline.TimelineQuestion(ref)).rows

    def rows_of(namespace: str, name: str) -> Any:
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

    def whole_board(_namespace: str, _name: str) -> Any:
        with store.session() as s:
            return board.ask(s, board.BoardQuestion(Filter())).rows

    def filtered_board(namespace: str, _name: str) -> Any:
        with store.session() as s:
            return board.ask(s, board.BoardQuestion(Filter([Condition("namespace", "=", namespace)]))).marks.t

    def whole_histogram(_namespace: str, _name: str) -> Any:
        with store.session() as s:
            return histogram_of.ask(s, histogram_of.HistogramQuestion(Filter())).series

    def states_of(namespace: str, name: str) -> Any:
        with store.session() as s:
            ref = parse_target([f"pod/{name}"], namespace=namespace, cluster="default")
            return states.ask(s, states.StatesQuestion([ref]))[0].segments

    def completed(_namespace: str, name: str) -> Any:
        with store.session() as s:
            return complete.ask(s, f"who evicted {name[:6]}").items

    def understood(_namespace: str, name: str) -> Any:
        with store.session() as s:
            return line.understand(s, f"who evicted {name}").understood

    return [
        ("`board` of everything: 500 rows, bins", whole_board),
        ("`board` of one namespace: its marks", filtered_board),
        ("`histogram` of everything", whole_histogram),
        ("`states` of a pod", states_of),
        ("`complete`: who evicted web-5...", completed),
        ("`line`: who evicted <pod>", understood),
        ("`who evicted pod/...`: drain, by whom", who_evicted),
        ("`timeline pod/...`", whole_timeline),
        ("one object's rows (SQL)", rows_of),
        ("a user's last 100 (SQL)", last_of_user),
        ("histogram by hour and verb (SQL)", histogram),
    ]
