"""Output `forward` with several far sides: turns, fail-over, and the file that names them."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.forward import ForwardOutput
from kubewitness.outputs.upstreams import nodes_of
from kubewitness.record import Chunk
from tests.journal.helpers import numbered
from tests.outputs.test_forward import Aggregator

pytestmark = pytest.mark.timeout(30)


def file_of(tmp_path: Path, *ports: int, more: str = "") -> str:
    path = tmp_path / "upstream.conf"
    nodes = "".join(
        f"[NODE]\n    name n{i}\n    host 127.0.0.1\n    port {port}\n{more}" for i, port in enumerate(ports)
    )
    path.write_text("[UPSTREAM]\n    name all\n" + nodes)
    return str(path)


def delivery(n: int, tag: str = "a") -> Delivery:
    chunk: Chunk = numbered(n)
    chunk.tag = tag
    return Delivery(n + 1, chunk)


async def test_far_sides_take_turns_and_each_may_have_keys_of_its_own(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(Aggregator(key="k")) for _ in range(3)]
        upstream = file_of(tmp_path, *(side.port for side in sides), more="    shared_key k\n")
        output = ForwardOutput({"upstream": upstream})
        for n in range(9):
            await output.write([delivery(n)])
        assert [side.numbers for side in sides] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
        assert output.health() == {"far_sides": 3, "far_sides_down": 0}
        await output.close()


async def test_one_that_is_down_is_left_out_for_a_while_and_what_it_did_not_take_goes_to_the_next(
    tmp_path: Path,
) -> None:
    now = 0.0
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(Aggregator()) for _ in range(3)]
        down = await Aggregator().__aenter__()
        await down.__aexit__()
        sides[2].faults.extend(["", "cut"])
        output = ForwardOutput(
            {"upstream": file_of(tmp_path, down.port, *(side.port for side in sides))}, clock=lambda: now
        )
        for n in range(2):
            await output.write([delivery(n)])
        assert output.health() == {"far_sides": 4, "far_sides_down": 1}
        # two tags are two messages, of which the third side takes one, and says nothing about the other
        await output.write([delivery(2, "a"), delivery(3, "b")])
        numbers = Counter(n for side in sides for n in side.numbers)
        assert set(numbers) == {0, 1, 2, 3}
        assert numbers[2] == 1
        now = 60.0
        down.port = down.port
        async with down:
            for n in range(4, 8):
                await output.write([delivery(n)])
            assert len(down.numbers) == 1
        await output.close()


async def test_when_none_takes_anything_it_is_tried_again_later(tmp_path: Path) -> None:
    closed = []
    for _ in range(2):
        side = await Aggregator().__aenter__()
        await side.__aexit__()
        closed.append(side)
    output = ForwardOutput({"upstream": file_of(tmp_path, *(side.port for side in closed))})
    with pytest.raises(Retry, match=rf"{closed[0].port}.*; .*{closed[1].port}"):
        await output.write([delivery(0)])
    async with closed[1] as back:
        await output.write([delivery(0)])
        back.faults.extend(["", "deaf"])
        with pytest.raises(Partly) as told:
            await output.write([delivery(1, "a"), delivery(2, "b")])
        assert [d.seq for d in told.value.left] == [3]
    await output.close()


def test_the_file_may_be_yaml_and_has_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3")
    path = tmp_path / "upstream.yaml"
    path.write_text(
        "upstream_servers:\n  - name: all\n    nodes:\n"
        "      - {name: a, host: h1, port: 1, shared_key: '${KEY}'}\n      - {name: b, host: h2}\n"
    )
    assert [(node.name, node.keys) for node in nodes_of(str(path))] == [
        ("a", {"host": "h1", "port": "1", "shared_key": "s3"}), ("b", {"host": "h2"})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[UPSTREAM]\n    name x\n", "it has no node"),
        ("[NODE]\n    name n\n    port 1\n", r"upstream.conf:2: node 'n' has no 'host'"),
        ("[INPUT]\n    name tail\n", r"\[INPUT\] does not belong into a file of upstreams"),
        ("[NODE]\n    name n\n    host ${NO_SUCH}\n", r"upstream.conf:3: variable \$\{NO_SUCH\} is not set"),
        (
            "[NODE]\n    name n\n    host h\n    prot 1\n",
            "node 'n': output forward: unknown key 'prot'; did you mean 'port'",
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "upstream.conf").write_text(text)
    with pytest.raises(UsageError, match=says):
        ForwardOutput({"upstream": str(tmp_path / "upstream.conf")})
    with pytest.raises(UsageError, match="No such file"):
        ForwardOutput({"upstream": str(tmp_path / "no.conf")})
