"""An admin writes a question in a browser. It stays on hold: the interviews of the other tests would ask it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, Visitor, tab_to

pytestmark = pytest.mark.e2e


def test_a_question_is_drafted_by_keyboard_and_no_text_gets_lost(visit: Callable[..., Visitor], site: Site) -> None:
    admin = visit("admin")
    page = admin.page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
    page.goto(f"{site.url}/bank/")
    page.get_by_role("link", name="New question").click()
    expect(page).to_have_title("New question · Roofline")
    admin.look("new-question")
    page.get_by_label("Title").fill("Page tables")
    page.keyboard.press("Enter")
    page.get_by_label("Prompt").fill("Why is a page table needed?")
    page.get_by_label("Model answer", exact=True).fill("A page table maps virtual pages to physical frames. Frames can lie anywhere.")
    assert sent == [], "Enter in a line of text is no button"
    tab_to(page, "Draft the rubric")
    page.keyboard.press("Enter")
    rubric = page.get_by_label("Rubric", exact=True)
    expect(rubric).to_be_focused()
    expect(rubric).to_be_in_viewport()
    drafted = rubric.input_value()
    assert 'text: "Frames can lie anywhere"' in drafted
    page.get_by_role("link", name="Question bank").click()
    expect(page.get_by_label("Title")).to_have_value("Page tables")
    assert asked == ["beforeunload"], "a draft that nobody saved"
    tab_to(page, "Save question", limit=90)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Topics: This field is required.")
    expect(page.get_by_label("L5")).to_be_focused()
    expect(rubric).to_have_value(drafted)
    admin.look("new-question-faults")
    page.keyboard.press("Space")
    page.get_by_label("Topics").fill("page-tables")
    tab_to(page, "Save question", limit=90)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Page tables", level=1)).to_be_visible()
    expect(page.get_by_text("no new interview asks this question")).to_be_visible()
    admin.look("question-on-hold")
    page.goto(site.url)
    expect(page.get_by_label("page-tables")).to_have_count(0)
