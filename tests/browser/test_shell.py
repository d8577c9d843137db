"""The frame: what the first load weighs, what it may do, colours and time zones, a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.stage import Sheet, sheet
from tests.browser.test_ask import answered, drained

pytestmark = pytest.mark.browser

#: of the issue: compressed bytes of the first load
MOST_BYTES = 300_000
#: an element with a handler written in its mark-up, as a record could hold it; done when its event has come
TOGGLED = """new Promise((done) => {
    document.body.insertAdjacentHTML('beforeend', '<details open ontoggle="window.ran = 1"><p></p></details>');
    document.body.lastElementChild.addEventListener('toggle', () => { window.toggled = true; done(); });
})"""


def test_the_first_load_is_small_and_asks_only_its_own_host(demo_page: Sheet) -> None:
    page = demo_page.page
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    demo_page.open("")
    expect(page.locator(".examples a").first).to_be_visible()
    assert 10_000 < sum(sizes) < MOST_BYTES


def test_scripts_written_into_records_or_the_page_do_not_run(demo_page: Sheet) -> None:
    page = demo_page.open("")
    policy = page.evaluate("fetch('').then((answer) => answer.headers.get('Content-Security-Policy'))")
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate(TOGGLED)
    assert page.evaluate("[window.toggled, window.ran]") == [True, None]
    demo_page.faults[:] = [fault for fault in demo_page.faults if "Content Security Policy" not in fault]


def test_times_follow_the_chosen_zone_and_stay_chosen(demo_page: Sheet) -> None:
    pod = drained()
    page = answered(demo_page, f"who deleted pod/{pod['name']} -n {pod['namespace']}")
    when = page.locator(".verdict time").first
    utc = when.inner_text()
    page.get_by_label("time zone").select_option("Asia/Tokyo")
    expect(when).not_to_have_text(utc)
    page.reload()
    expect(page.locator(".verdict time").first).to_contain_text("GMT+9")


def test_colours_can_be_chosen(demo_page: Sheet) -> None:
    page = demo_page.open("")
    page.get_by_label("colours").select_option("dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 23, 28)"


def test_the_answer_fits_a_phone(browser: Browser, demo_address: str) -> None:
    pod = drained()
    with sheet(browser, demo_address, viewport={"width": 360, "height": 740}) as phone:
        page = answered(phone, f"who deleted pod/{pod['name']} -n {pod['namespace']}")
        expect(page.locator("ol.chain > li").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert phone.faults == []
