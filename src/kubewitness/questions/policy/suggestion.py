"""A policy that records what `who` needs at the least volume, and what it would make of what was recorded.

It is the one that `kubewitness deploy policy` prints, with this cluster's loudest readers as further rules that are
commented out: whether to give up who read what is the user's choice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from kubewitness.manifests import example
from kubewitness.questions.policy.cells import NODES, Cell, Noise
from kubewitness.questions.policy.rules import LEVELS, Policy, policy_of

#: a reader is loud above this part of all bytes; more rules than so many nobody reads
_LOUD = 0.02
_MOST_READERS = 8
_READS = ("get", "list", "watch")
_MACHINES = ("node", "serviceaccount", "system")
#: the rule before which further readers are left out: after those of secrets
_BEFORE = "# questions about rights"


class Share(msgspec.Struct):
    records: int = 0
    bytes: int = 0

    def add(self, cell: Cell) -> None:
        self.records += cell.records
        self.bytes += cell.bytes


class RuleEffect(msgspec.Struct):
    """One rule of the policy, and how much of what was recorded it would be about. `why`: its comment."""

    level: str
    why: str
    records: int = 0
    bytes: int = 0


class Suggestion(msgspec.Struct):
    """`policy`: audit.k8s.io/v1 Policy, YAML. What was recorded, by what the policy would make of it: `same` level,
    `lower` (fewer bytes: how many no record tells), `higher` (more bytes), and not recorded (`dropped`). What was never
    recorded, and what the policy would add of it, nobody knows."""

    policy: str
    same: Share = msgspec.field(default_factory=Share)
    lower: Share = msgspec.field(default_factory=Share)
    higher: Share = msgspec.field(default_factory=Share)
    dropped: Share = msgspec.field(default_factory=Share)
    #: of `dropped`: what only repeats a request's later record
    stages: Share = msgspec.field(default_factory=Share)
    rules: list[RuleEffect] = msgspec.field(default_factory=list)


def base() -> str:
    """What `kubewitness deploy policy` prints."""
    return example("policy")


def users() -> list[str]:
    """Whom the policy names: their records have to be counted apart."""
    return sorted({user for rule in policy_of(base()).rules for user in rule.users})


def suggested(found: Sequence[Cell], askers: Sequence[Noise]) -> Suggestion:
    policy = policy_of(base())
    total = sum(cell.bytes for cell in found)
    effects = [RuleEffect(r.level, why) for r, why in zip(policy.rules, _reasons(base()), strict=True)]
    answer = Suggestion(_with_readers(base(), policy, askers, total), rules=effects)
    for cell in found:
        rule = policy.rule_of(cell.asked)
        level = policy.records(cell.stage, rule)
        if level == "None" and rule is not None and policy.rules[rule].level != "None":
            answer.stages.add(cell)
        elif rule is not None:
            effects[rule].records += cell.records
            effects[rule].bytes += cell.bytes
        _share(answer, cell, level).add(cell)
    return answer


def _share(answer: Suggestion, cell: Cell, level: str) -> Share:
    if level == "None":
        return answer.dropped
    if cell.level not in LEVELS or cell.level == level:
        return answer.same
    return answer.lower if LEVELS.index(level) < LEVELS.index(cell.level) else answer.higher


def _reasons(text: str) -> list[str]:
    """The comment above each rule."""
    found: list[str] = []
    comment: list[str] = []
    for line in text.partition("\nrules:\n")[2].splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif line.startswith("- "):
            found.append(" ".join(comment))
            comment = []
    return found


def _with_readers(text: str, policy: Policy, askers: Sequence[Noise], total: int) -> str:
    """The policy with rules, commented out, for programs whose reads are much of the volume."""
    loud: dict[str, int] = {}
    for a in askers:
        if a.verb not in _READS or a.kind not in _MACHINES or not _rises(policy, a):
            continue
        loud[a.user] = loud.get(a.user, 0) + a.bytes
    lines = []
    for user, size in sorted(loud.items(), key=lambda item: -item[1])[:_MOST_READERS]:
        if size < total * _LOUD:
            break
        key = "userGroups" if user == NODES else "users"
        who = json.dumps(user)
        lines += [
            f"# {100 * size / total:.0f} % of what was recorded are reads by {who}; without '#' they are not recorded:",
            f"# - level: None\n#   {key}: [{who}]\n#   verbs: [get, list, watch]",
        ]
    before, mark, after = text.partition(_BEFORE)
    return before + "".join(f"{line}\n" for line in lines) + mark + after


def _rises(policy: Policy, a: Noise) -> bool:
    """Whether the policy records these reads, by its last rule: what a rule of its own keeps is kept for a reason."""
    cell = Cell(a.group, a.resource, a.subresource, a.verb, "", "", a.kind, a.user, "", a.records, a.bytes, 0)
    return policy.rule_of(cell.asked) == len(policy.rules) - 1
