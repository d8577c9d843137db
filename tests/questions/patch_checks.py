"""How a rebuilt object is compared with the API server's own answer."""

from __future__ import annotations

from typing import Any

from kubewitness.questions.bodies import changes
from kubewitness.questions.rebuild.patches import Unpatchable, patched


def wrong(play: dict[str, Any]) -> tuple[str, list[str]]:
    """(doubt of the rebuilt object, every field in which it differs from the server's answer).

    Left out is only what no record tells: defaults that the server adds where the patch added something, what its
    controllers write, and the status; and zero values (0, false, {}), which Go leaves out of its answers.
    """
    group = play["before"]["apiVersion"].rpartition("/")[0]
    try:
        result = patched(play["before"], play["patch"], group=group, uri=play["uri"])
    except Unpatchable as e:
        return "", [f"{play['how']}: does not fit: {e}"]
    differing = changes(result.body, play["after"])
    told = [
        f"{'.'.join(p)}: rebuilt {old!r}, server {new!r}"
        for p, old, new in differing
        if old is not None and (old or new is not None)
    ]
    return result.doubt, [f"{play['how']} {play['patch']}: {t}" for t in told]
