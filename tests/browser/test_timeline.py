"""The journeys "brush and inspect" and "diff a rollout"."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stage import PATIENCE, Sheet

pytestmark = pytest.mark.browser


def timeline(demo_page: Sheet, route: str = "#/timeline?q=namespace%3Dshop") -> Page:
    page = demo_page.open(route)
    expect(page.get_by_role("application")).to_be_visible()
    expect(page.locator(".board-said")).to_contain_text(re.compile(r"^[\d ]+ records of \d+ objects"))
    return page


def until(page: Page, condition: str) -> None:
    """Waits for an expression to hold. (Playwright's own waiting needs eval, which the policy forbids.)"""
    for _ in range(PATIENCE // 100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(condition)


def window(page: Page) -> tuple[float, float]:
    """The window of the canvas, ms since 1970."""
    t0, t1 = page.evaluate("[kubewitnessTimeline.scene.t0, kubewitnessTimeline.scene.t1]")
    return t0, t1


def row_of(page: Page, label: str) -> int:
    """Which line of the canvas has a label."""
    lines: list[str] = page.evaluate("kubewitnessTimeline.scene.lines.map((line) => line.label)")
    return lines.index(label)


def choose(page: Page, label: str) -> None:
    """By keyboard, as somebody without a pointer does it."""
    page.get_by_role("application").focus()
    page.keyboard.press("Home")
    for _ in range(row_of(page, label)):
        page.keyboard.press("ArrowDown")


def test_brushing_the_histogram_sets_the_window_and_the_address(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    before = window(page)
    box = page.locator(".histogram canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("from=.*to="))
    t0, t1 = window(page)
    assert before[0] < t0 < t1 < before[1]
    assert (t1 - t0) / (before[1] - before[0]) == pytest.approx(0.25, abs=0.03)
    page.reload()
    expect(page.get_by_role("application")).to_be_visible()
    assert window(page) == pytest.approx((t0, t1), abs=2)


def test_a_mark_tells_who_did_what_and_opens_its_object_at_that_time(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    x, y = page.evaluate(
        """() => {
          const { scene } = kubewitnessTimeline, { marks, board } = scene.model;
          const line = scene.lines.findIndex((l) => l.label === "Deployment/web");
          const { row } = scene.lines[line];
          const own = [...Array(marks.t.length).keys()].slice(marks.start[row], marks.start[row + 1]);
          const mark = own.find((i) => board.words.actor[marks.actor[i]] === "ci-bot");
          kubewitnessTimeline.scroll(line * 22 - 100);
          const part = (marks.t[mark] - scene.t0) / (scene.t1 - scene.t0);
          return [scene.label + part * (scene.width - scene.label), 30 + line * 22 - scene.top + 11];
        }"""
    )
    canvas = page.get_by_role("application")
    canvas.hover(position={"x": x, "y": y})
    expect(page.locator(".tip")).to_contain_text("Deployment/shop/web")
    expect(page.locator(".tip")).to_contain_text("ci-bot")
    canvas.click(position={"x": x, "y": y})
    detail = page.get_by_role("complementary", name="object")
    expect(detail.get_by_role("heading", level=1)).to_contain_text("deployment/web")
    expect(detail.locator("tr.marked")).to_contain_text("ci-bot")
    assert "object=deployment%2Fweb" in page.url


def test_everything_works_by_keyboard(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    t0, t1 = window(page)
    page.get_by_role("application").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    near0, near1 = window(page)
    assert (near1 - near0) < (t1 - t0)
    choose(page, "shop")
    lines = page.evaluate("kubewitnessTimeline.scene.lines.length")
    page.keyboard.press("Space")
    assert page.evaluate("kubewitnessTimeline.scene.lines.length") < lines
    page.keyboard.press("Space")
    choose(page, "Deployment/web")
    expect(page.get_by_role("status").filter(has_text="Deployment/web,")).to_contain_text("marks")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="object")).to_contain_text("deployment/web")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="object")).to_have_count(0)


def test_zooming_in_keeps_the_time_under_the_pointer(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    canvas = page.get_by_role("application")
    canvas.hover(position={"x": 800, "y": 200})
    at = "kubewitnessTimeline.scene.t0 + (kubewitnessTimeline.scene.t1 - kubewitnessTimeline.scene.t0) * "
    at += (
        "(800 - kubewitnessTimeline.scene.label) / (kubewitnessTimeline.scene.width - kubewitnessTimeline.scene.label)"
    )
    before = page.evaluate(at)
    t0, t1 = window(page)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    until(page, f"kubewitnessTimeline.scene.t1 - kubewitnessTimeline.scene.t0 < {(t1 - t0) * 0.9}")
    assert page.evaluate(at) == pytest.approx(before, abs=(t1 - t0) / 200)


def test_a_timeline_that_was_left_in_the_middle_of_a_zoom_does_not_come_back(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    page.get_by_role("application").focus()
    page.keyboard.press("+")
    # the zoom's time is up before the page has noticed that it was left
    page.evaluate("location.hash = '#/explore'; const end = Date.now() + 400; while (Date.now() < end);")
    expect(page.locator("table.rows tbody tr").first).to_be_visible()
    page.wait_for_timeout(1000)  # longer than a zoom takes to be written into the address
    assert page.evaluate("location.hash") == "#/explore"


def test_rows_can_be_grouped_by_node_and_by_user(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    page.get_by_role("radio", name="node").click()
    until(page, "kubewitnessTimeline.scene.lines.some((l) => l.label === 'worker-1' && l.depth === 0)")
    page.get_by_role("radio", name="user").click()
    until(page, "kubewitnessTimeline.scene.lines.some((l) => l.label === 'alice')")


def test_pictures_are_saved_as_png_and_svg(demo_page: Sheet, tmp_path: Path) -> None:
    page = timeline(demo_page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save SVG").click()
    download.value.save_as(tmp_path / "t.svg")
    root = ElementTree.parse(tmp_path / "t.svg").getroot()
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"shop", "Deployment/web"} <= words
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    download.value.save_as(tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_a_rollout_is_seen_side_by_side_with_the_manager_of_the_field(demo_page: Sheet) -> None:
    page = timeline(demo_page)
    choose(page, "Deployment/web")
    page.keyboard.press("Enter")
    detail = page.get_by_role("complementary", name="object")
    detail.get_by_role("radio", name="versions").click()
    line = detail.locator("table.sides tr").filter(has_text="image: shop/web:1.1")
    expect(line).to_contain_text("image: shop/web:1.0")
    expect(line.locator(".by")).to_contain_text("kubectl-set, ci-bot")
    expect(detail.locator("table.changes")).to_contain_text("spec.template.spec.containers.web.image")
