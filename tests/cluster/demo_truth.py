"""What the driver of the demo did, and which pods vanished by it: known without looking at any record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.cluster.harness import ControlPlane, RawWatch
from tests.cluster.harness.kubectl import KubectlError, Version

Pod = dict[str, Any]


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Verdict:
    """Why a pod vanished. `actor` asked for its deletion, `root` set that off (None: nobody did)."""

    mechanism: str
    actor: str
    root: str | None
    root_action: str
    root_object: str
    root_kind: str = "human"
    acting_as: str | None = None


Judge = Callable[[Pod], Verdict | None]


@dataclass
class Step:
    """One command of one user, or one thing that happened to a machine (user is empty)."""

    n: int
    user: str
    command: str
    object: str
    note: str
    started: str = ""
    ended: str = ""
    exit: int = 0


@dataclass
class Diary:
    """Runs steps, watches all pods, and asks each step's judge about the pods whose deletion began during it."""

    cluster: ControlPlane
    watch: RawWatch
    steps: list[Step] = field(default_factory=list)
    vanished: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    _judged: set[str] = field(default_factory=set)

    def note(self, user: str, command: str, object_: str, note: str = "") -> Step:
        step = Step(len(self.steps) + 1, user, command, object_, note, stamp(time.time()))
        self.steps.append(step)
        return step

    def kubectl(
        self, user: str, *args: str, on: str, note: str = "", stdin: str = "", fails: bool = False, old: bool = False
    ) -> Step:
        """One command; KubectlError if it fails (or does not, though it `fails`)."""
        version: Version = "old" if old else "current"
        step = self.note(user, "kubectl " + " ".join(args), on, note)
        done = self.cluster.kubectl_of(user, version).run(*args, stdin=stdin, seconds=120)
        step.exit, step.ended = done.returncode, stamp(time.time())
        if bool(done.returncode) != fails:
            raise KubectlError(f"{step.command} (as {user}): exit {done.returncode}: {done.stderr}")
        return step

    def ask(self, question: str, step: Step, user: str | None = None) -> None:
        """A question whose right answer is known: `kubewitness who ...` names that user."""
        self.questions.append({"ask": question, "root": user or step.user, "step": step.n})

    def terminating(self) -> dict[str, tuple[Pod, float]]:
        """uid -> (the pod, when its deletion was first seen), of every pod not yet judged."""
        if self.watch.error:
            raise RuntimeError(f"the watch of the pods has ended: {self.watch.error}")
        found: dict[str, tuple[Pod, float]] = {}
        for event, arrived in zip(self.watch.events(), list(self.watch.arrived), strict=False):
            pod = event["object"]
            if event["type"] != "DELETED" and "deletionTimestamp" not in pod["metadata"]:
                continue
            if pod["metadata"]["uid"] not in self._judged:
                found.setdefault(pod["metadata"]["uid"], (pod, arrived))
        return found

    def judge(self, step: Step, judge: Judge, *, at_least: int = 1) -> None:
        """Every pod whose deletion began since the last judgement, by this step's judge."""
        found = self.terminating()
        if len(found) < at_least:
            raise RuntimeError(f"step {step.n} ({step.command}): {len(found)} pods vanished, not {at_least}")
        for uid, (pod, arrived) in found.items():
            verdict = judge(pod)
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            if verdict is None:
                raise RuntimeError(f"step {step.n} ({step.command}): pod {name} vanished, and not by it")
            self._judged.add(uid)
            self.vanished.append(
                {
                    "kind": "Pod",
                    "namespace": pod["metadata"]["namespace"],
                    "name": pod["metadata"]["name"],
                    "uid": uid,
                    "node": pod["spec"].get("nodeName", ""),
                    "terminating": stamp(arrived),
                    "step": step.n,
                    **asdict(verdict),
                }
            )

    def nothing_vanished(self, when: str) -> None:
        if found := self.terminating():
            raise RuntimeError(f"{when}: {[pod['metadata']['name'] for pod, _ in found.values()]} vanished")
