"""What Fluent Bit shows of its inside at SIGCONT: what came in, what waits."""

from __future__ import annotations

import time
from collections.abc import Mapping


def dump(counts: Mapping[str, Mapping[str, Mapping[str, int]]], waiting: Mapping[str, int]) -> str:
    """`counts`: of `Pipeline.counts`; `waiting`: chunks and bytes of the queue."""
    now = time.strftime("%Y/%m/%d %H:%M:%S")
    lines = [f"[{now}] Fluent Bit Dump", "", "===== Input ====="]
    for name, told in counts["input"].items():
        lines += [name, "│", "├─ status", "│  └─ overlimit     : no", "│"]
        lines += [f"└─ records          : {told['records']} ({told['bytes']} bytes)", ""]
    lines.append("===== Output =====")
    for name, told in counts["output"].items():
        lines += [name, f"└─ records          : {told['proc_records']} ({told['proc_bytes']} bytes)", ""]
    memory = waiting["chunks"] if waiting["memory"] else 0
    lines += ["===== Storage Layer =====", f"total chunks     : {waiting['chunks']}"]
    lines += [f"├─ mem chunks    : {memory}", f"└─ fs chunks     : {waiting['chunks'] - memory}", ""]
    return "\n".join(lines)
