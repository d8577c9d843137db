"""What inputs, filters and outputs have in common when they are made from their sections."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kubewitness.config.keys import ENGINE_KEYS, Key, Options
from kubewitness.config.tree import Section
from kubewitness.errors import UsageError
from kubewitness.pipeline.routing import wanting


class Located(UsageError):
    """What is wrong in a section, with its place."""

    def __init__(self, section: Section, said: str) -> None:
        named = next((key for key in section.keys if repr(key) in said), "")
        self.place = section.where(named)
        super().__init__(f"{self.place}: {said}")
        self.section = section


@contextlib.contextmanager
def located(section: Section) -> Iterator[None]:
    """Puts file and line before what a plugin says about its keys."""
    try:
        yield
    except UsageError as e:
        said = str(e)
        if said.startswith(f"{section.file}:"):
            raise
        raise Located(section, said) from e


def plugin(place: tuple[str, str]) -> tuple[Any, Any]:
    """(module, class) of a room's table."""
    module = importlib.import_module(place[0])
    return module, getattr(module, place[1])


def parted(
    section: Section, declared: Sequence[Key], common: Sequence[Key], shared: Sequence[str] = ()
) -> tuple[Options, dict[str, str]]:
    """(the engine's keys, the plugin's own); both see what both declare, and what is `shared`."""
    own_names = {key.name for key in declared}
    engine = [key for key in common if key.name not in own_names or key.name in ENGINE_KEYS]
    names = {key.name for key in engine}
    keys = section.given((*declared, *common))
    with located(section):
        options = Options(f"{section.kind} {section.plugin}", {k: v for k, v in keys.items() if k in names}, engine)
    return options, {k: v for k, v in keys.items() if k not in names or k in own_names or k in shared}


def names_of(sections: Sequence[Section]) -> list[str]:
    """Their aliases, else `NAME.N`, N counted from 0 for each plugin. UsageError for a name given twice."""
    counts: Counter[str] = Counter()
    names: list[str] = []
    for section in sections:
        name = section.keys.get("alias") or f"{section.plugin}.{counts[section.plugin]}"
        counts[section.plugin] += 1
        if name in names:
            raise UsageError(f"{section.where('alias')}: two {section.kind}s are called {name!r}")
        names.append(name)
    return names


class Routes:
    """What sections match, given the tags that inputs have."""

    def __init__(self, tags: Sequence[str], retagged: bool, complain: Callable[[str], None]) -> None:
        """`retagged`: inputs or filters give tags of their own. `complain`: told of a section that no tag can reach."""
        self._tags = tags
        self._retagged = retagged
        self._complain = complain

    def wanted(self, section: Section, common: Options, default: str) -> Callable[[str], bool]:
        """By `match` and `match_regex`; with neither, `default` is the match."""
        match, expression = common.text("match"), common.text("match_regex")
        pattern = None
        if expression:
            from kubewitness.parsers.onigmo import compiled

            try:
                pattern = compiled(expression)
            except UsageError as e:
                raise UsageError(f"{section.where('match_regex')}: 'match_regex': {e}") from e
        match = match or ("" if expression else default)
        wants = wanting(match, pattern)
        reached = any(wants(tag) or _may_match(match, pattern is not None, tag) for tag in self._tags)
        if not reached and not self._retagged:
            key = "match" if match else "match_regex"
            self._complain(
                f"{section.where(key)}: {key} {match or expression!r} of {section.kind} {section.plugin} fits no "
                f"input's tag; there is {', '.join(self._tags)}"
            )
        return wants


def _may_match(match: str, expression: bool, tag: str) -> bool:
    """Whether a route can fit a tag, which may have placeholders of its own: tail's `*` and `<name>`."""
    begins = re.split(r"[*<]", tag, maxsplit=1)
    if len(begins) == 1:
        return False
    wanted = match.partition("*")[0]
    return expression or begins[0].startswith(wanted) or wanted.startswith(begins[0])
