"""The README's pictures, of the demo's data: `make screenshots` writes docs/answer.png and docs/timeline.png.

The clock stands still, so that the same data gives the same picture.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import stage
from tests.browser.test_ask import asked, drained

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: where the canvas shows the first eviction that was refused
_REFUSED = """() => {
  const { scene } = kubewitnessTimeline, { marks, board } = scene.model;
  const said = (i) => board.words.what[marks.what[i]] + " " + board.outcomes[marks.outcome[i]];
  const mark = [...marks.t.keys()].find((i) => /eviction refused/.test(said(i)));
  const line = scene.lines.findIndex(({ row }) => row >= 0 && marks.start[row] <= mark && mark < marks.start[row + 1]);
  const part = (marks.t[mark] - scene.t0) / (scene.t1 - scene.t0);
  return { x: scene.label + part * (scene.width - scene.label), y: 30 + line * 22 + 11 };
}"""
_SIZE = {"width": 1180, "height": 760}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        stage.served(stage.demo_state(Path(folder) / "state")) as address,
        stage.launched() as browser,
        stage.sheet(browser, address, viewport=_SIZE) as made,
    ):
        made.page.clock.set_fixed_time("2026-11-22T22:47:00Z")  # or every picture would tell another age
        _answer(made)
        _timeline(made)
        assert made.faults == [], made.faults


def _answer(made: stage.Sheet) -> None:
    pod = drained()
    page = made.open(asked(f"who deleted pod/{pod['name']} -n {pod['namespace']}"))
    expect(page.locator("ol.chain > li")).to_have_count(3)
    _take(page, "answer.png")


def _timeline(made: stage.Sheet) -> None:
    page = made.open("#/timeline?q=namespace%3Dshop")
    canvas = page.get_by_role("application")
    expect(canvas).to_be_visible()
    page.wait_for_timeout(5000)  # states of the rows in sight arrive after them
    canvas.hover(position=page.evaluate(_REFUSED))
    expect(page.locator(".tip")).to_be_visible()
    _take(page, "timeline.png")


def _take(page: Page, name: str) -> None:
    page.screenshot(path=DOCS / name, animations="disabled")
    print(f"{name}: {(DOCS / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
