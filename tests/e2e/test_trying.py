"""Writing a rubric against answers, from the bank to the question's next version, without a mouse."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, Visitor, tab_to
from tests.e2e.test_interview import QUESTIONS

pytestmark = pytest.mark.e2e
Visit = Callable[..., Visitor]


def test_a_rubric_is_changed_tried_and_kept(visit: Visit, site: Site) -> None:
    question = next(one for one in QUESTIONS.values() if one.slug == "prefix-caching")
    best = next(one for one in question.exemplars if one.level == "L7")
    admin = visit("admin")
    page = admin.page
    page.goto(f"{site.url}/bank/advanced-inference/{question.slug}/")
    tab_to(page, "Try the rubric")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Try the rubric")).to_be_visible()
    admin.look("try")
    answer = page.get_by_role("textbox", name="Answer")
    answer.focus()
    page.keyboard.insert_text(best.answer.text)
    tab_to(page, "Mark", 12)
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"(\d+) of \1 at the level"))).to_be_visible(timeout=60_000)
    expect(page.locator("[data-live]")).to_have_count(0, timeout=60_000)
    expect(page.get_by_role("button", name="Keep this rubric")).to_have_count(0)
    admin.look("tried")
    expect(answer).to_have_value(best.answer.text)

    page.locator("summary", has_text="With another rubric").focus()
    page.keyboard.press("Enter")
    rubric = page.get_by_role("textbox", name="rubric.yaml")
    title = question.rubric.criteria[0].title
    rubric.fill(rubric.input_value().replace(title, "Tried and kept"))
    page.get_by_role("button", name="Mark", exact=True).press("Enter")
    expect(page.get_by_role("button", name="Keep this rubric")).to_be_visible(timeout=60_000)
    expect(page.locator("th", has_text="Tried and kept").first).to_be_visible()
    tab_to(page, "Keep this rubric")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The rubric is the question's now.")).to_be_visible()
    expect(page.get_by_text("Tried and kept")).to_be_visible()
