"""Outputs `es` and `opensearch` with several far sides (`upstream`): turns, fail-over, records that none takes."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Refused, Retry, UsageError
from kubewitness.outputs.es import EsOutput
from kubewitness.outputs.opensearch import OpensearchOutput
from tests.journal.helpers import numbered
from tests.outputs.sides import EsSide
from tests.outputs.test_forward_upstreams import file_of

pytestmark = pytest.mark.timeout(30)


class Busy(EsSide):
    """Takes nothing: answers 503, or 400 for a batch as a whole."""

    status = 503

    def take(self, request: web.Request, body: bytes) -> web.Response:
        return web.Response(status=self.status, headers={"Retry-After": "7"}, text="no")


def delivery(*numbers: int) -> Delivery:
    return Delivery(numbers[0] + 1, numbered(*numbers))


def keys(upstream: str) -> dict[str, str]:
    return {"upstream": upstream, "suppress_type_name": "on", "generate_id": "on"}


@pytest.mark.parametrize("kind", [EsOutput, OpensearchOutput])
async def test_nodes_take_turns_and_each_may_have_keys_of_its_own(kind: type[EsOutput], tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(EsSide()) for _ in range(2)]
        more = "    http_user alice\n    http_passwd s3\n"
        output = kind(keys(file_of(tmp_path, *(side.port for side in sides), more=more)))
        for n in range(4):
            await output.write([delivery(n)])
        await output.close()
        assert [side.took for side in sides] == [[0, 2], [1, 3]]
        assert {r.headers["Authorization"] for side in sides for r in side.requests} == {"Basic YWxpY2U6czM="}
        assert output.health() == {"far_sides": 2, "far_sides_down": 0}


async def test_what_one_node_does_not_take_goes_to_the_next_at_once_and_what_none_will_take_is_told_once(
    tmp_path: Path,
) -> None:
    now = 0.0
    async with EsSide(3) as first, EsSide() as second, Busy() as busy:
        upstream = file_of(tmp_path, busy.port, first.port, second.port)
        output = EsOutput(keys(upstream), clock=lambda: now)
        first.faults.append("half")  # takes each second record, refuses the fourth, has no room for the rest
        second.poison = {1}
        with pytest.raises(Partly) as told:
            await output.write([delivery(0, 1, 2), delivery(3, 4)])
        assert (first.took, second.took, list(told.value.left)) == ([0, 2, 4], [3], [])
        (refusal,) = told.value.refused
        assert list(refusal.delivery.chunk.records()) == [b'{"n":1}']
        assert output.health() == {"far_sides": 3, "far_sides_down": 2}
        for n in range(5, 8):
            await output.write([delivery(n)])
        assert second.took == [3, 5, 6, 7]
        now = 11.0
        for n in range(8, 10):
            await output.write([delivery(n)])
        # the busy one is asked again, in vain, and the first instead of it; then it is the first's own turn
        assert first.took == [0, 2, 4, 8, 9]
        await output.close()


async def test_when_no_node_takes_anything_it_waits_as_long_as_they_say(tmp_path: Path) -> None:
    async with Busy() as one, Busy() as other:
        output = EsOutput(keys(file_of(tmp_path, one.port, other.port)))
        with pytest.raises(Retry, match=rf"{one.port}.*; .*{other.port}") as told:
            await output.write([delivery(0)])
        assert told.value.after == 7
        other.status = 400
        with pytest.raises(Refused):
            await output.write([delivery(0)])
        await output.close()


async def test_a_batch_that_the_second_node_refuses_is_looked_into_without_what_the_first_took(tmp_path: Path) -> None:
    async with EsSide() as first, Busy() as other:
        other.status = 400
        first.faults.append("half")
        output = EsOutput(keys(file_of(tmp_path, first.port, other.port)))
        with pytest.raises(Partly) as told:
            await output.write([delivery(0, 1)])
        assert (first.took, told.value.after) == ([0], 0)
        (left,) = told.value.left
        assert [json.loads(record)["n"] for record in left.chunk.records()] == [1]
        await output.close()


def test_a_wrong_key_of_a_node_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"upstream.conf:4: node 'n0': output es: unknown key 'prot'"):
        EsOutput({"upstream": file_of(tmp_path, 1, more="    prot 1\n")})
