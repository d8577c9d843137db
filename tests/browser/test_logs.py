"""Log lines and findings beside the demo's recording: as marks on the timeline, in the tab of an object, in lists.

The demo's hollow nodes run no containers and no rules run yet, so both are built to their formats: CRI lines for a pod
that a drain took, through the real importer, and findings about it, through the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kubewitness.config.state import state_paths
from kubewitness.contracts import Batch
from kubewitness.formats.times import format_us, parse_us
from kubewitness.inputs.importer.files import find
from kubewitness.inputs.importer.run import Importer
from kubewitness.journal import Journal
from kubewitness.record import chunk_of
from tests.browser import stage
from tests.browser.stage import Sheet
from tests.browser.test_ask import drained
from tests.browser.test_axe import problems
from tests.browser.test_timeline import timeline, until

pytestmark = pytest.mark.browser

SECOND = 1_000_000
POD = drained()
END = parse_us(POD["terminating"])
LINES = 500
_SAID = ("GET /orders 200 12ms", '{"level":"error","msg":"db: connection refused"}', "GET /healthz 200 1ms")


def recorded(folder: Path) -> Path:
    """The demo's state with 500 lines of the drained pod, one each 200 ms up to its end, and two findings."""
    state = stage.demo_state(folder / "state")
    lines = [f"{format_us(END - (LINES - n) * SECOND // 5)} stdout F {n}: {_SAID[n % 3]}\n" for n in range(LINES)]
    lines += [f"{format_us(END + 2 * SECOND)} stderr F panic: shutting down\n"]
    containers = folder / "containers"
    containers.mkdir(parents=True)
    (containers / f"{POD['name']}_{POD['namespace']}_api-{'0123456789abcdef' * 4}.log").write_text("".join(lines))
    paths = state_paths(str(state))
    Importer(paths).run(find([str(containers)]))
    found = [json.dumps(finding(severity, n)).encode() for n, severity in enumerate(("high", "low"))]
    chunk = chunk_of("findings", [(text, f"finding-{n:08}".encode()) for n, text in enumerate(found)])
    with Journal(paths.journal) as journal:
        journal.append([Batch([chunk])])
    return state


def finding(severity: str, n: int) -> dict[str, Any]:
    return {
        "rule": ("pod-evicted-by-hand", "drain-during-rollout")[n],
        "when": format_us(END + (4 + n) * SECOND),
        "severity": severity,
        "title": "A pod was evicted",
        "actor": "alice",
        "kind": "Pod",
        "namespace": POD["namespace"],
        "name": POD["name"],
        "summary": f"alice evicted pod {POD['namespace']}/{POD['name']}",
    }


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage.served(recorded(tmp_path_factory.mktemp("logs"))) as address:
        yield address


@pytest.fixture
def made(browser: Browser, address: str) -> Iterator[Sheet]:
    with stage.sheet(browser, address, viewport={"width": 1280, "height": 800}) as made:
        yield made
    assert made.faults == []


def assert_accessible(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    assert problems(page) == []
    page.emulate_media(color_scheme="light")
    assert problems(page) == []


#: where the canvas shows the last mark of a log line of a row
_MARK = """(label) => {
  const { scene } = kubewitnessTimeline, { marks, board } = scene.model;
  const line = scene.lines.findIndex((l) => l.label === label);
  const { row } = scene.lines[line];
  const own = [...marks.t.keys()].slice(marks.start[row], marks.start[row + 1]);
  const mark = own.filter((i) => board.types[marks.type[i]] === "log").at(-1);
  kubewitnessTimeline.scroll(line * 22 - 100);
  const part = (marks.t[mark] - scene.t0) / (scene.t1 - scene.t0);
  return { x: scene.label + part * (scene.width - scene.label), y: 30 + line * 22 - scene.top + 11 };
}"""


def lines_in(page: Page) -> list[str]:
    return page.locator(".log-text").all_inner_texts()


def test_marks_of_logs_and_findings_are_drawn_and_lead_to_the_lines_of_that_time(made: Sheet) -> None:
    page = timeline(made, f"#/timeline?q=namespace%3Dshop&from={(END - 60 * SECOND) // 1000}&to={END // 1000 + 9000}")
    types = "kubewitnessTimeline.scene.model.board.types"
    seen = f"new Set([...kubewitnessTimeline.scene.model.marks.type].map((t) => {types}[t]))"
    until(page, f"{seen}.has('log') && {seen}.has('finding')")
    page.get_by_role("application").click(position=page.evaluate(_MARK, f"Pod/{POD['name']}"))
    detail = page.get_by_role("complementary", name="object")
    expect(detail.get_by_role("radio", name="logs")).to_be_checked()
    expect(detail.locator(".log li.marked")).to_contain_text("panic: shutting down")
    expect(detail.locator(".log li.marked .log-sign")).to_contain_text("error")
    assert_accessible(page)


def test_lines_open_at_a_time_and_go_on_by_pages_to_both_sides(made: Sheet) -> None:
    near = (END - 50 * SECOND) // 1000
    page = made.open(f"#/object?object=pod/{POD['name']}&namespace={POD['namespace']}&part=logs&near={near}")
    marked = page.locator(".log li.marked")
    expect(marked).to_be_in_viewport()
    expect(marked).to_contain_text("250: ")
    assert len(lines_in(page)) == 200
    page.get_by_role("button", name="Older lines").click()
    expect(page.locator(".log li").first).to_contain_text("0: GET")
    page.get_by_role("button", name="Newer lines").click()
    expect(page.locator(".log li")).to_have_count(LINES + 1)
    assert [line.split(":")[0] for line in lines_in(page)[:-1]] == [str(n) for n in range(LINES)]
    page.get_by_role("textbox", name="only lines with").fill("refused")
    page.keyboard.press("Enter")
    expect(page.locator(".log li").first).to_contain_text("connection refused")
    assert all("refused" in line for line in lines_in(page))
    page.locator(".log-when").first.click()
    expect(page.get_by_label("record as JSON")).to_contain_text("stdout F")


def test_findings_are_listed_with_what_they_are_about(made: Sheet) -> None:
    page = made.open("#/findings")
    rows = page.locator("table.rows tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="pod-evicted-by-hand")).to_contain_text("high")
    assert_accessible(page)
