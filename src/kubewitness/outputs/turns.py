"""Several far sides of one output: they take turns, and what one does not take the next is given at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery, Partly, Refusal
from kubewitness.errors import Refused, Retry, UsageError
from kubewitness.outputs.upstreams import Node, nodes_of

#: seconds in which a far side that failed is asked only when no other takes anything
_LEFT_OUT = 10.0


class FarSide(Protocol):
    """As an output: `contracts.Output`."""

    async def write(self, deliveries: Sequence[Delivery]) -> None: ...

    async def close(self) -> None: ...


_T = TypeVar("_T", bound=FarSide)


def sides_of(
    what: str, given: Mapping[str, str], keys: Sequence[Key], make: Callable[[dict[str, str]], _T]
) -> list[_T]:
    """One of the output's own keys, or one for each node of the file that key `upstream` names."""
    file = Options(what, given, keys).text("upstream").strip()
    rest = {k: v for k, v in given.items() if k.lower() != "upstream"}
    return [_made(make, {**rest, **node.keys}, node) for node in (nodes_of(file) if file else [Node("", {}, "")])]


def _made(make: Callable[[dict[str, str]], _T], keys: dict[str, str], node: Node) -> _T:
    try:
        return make(keys)
    except UsageError as e:
        raise UsageError(f"{node.where}: node {node.name!r}: {e}" if node.where else str(e)) from e


class TurnsOutput:
    """An output of one or more far sides, written to as one."""

    def __init__(self, name: str, sides: Sequence[FarSide], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._sides = sides
        self._clock = clock
        self._turn = 0
        #: when a side that failed is asked again, while others work
        self._again = [0.0] * len(sides)

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    def health(self) -> Mapping[str, object]:
        now = self._clock()
        return {"far_sides": len(self._sides), "far_sides_down": sum(at > now for at in self._again)}

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        """As `Output.write`: raises what no side took, and what one of them will never take."""
        if len(self._sides) == 1:
            await self._sides[0].write(deliveries)
            return
        left: Sequence[Delivery] = deliveries
        refused: list[Refusal] = []
        errors: list[str] = []
        waits: list[float | None] = []
        for i in self._order():
            try:
                await self._sides[i].write(left)
                left = ()
            except Retry as e:
                errors.append(str(e))
                waits.append(e.after)
            except Partly as e:
                errors.append(str(e))
                waits.append(e.after)
                left = e.left
                refused += e.refused
            except Refused as e:
                if left is deliveries:
                    raise
                # which of these it is, is found without those that are through
                raise Partly(str(e), left=left, refused=refused, after=0) from e
            self._again[i] = self._clock() + _LEFT_OUT if left else 0.0
            if not left:
                break
        self._tell(deliveries, left, refused, "; ".join(errors), _shortest(waits))

    def _tell(
        self,
        deliveries: Sequence[Delivery],
        left: Sequence[Delivery],
        refused: list[Refusal],
        message: str,
        after: float | None,
    ) -> None:
        if left is deliveries and not refused:
            raise Retry(message, after)
        if left or refused:
            raise Partly(message, left=left, refused=refused, after=after if left else 0)

    async def close(self) -> None:
        for side in self._sides:
            await side.close()

    def _order(self) -> list[int]:
        """Whose turn it is, and the others behind; last those that have failed lately."""
        count, now = len(self._sides), self._clock()
        turns = [(self._turn + i) % count for i in range(count)]
        order = sorted(turns, key=lambda i: self._again[i] > now)
        self._turn = (order[0] + 1) % count
        return order


def _shortest(waits: Sequence[float | None]) -> float | None:
    """What is to be waited for, if all sides say so."""
    said = [wait for wait in waits if wait is not None]
    return min(said) if said and len(said) == len(waits) else None
