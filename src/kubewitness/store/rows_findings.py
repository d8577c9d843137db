"""Findings to rows: what a detection rule says about records, as one JSON object."""

from __future__ import annotations

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats.times import us_or_zero
from kubewitness.store.columns import Row


class Finding(msgspec.Struct):
    """The native form of a record of table `findings`. `when` is RFC 3339; `evidence` are record ids."""

    rule: str
    when: str = ""
    severity: str = ""
    title: str = ""
    actor: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    evidence: list[str] = []
    summary: str = ""


_decoder = msgspec.json.Decoder(Finding)


def finding_row(raw: bytes, arrived_us: int) -> tuple[Row, bool, tuple[str, str, str]]:
    """(the row's own columns, whether the finding told its time, kind, namespace and name of what it is about). Raises
    `Malformed`."""
    try:
        f = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a finding: {e}") from e
    us = us_or_zero(f.when)
    row = (us or arrived_us, f.rule, f.severity, f.title, f.actor, f.kind, f.namespace, f.name, f.evidence, f.summary)
    return row, bool(us), (f.kind, f.namespace, f.name)
