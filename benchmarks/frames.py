"""Frame times of the timeline in a real Chromium, and what the first load weighs.

    python -m benchmarks.frames [--records 124000] [--hours 1]

The records are generated, imported and served as a user's are; the page then moves by itself: one step a frame. Printed
are the time that painting takes (ms) and the time from frame to frame, which the machine's load and its display rate
(60 a second) bound. Rendering is by software (--disable-gpu), so figures are of the processor alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from benchmarks.measure import python, run
from tests.browser import stage

#: name -> what each of the frames does; `i` is the frame's number
MOVES = {
    "pan": "board.pan(i % 2 ? 0.03 : -0.028)",
    "zoom": "board.zoom(i < 100 ? 0.97 : 1 / 0.97)",
    "scroll": "board.scroll(i * 150)",
    "scroll, zoomed in 20 times": "i === 0 ? board.zoom(0.05) : board.scroll(i * 150)",
    "all groups closed, pan": "i === 0 ? board.fold(true) : board.pan(i % 2 ? 0.03 : -0.028)",
}
FRAMES = 200

_PLAY = """(move) => new Promise((done) => {
  const board = window.kubewitnessTimeline, times = [];
  board.frames.length = 0;
  let i = 0, last = performance.now();
  const act = MOVES[move];
  const step = (now) => {
    times.push(now - last); last = now;
    if (i >= FRAMES) return done([times.slice(5), board.frames.slice()]);
    act(board, i++);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=124_000)
    parser.add_argument("--hours", type=float, default=1.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = _state(Path(folder), args.records, args.hours)
        with (
            stage.served(state) as address,
            stage.launched() as browser,
            stage.sheet(browser, address, viewport={"width": 1600, "height": 1000}) as made,
        ):
            measure(made)


def _state(folder: Path, records: int, hours: float) -> Path:
    source = folder / "audit.jsonl"
    run(python("-m", "benchmarks.generate", "--records", str(records), "--hours", str(hours)), stdout=source)
    command = [sys.executable, "-m", "kubewitness", "import", str(source), "--state", str(folder / "state"), "-q"]
    subprocess.run(command, check=True)
    source.unlink()
    return folder / "state"


def measure(made: stage.Sheet) -> None:
    sizes: list[int] = []
    page = made.page
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    begin = time.monotonic()
    made.open("")
    expect(page.locator(".examples a").first).to_be_visible()
    print(f"first view: {sum(sizes) / 1000:.0f} kB, answered after {time.monotonic() - begin:.2f} s of a new browser")
    begin = time.monotonic()
    made.open("?again")
    expect(page.locator(".examples a").first).to_be_visible()
    took = time.monotonic() - begin
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    print(f"in a browser that runs: the box takes words after {ready:.2f} s, answered after {took:.2f} s")
    begin = time.monotonic()
    made.open("#/timeline?reads=true")
    page.get_by_role("application").wait_for()
    rows, marks, level = page.evaluate(
        "(({ board, marks }) => [board.rows.length, marks.t.length, board.level])(kubewitnessTimeline.scene.model)"
    )
    print(f"timeline: {rows} rows, {marks} {level}, drawn after {time.monotonic() - begin:.1f} s\n")
    print("| move | paint, median ms | p95 | most | frame to frame, median ms | p95 |\n|---|---|---|---|---|---|")
    for name, act in MOVES.items():
        times, frames = _played(page, act)
        figures = [_part(frames, 0.5), _part(frames, 0.95), max(frames), _part(times, 0.5), _part(times, 0.95)]
        print(f"| {name} | " + " | ".join(f"{f:.1f}" for f in figures) + " |")


def _played(page: Page, act: str) -> tuple[list[float], list[float]]:
    play = _PLAY.replace("MOVES[move]", f"(board, i) => {{ {act} }}").replace("FRAMES", str(FRAMES))
    times, frames = page.evaluate(play, "")
    return times, frames


def _part(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


if __name__ == "__main__":
    main()
