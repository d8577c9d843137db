"""The contract that every output passes, and what is particular to `file` and `stdout`."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness.contracts import Delivery, Output
from kubewitness.errors import Retry, UsageError
from kubewitness.journal import Journal
from kubewitness.outputs import OUTPUTS
from kubewitness.outputs.file import FileOutput
from kubewitness.outputs.lines import json_lines
from kubewitness.outputs.null import NullOutput
from kubewitness.outputs.stdout import StdoutOutput
from kubewitness.pipeline import Committer, JournalFeed, Supervisor
from kubewitness.record import ChunkBuilder, Note
from tests.journal.helpers import chunk, numbered
from tests.pipeline.parts import Counting, expected

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]
Make = Callable[[Path], Output]

MAKERS: dict[str, Make] = {
    "file": lambda d: FileOutput({"path": str(d), "file": "out.json", "format": "plain"}),
    "stdout": lambda d: StdoutOutput({}),
    "null": lambda d: NullOutput({}),
}


@pytest.fixture(params=sorted(MAKERS))
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Output:
    return MAKERS[request.param](tmp_path)


def deliveries(*numbers: int) -> list[Delivery]:
    return [Delivery(n + 1, numbered(n)) for n in numbers]


# --- every output ----------------------------------------------------------------------------------------------------


def test_the_table_names_classes_that_exist() -> None:
    for name, (module, cls) in OUTPUTS.items():
        if name != "store":  # has tests of its own, and its libraries are large
            assert isinstance(getattr(importlib.import_module(module), cls), type)


async def test_the_same_delivery_may_come_again(output: Output, capfd: pytest.CaptureFixture[str]) -> None:
    await output.write(deliveries(0, 1))
    await output.write(deliveries(1, 2))
    await output.close()


async def test_nothing_to_write_is_no_error_and_close_may_come_first(output: Output) -> None:
    await output.write([])
    await output.close()
    await output.close()


@pytest.mark.parametrize("plugin", sorted(MAKERS))
def test_an_unknown_key_is_refused_by_name(plugin: str, tmp_path: Path) -> None:
    module, cls = OUTPUTS[plugin]
    with pytest.raises(UsageError, match="unknown key 'formatt'"):
        getattr(importlib.import_module(module), cls)({"formatt": "plain"}, name=plugin)


class Flaky:
    """Any output behind a bad line: some writes fail before, some after they were done, some are slow."""

    def __init__(self, inner: Output, seed: int) -> None:
        self.name = inner.name
        self._inner = inner
        self._random = random.Random(seed)

    def wants(self, chunk_table: str, tag: str) -> bool:
        return self._inner.wants(chunk_table, tag)

    async def write(self, deliveries: list[Delivery]) -> None:
        dice = self._random.random()
        if dice < 0.25:
            raise Retry("503", after=0.001)
        if dice < 0.3:
            await asyncio.sleep(0.02)
        await self._inner.write(deliveries)
        if dice > 0.85:
            raise Retry("the answer was lost")

    async def close(self) -> None:
        await self._inner.close()


async def test_through_injected_failures_nothing_is_lost(
    output: Output, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        committer = Committer(journal)
        supervisor = Supervisor(restart_first=0.001, restart_limit=0.01)
        supervisor.add_input(Counting("in", 300), committer)
        supervisor.add_output(Flaky(output, seed=7), JournalFeed(journal, committer))  # type: ignore[arg-type]
        supervisor.add_drain(committer.close)
        await supervisor.run(until_inputs_end=True)
        assert journal.cursor(output.name) == journal.last_seq == 300
    text = capfd.readouterr().out if output.name == "stdout" else ""
    if output.name == "file":
        text = (tmp_path / "out.json").read_text()
    if text:
        lines = text.encode().splitlines()
        assert list(dict.fromkeys(lines)) == expected(300)


# --- JSON lines ------------------------------------------------------------------------------------------------------


def test_records_keep_their_own_bytes() -> None:
    odd = b'{"b": 1.0,  "a":"\\u00e9\xc3\xa9"}'
    assert json_lines(chunk([odd, b"{}"])) == odd + b"\n{}\n"


def test_a_record_of_several_lines_is_put_on_one() -> None:
    text = json_lines(chunk([b'{\n  "a": 1,\r\n  "b": "x\\ny"\n}', b"[]"]))
    assert [json.loads(line) for line in text.splitlines()] == [{"a": 1, "b": "x\ny"}, []]


def test_what_is_not_json_is_put_into_an_object() -> None:
    builder = ChunkBuilder("rejects")
    builder.add(b"half a li\xff", note=Note(file="audit.log", offset=17, reason="not JSON"))
    (line,) = json_lines(builder.take()).splitlines()
    assert json.loads(line) == {
        "reject": {"file": "audit.log", "offset": 17, "reason": "not JSON"},
        "raw": "half a li\\xff",
    }
    assert json_lines(chunk([b'I1122 "quoted"'], "logs")) == b'{"log":"I1122 \\"quoted\\""}\n'


# --- file ------------------------------------------------------------------------------------------------------------


async def test_a_file_per_tag_unless_one_is_named(tmp_path: Path) -> None:
    output = FileOutput({"path": str(tmp_path), "format": "plain"})
    tagged = numbered(2)
    tagged.tag = "kube/audit"
    await output.write([Delivery(1, numbered(1)), Delivery(2, tagged), Delivery(3, numbered(3))])
    await output.close()
    assert (tmp_path / "audit").read_bytes() == b'{"n":1}\n{"n":3}\n'
    assert (tmp_path / "kube_audit").read_bytes() == b'{"n":2}\n'


async def test_a_file_that_was_moved_away_is_begun_again(tmp_path: Path) -> None:
    output = MAKERS["file"](tmp_path)
    await output.write(deliveries(0))
    (tmp_path / "out.json").rename(tmp_path / "out.json.1")
    await output.write(deliveries(1))
    await output.close()
    assert (tmp_path / "out.json").read_bytes() == b'{"n":1}\n'
    assert (tmp_path / "out.json.1").read_bytes() == b'{"n":0}\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"n":7}\n{"n"', b'{"n":7}\n'),
        (b'{"n":7}\n{"n":8}', b'{"n":7}\n{"n":8}\n'),
        (b"my own notes", b"my own notes\n"),
        (b'{"n":7}\na.b: [1.000000000, {"n":', b'{"n":7}\n'),
        (b'{"n":7}\na.b: [1.000000000, {"n":8}]', b'{"n":7}\na.b: [1.000000000, {"n":8}]\n'),
        (b'{"n":7}\na.b', b'{"n":7}\n'),
        (b"", b""),
    ],
)
async def test_a_line_cut_off_by_a_crash_is_mended(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / "out.json").write_bytes(before)
    output = MAKERS["file"](tmp_path)
    await output.write(deliveries(0))
    await output.close()
    assert (tmp_path / "out.json").read_bytes() == after + b'{"n":0}\n'


async def test_a_full_disk_is_tried_again_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    output = MAKERS["file"](tmp_path)
    await output.write(deliveries(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Retry, match="File too large"):
            await output.write([Delivery(2, chunk([b"{}" + b" " * 3000]))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "out.json").read_bytes() == b'{"n":0}\n'
    await output.write(deliveries(1))
    await output.close()
    assert (tmp_path / "out.json").read_bytes() == b'{"n":0}\n{"n":1}\n'


def test_its_keys_are_checked_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'format' cannot be 'xml'"):
        FileOutput({"path": str(tmp_path), "format": "xml"})
    with pytest.raises(UsageError, match="does not exist; create it, or set `mkdir: on`"):
        FileOutput({"path": str(tmp_path / "absent"), "format": "plain"})
    FileOutput({"path": str(tmp_path / "absent"), "format": "plain", "mkdir": "on"})


KILLED = """
import asyncio, sys
from pathlib import Path
from kubewitness.journal import Journal
from kubewitness.outputs.file import FileOutput
from kubewitness.pipeline import Committer, JournalFeed, Supervisor
from tests.pipeline.parts import Counting

async def main(directory):
    with Journal(directory + "/journal.db", fsync=False) as journal:
        committer = Committer(journal)
        supervisor = Supervisor()
        supervisor.add_input(Counting("in", 1_000_000), committer)
        output = FileOutput({"path": directory, "file": "out.json", "format": "plain"})
        supervisor.add_output(output, JournalFeed(journal, committer))
        supervisor.add_drain(committer.close)
        await supervisor.run(until_inputs_end=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.crash
def test_killed_while_writing_a_file_has_every_record_and_no_torn_line(tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    out = tmp_path / "out.json"
    for _ in range(12):
        size = out.stat().st_size if out.exists() else 0
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, env=env)
        deadline = time.monotonic() + 20
        while not (out.exists() and out.stat().st_size > size) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        assert child.poll() is None
        child.kill()
        child.wait()
        with Journal(tmp_path / "journal.db", fsync=False) as journal:
            acknowledged = journal.cursor("file")
        whole = out.read_bytes()
        written = whole[: whole.rfind(b"\n") + 1].splitlines()
        numbers = list(dict.fromkeys(json.loads(line)["n"] for line in written))
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= acknowledged
    print(f"12 kills, {len(numbers)} records, {len(written) - len(numbers)} written again")


async def test_an_end_in_the_middle_of_a_write_waits_until_the_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on, fsync = threading.Event(), threading.Event(), os.fsync

    def slow(fd: int) -> None:
        writing.set()
        assert go_on.wait(30)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    output = MAKERS["file"](tmp_path)
    write = asyncio.create_task(output.write(deliveries(0)))
    assert await asyncio.to_thread(writing.wait, 30)
    write.cancel()  # its thread goes on
    assert isinstance((await asyncio.gather(write, return_exceptions=True))[0], asyncio.CancelledError)
    closing = asyncio.create_task(output.close())
    await asyncio.wait([closing], timeout=0.1)
    assert not closing.done()
    go_on.set()
    await closing
    assert (tmp_path / "out.json").read_bytes() == json_lines(numbered(0))
