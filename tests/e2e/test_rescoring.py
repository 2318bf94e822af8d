"""Scoring the answers to a question again, from the bank to the report, without a mouse."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from playwright.sync_api import expect

from grading.calibration import Calibration, claim_key
from interviews.bank.files import ParsedQuestion
from tests.e2e.conftest import Site, Visitor, tab_to
from tests.e2e.test_interview import QUESTIONS, choose, open_editor, saved, write

pytestmark = pytest.mark.e2e
Visit = Callable[..., Visitor]


@contextmanager
def taught(site: Site, question: ParsedQuestion) -> Iterator[None]:
    """While the scorer has learnt to be strict with half of what this question asks for."""
    claims = [claim for criterion in question.rubric.criteria[::2] for claim in criterion.claims]
    body = Calibration({claim_key(claim): 1.1 for claim in claims}, ((0.0, 0.02), (1.0, 0.98)), 3.0, 30).to_dict()
    row = ("0" * 32, json.dumps(body), "{}", "2026-01-01 00:00:00")
    with closing(sqlite3.connect(site.state / "roofline.sqlite3", timeout=20, isolation_level=None)) as database:
        database.execute("insert into grading_fittedcalibration (id, body, report, created_at) values (?, ?, ?, ?)", row)
        try:
            yield
        finally:
            database.execute("delete from grading_fittedcalibration")


def test_the_answers_to_a_question_are_scored_again(visit: Visit, site: Site) -> None:
    candidate = visit("candidate")
    choose(candidate, 20, "beam-search")
    candidate.page.get_by_role("button", name="Start the clock").click()
    title = open_editor(candidate.page)
    question = QUESTIONS[title]
    write(candidate.page, f"Answer to {title}", next(item.answer.text for item in question.exemplars if item.level == "L6"))
    saved(candidate.page)
    candidate.page.get_by_role("button", name="Finish", exact=True).click()
    candidate.page.get_by_role("button", name="Finish now").click()
    candidate.page.wait_for_url("**/report/", timeout=120_000)
    expect(candidate.page.get_by_text(re.compile(r"points are [\d.]+ of 28"))).to_be_visible(timeout=60_000)

    admin = visit("admin")
    page = admin.page
    with taught(site, question):
        page.goto(f"{site.url}/bank/advanced-inference/{question.slug}/")
        admin.look("question-answered")
        tab_to(page, "Score again")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=re.compile(r"Score \d+ answers? again\?"))).to_be_visible()
        admin.look("rescoring-new")
        tab_to(page, "Score again", 12)  # the way back comes first
        tab_to(page, "Score again", 12)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Have it done")).to_be_enabled(timeout=60_000)
        expect(page.get_by_text("to be decided")).to_be_visible()
        expect(page.locator("#trial time")).not_to_contain_text("UTC")  # the reader's own, in what was fetched anew, too
        expect(page.locator("circle")).not_to_have_count(0)
        tab_to(page, "Demo candidate")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("details[open]")).to_contain_text("→")
        admin.look("rescoring")
        tab_to(page, "Have it done")
        page.keyboard.press("Enter")
        expect(page.get_by_text("graded again", exact=True).first).to_be_visible()
        expect(page.locator("[data-live]")).to_have_count(0, timeout=60_000)
        expect(page.get_by_role("button", name="Have it done")).to_have_count(0)
        admin.look("rescoring-done")
        before, after = (float(text) for text in page.locator("tbody .num").all_inner_texts()[:2])
        assert before > after
        page.get_by_role("link", name="Demo candidate").first.click()
        expect(page.get_by_text(re.compile("^Scored again")).first).to_be_visible(timeout=30_000)
        page.goto(f"{site.url}/review/rescorings/")
        expect(page.get_by_role("link", name=title)).to_be_visible()
        admin.look("rescorings")
