"""The journey "ask who": from the first look to the evidence, and away with a report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stage import Sheet
from tests.fixtures_demo import DATA

pytestmark = pytest.mark.browser


def drained() -> dict[str, Any]:
    """The pod of the demo that a drain took last, as the driver of the recording knows it."""
    truth = json.loads((DATA / "truth.json").read_text())
    found: dict[str, Any] = [v for v in truth["vanished"] if v["mechanism"] == "drain"][-1]
    return found


def asked(words: str) -> str:
    return f"#/ask?q={quote(words)}"


def answered(demo_page: Sheet, words: str) -> Page:
    page = demo_page.open(asked(words))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


def test_a_first_visitor_is_shown_questions_that_this_recording_answers(demo_page: Sheet) -> None:
    page = demo_page.open("")
    examples = page.locator(".examples a")
    expect(examples.first).to_be_visible()
    examples.filter(has_text="who evicted").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("drained node")
    assert "q=who+evicted" in page.url


def test_typing_completes_names_from_the_store_by_keyboard_alone(demo_page: Sheet) -> None:
    pod = drained()
    page = demo_page.open("")
    box = page.get_by_role("combobox", name="Ask")
    expect(box).to_be_visible()
    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.type(f"who deleted {pod['name'][:-2]}")
    option = page.get_by_role("option").filter(has_text=pod["name"])
    expect(option).to_be_visible()
    while option.get_attribute("aria-selected") != "true":
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value(f"who deleted pod/{pod['name']} -n {pod['namespace']} ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("drained node")


def test_the_answer_is_a_chain_of_cards_from_the_effect_to_the_root(demo_page: Sheet) -> None:
    pod = drained()
    page = answered(demo_page, f"who deleted pod/{pod['name']} -n {pod['namespace']}")
    cards = page.locator("ol.chain > li")
    expect(cards).to_have_count(3)
    assert [c.split("\n")[0].lower() for c in cards.locator(".place").all_inner_texts()] == [
        "effect",
        "because",
        "root",
    ]
    expect(cards.first).to_contain_text(pod["name"])
    expect(cards.last).to_contain_text("cordoned")
    expect(page.locator(".verdict")).to_contain_text("proved")


def test_evidence_is_one_click_away_as_json_yaml_and_the_original_bytes(demo_page: Sheet) -> None:
    pod = drained()
    page = answered(demo_page, f"who deleted pod/{pod['name']} -n {pod['namespace']}")
    first = page.locator("ol.chain > li").first
    ident = first.locator("button.id").first
    audit_id = ident.inner_text().split("/")[1]
    ident.click()
    record = first.get_by_label("record as JSON")
    expect(record).to_contain_text(f'"auditID": "{audit_id}"')
    first.get_by_role("radio", name="YAML").click()
    expect(first.get_by_label("record as YAML")).to_contain_text(f"auditID: {audit_id}")
    first.get_by_role("radio", name="original").click()
    assert json.loads(first.get_by_label("record as original").inner_text())["auditID"] == audit_id
    expect(first.get_by_role("button", name="Copy kubewitness command")).to_have_attribute(
        "title", re.compile(f"kubewitness search id=audit:default/{audit_id}/")
    )


def test_the_answer_leaves_as_json_and_as_a_markdown_report(demo_page: Sheet, tmp_path: Path) -> None:
    pod = drained()
    page = answered(demo_page, f"who deleted pod/{pod['name']} -n {pod['namespace']}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save JSON").click()
    download.value.save_as(tmp_path / "answer.json")
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert (answer["mechanism"], answer["question"]["name"]) == ("drain", pod["name"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Save report").click()
    download.value.save_as(tmp_path / "answer.md")
    report = (tmp_path / "answer.md").read_text()
    assert report.startswith(f"# Pod/{pod['namespace']}/{pod['name']}: deleted")
    assert all(f"`{i}`" in report for link in answer["chain"] for i in link["evidence"])
    assert f"kubewitness who deleted pod/{pod['name']} -n {pod['namespace']}" in report


def test_what_the_records_do_not_tell_is_said_as_plainly(demo_page: Sheet) -> None:
    page = answered(demo_page, "who deleted pod/never-was -n shop")
    expect(page.locator(".honest")).to_contain_text("What the records do not tell")
    expect(page.locator("ol.chain")).to_have_count(0)


def test_free_text_and_fields_find_records(demo_page: Sheet) -> None:
    page = answered(demo_page, "search user=bob code=403")
    expect(page.locator("table.rows tbody tr").first).to_contain_text("bob")
    page.get_by_role("button", name="show").first.click()
    expect(page.get_by_label("record as JSON")).to_contain_text("403")


def test_an_empty_store_tells_how_to_connect_a_cluster(empty_page: Sheet) -> None:
    page = empty_page.open("")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is recorded yet")
    expect(page.locator(".command").first).to_contain_text("kubewitness record --kubeconfig")
    expect(page.get_by_label("kubeadm manifest")).to_contain_text("audit-webhook-config-file")
    page.get_by_role("radio", name="webhook").click()
    expect(page.get_by_label("webhook manifest")).to_contain_text("clusters:")
