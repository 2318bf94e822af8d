"""The whole way: sit an interview, be graded, be reviewed, and see the bank change without the scores changing."""

import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, Locator, Page, Route, expect

from grading.variants import GENERATOR
from interviews.bank.files import PROSE, ParsedQuestion, parse_question, read_pack
from interviews.bank.management.commands.load_bank import PACKS
from sandbox import labs
from tests.e2e.conftest import Site, Visitor, breakable, tab_to, until

pytestmark = pytest.mark.e2e
Visit = Callable[..., Visitor]
QUESTIONS = {question.meta["title"]: question for path in PACKS.glob("*/pack.yaml") for question in read_pack(path.parent).questions}


def as_asked(site: Site, page: Page, question: ParsedQuestion) -> ParsedQuestion:
    """The question with the numbers that this interview shows."""
    if GENERATOR not in question.files:
        return question
    query = """select asked.seed from live_interviewquestion asked join bank_questionversion version on version.id = asked.version_id
               where asked.interview_id = ? and version.title = ?"""
    interview = page.url.split("/interviews/")[1].split("/")[0].replace("-", "")
    with closing(sqlite3.connect(site.state / "roofline.sqlite3")) as database:
        (seed,) = database.execute(query, (interview, question.meta["title"])).fetchone()
    return parse_question(question.slug, question.files, seed=seed)


def open_question(page: Page, index: int) -> str:
    """Goes to a question and returns its title."""
    button = page.locator(".questions button").nth(index)
    button.click()
    return button.inner_text().split("\n")[0].split(". ", 1)[1]


def open_editor(page: Page) -> str:
    """Goes to the first question that is answered in an editor, and not in fields alone, and returns its title."""
    buttons = page.locator(".questions button")
    buttons.first.wait_for()
    titles = [text.split("\n")[0].split(". ", 1)[1] for text in buttons.all_inner_texts()]
    return open_question(page, next(index for index, title in enumerate(titles) if QUESTIONS[title].meta["kind"] != "quickfire"))


def criterion(page: Page, title: str, index: int) -> Locator:
    """A criterion of the question with this title, on a report or a desk."""
    return page.get_by_role("region", name=f"Criteria of {title}").locator(".criterion").nth(index)


def write(page: Page, label: str, text: str) -> None:
    editor = page.get_by_role("textbox", name=label)
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def saved(page: Page) -> None:
    expect(page.get_by_test_id("saved")).to_contain_text("Saved", timeout=15_000)


def start(visitor: Visitor, title: str = "Advanced inference, L6, 60 minutes") -> None:
    page = visitor.page
    page.goto(visitor.site.url)
    page.get_by_role("button", name=re.compile(f"Set up.*{title}")).click()
    page.get_by_role("button", name="Start the clock").wait_for()


def unsure(site: Site, desk: Page) -> int:
    """How many criteria of the interview on a desk have something to look at first."""
    report = desk.request.get(f"{site.url}/api/interviews/{desk.url.rstrip('/').rsplit('/', 1)[-1]}/report/").json()
    return sum(bool(criterion["unsure"]) for question in report["questions"] for criterion in question["score"]["criteria"])


def wait_for_judge(site: Site) -> None:
    import json
    import urllib.request

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{site.url}/healthz") as answer:
            health = json.load(answer)
        if health["jail"]["ok"]:
            return
        time.sleep(0.5)
    pytest.fail(f"no judge came up: {health}")


def test_the_pages_around_an_interview(visit: Visit) -> None:
    visitor = visit()
    pages = {"": "landing", "accounts/login/": "sign-in", "accounts/signup/": "sign-up", "accounts/password/reset/": "reset", "none": "404"}
    for path, name in pages.items():
        visitor.page.goto(f"{visitor.site.url}/{path}")
        visitor.look(name)


def test_a_candidate_is_interviewed_graded_and_reviewed(visit: Visit, site: Site) -> None:
    wait_for_judge(site)
    candidate = visit("candidate")
    page = candidate.page
    candidate.look("home")
    start(candidate)
    candidate.look("lobby")
    page.get_by_role("button", name="Start the clock").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^59:\d\d$|^1:00:00$"))
    asked_kinds: dict[str, str] = {}
    for index in range(page.locator(".questions button").count()):
        question = as_asked(site, page, QUESTIONS[open_question(page, index)])
        exemplar = next(item for item in question.exemplars if item.level == "L6")
        kind = question.meta["kind"]
        asked_kinds[question.meta["title"]] = kind
        if kind == "code":
            write(page, f"Code for {question.meta['title']}", labs.load(question.meta["lab"]).reference)
            saved(page)
            page.get_by_role("button", name="Run", exact=True).click()
            expect(page.get_by_role("region", name="Public tests")).to_contain_text("accepted", timeout=60_000)
            page.get_by_role("button", name="Submit", exact=True).click()
            submission = page.get_by_role("region", name="Hidden tests").first
            expect(submission).to_contain_text(re.compile(r"Test \d+ of \d+|accepted"), timeout=60_000)
            expect(submission).to_contain_text("28 of 28 points", timeout=90_000)
            page.get_by_text("What the engine did").click()
            page.get_by_role("img", name=re.compile("engine steps")).wait_for()
        for field, value in exemplar.answer.fields.items():
            asked = next(item for item in question.meta["fields"] if item["id"] == field)
            expect(page.get_by_label(asked["label"])).to_have_accessible_description(re.compile(re.escape(asked["hint"])))
            page.get_by_label(asked["label"]).fill(value)
        expect(page.get_by_text(re.compile("^Read as "))).to_have_count(len(exemplar.answer.fields) if kind == "estimate" else 0)
        if kind == "quickfire":  # on to the next with Enter, and nothing else to write in
            labels = [field["label"] for field in question.meta["fields"]]
            page.get_by_label(labels[0]).press("Enter")
            expect(page.get_by_label(labels[1])).to_be_focused()
            expect(page.get_by_role("textbox")).to_have_count(len(labels))
        else:
            write(page, f"Answer to {question.meta['title']}", exemplar.answer.text)
        saved(page)
        candidate.look(f"room-{kind}")
    assert {"quickfire", "estimate", "code"} < set(asked_kinds.values())
    title = next(title for title, kind in asked_kinds.items() if kind in PROSE)
    page.get_by_role("button", name="Finish", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Every question has an answer.")
    page.get_by_role("button", name="Finish now").click()
    page.wait_for_url("**/report/", timeout=120_000)
    expect(page.get_by_role("heading", name="Advanced inference, L6, 60 minutes")).to_be_visible()
    expect(page.get_by_text(re.compile(r"points are [\d.]+ of 28: L[67]"))).to_be_visible(timeout=30_000)
    page.locator("mark").first.click()
    expect(page.locator(".criterion.active")).to_have_count(1)
    candidate.look("report")
    looks = "Look here first"  # what the scorer decided by little: for who reviews, while it is open
    expect(page.get_by_text(looks)).to_have_count(0)
    report = page.url
    # Paper has the name of each criterion, and what is folded on the screen.
    page.emulate_media(media="print")
    assert page.locator(".criterion h4 button").count() == page.locator(".criterion h4 button").filter(visible=True).count() > 0
    folded = page.locator("details:not(.no-print, [open]) > :not(summary)").evaluate_all("parts => parts.map(part => part.checkVisibility())")
    assert folded and all(folded)
    page.emulate_media(media="screen")

    interviewer = visit("interviewer")
    desk = interviewer.page
    desk.goto(f"{site.url}/review/")
    interviewer.look("queue")
    desk.get_by_role("link", name="Advanced inference, L6, 60 minutes").first.click()
    first = criterion(desk, title, 0)
    before = first.locator(".points").inner_text()
    first.get_by_role("radio").nth(1).click()
    first.get_by_label("Why?").fill("The mechanism is named but not explained.")
    interviewer.look("desk")
    expect(desk.get_by_text(looks)).to_have_count(unsure(site, desk))
    desk.route("**/overrides/", lambda route: route.fulfill(status=500))
    first.get_by_role("button", name="Set to 1").click()
    expect(first.get_by_role("alert")).to_contain_text("The server failed.")
    desk.unroute("**/overrides/")
    first.get_by_role("button", name="Set to 1").click()
    expect(first).to_contain_text("changed")
    expect(first.get_by_role("radio").nth(1)).to_be_focused()
    assert first.locator(".points").inner_text() != before
    desk.get_by_label("A note to the candidate").fill("Explain why before what.")
    desk.get_by_role("button", name="Add the note").dblclick()
    expect(desk.get_by_text("Explain why before what.")).to_have_count(1)
    expect(desk.get_by_label("A note to the candidate")).to_have_value("")
    desk.get_by_role("button", name="Publish", exact=True).click()
    desk.get_by_role("button", name="Publish now").click()
    expect(desk.get_by_text("published", exact=True)).to_be_visible()
    expect(desk.get_by_role("status").filter(has_text="published")).to_be_focused()  # the button is gone
    expect(desk.get_by_text(looks)).to_have_count(0)
    desk.keyboard.press("j")
    desk.keyboard.press("0")
    top = desk.locator(".criterion").first
    expect(top.get_by_role("radio").nth(0)).to_be_focused()
    top.get_by_role("button", name=re.compile("^(Keep|Cancel)")).click()

    page.goto(report)
    expect(page.get_by_text("Explain why before what.")).to_be_visible()
    expect(page.get_by_text("reviewed", exact=True)).to_be_visible()
    expect(page.get_by_text("The mechanism is named but not explained.")).to_be_visible()

    versions = page.get_by_text(re.compile("^question [0-9a-f]{8} · rubric")).all_inner_texts()
    admin = visit("admin")
    edit = admin.page
    edit.goto(f"{site.url}/bank/")
    admin.look("bank")
    edit.get_by_role("link", name=title).click()
    admin.look("question")
    edit.get_by_role("link", name="Edit").click()
    prompt = edit.get_by_label("prompt.md")
    prompt.fill(prompt.input_value() + "\nOne more sentence, added later.\n")
    edit.get_by_role("button", name="Save", exact=True).click()
    expect(edit.get_by_text("was changed successfully")).to_be_visible()
    page.reload()
    page.get_by_text("Explain why before what.").wait_for()
    assert page.get_by_text(re.compile("^question [0-9a-f]{8} · rubric")).all_inner_texts() == versions
    expect(page.get_by_text("One more sentence, added later.")).to_have_count(0)

    desk.get_by_role("button", name="Score again").click()
    expect(desk.get_by_text(re.compile("^Scored again")).first).to_be_visible(timeout=60_000)
    expect(first).to_contain_text("The mechanism is named but not explained.")
    interviewer.look("rescored")

    # What was chosen upon the score that a colleague has replaced is not stored on the new one, and the words stay.
    second = criterion(desk, title, 1)
    second.get_by_role("radio").nth(0).click()
    second.get_by_label("Why?").fill("Nothing of it is shown.")
    scored = desk.get_by_role("region", name=re.compile(rf"^\d+\. {re.escape(title)}$")).locator("time")
    shown = scored.get_attribute("datetime")
    edit.goto(desk.url)
    edit.get_by_role("button", name="Score again").click()
    expect(scored).not_to_have_attribute("datetime", shown or "", timeout=60_000)
    second.get_by_role("button", name=re.compile("^(Set to|Confirm) 0")).click()
    expect(second.get_by_role("alert")).to_contain_text("scored again meanwhile")
    expect(second.get_by_label("Why?")).to_have_value("Nothing of it is shown.")
    second.get_by_role("radio").nth(0).click()
    second.get_by_role("button", name=re.compile("^(Set to|Confirm) 0")).click()
    expect(second.get_by_label("Why?")).to_have_count(0)
    expect(second).to_contain_text("Nothing of it is shown.")
    # Points that a colleague has changed are shown to whoever would have overwritten them.
    second.get_by_role("radio").nth(3).click()
    second.get_by_label("Why?").fill("Some of it is.")
    edit.reload()
    theirs = criterion(edit, title, 1)
    expect(theirs).to_contain_text("Nothing of it is shown.")
    theirs.get_by_role("radio").nth(2).click()
    theirs.get_by_label("Why?").fill("Half of it.")
    theirs.get_by_role("button", name=re.compile("2$")).click()
    expect(theirs.get_by_label("Why?")).to_have_count(0)
    second.get_by_role("button", name="Set to 3").click()
    expect(second.get_by_role("alert")).to_contain_text("set these points to 2 meanwhile")
    expect(second).to_contain_text("Half of it.")
    expect(second.get_by_label("Why?")).to_have_value("Some of it is.")


def test_what_was_acknowledged_survives_a_killed_tab_and_a_killed_server(visit: Visit, site: Site) -> None:
    candidate = visit("candidate")
    page = candidate.page
    start(candidate, "Advanced inference, L5, 30 minutes")
    page.get_by_role("button", name="Start the clock").click()
    title = open_editor(page)
    write(page, f"Answer to {title}", "Before the tab was killed. ")
    saved(page)
    room = page.url
    page.close()

    page = candidate.page = candidate.context.new_page()
    page.goto(room)
    editor = page.get_by_role("textbox", name=f"Answer to {title}")
    expect(editor).to_contain_text("Before the tab was killed.")
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("Before the server was killed. ")
    saved(page)
    site.kill()
    expect(page.get_by_test_id("saved")).to_contain_text("Offline", timeout=15_000)
    page.keyboard.insert_text("While it was away. ")
    site.start()
    expect(page.get_by_test_id("saved")).to_contain_text("Saved", timeout=30_000)

    # Another browser has nothing of this one's storage: what it shows, the server has.
    other = visit("candidate")
    other.page.goto(room)
    expect(other.page.get_by_role("textbox", name=f"Answer to {title}")).to_have_text(
        "Before the tab was killed. Before the server was killed. While it was away. "
    )


def test_two_tabs_and_a_lost_line(visit: Visit, site: Site) -> None:
    one, two = visit("candidate"), visit("candidate")
    start(one, "Advanced inference, L5, 30 minutes")
    one.page.get_by_role("button", name="Start the clock").click()
    title = open_editor(one.page)
    two.page.goto(one.page.url)
    write(one.page, f"Answer to {title}", "From the first. ")
    editor = two.page.get_by_role("textbox", name=f"Answer to {title}")
    expect(editor).to_contain_text("From the first.")
    two.context.set_offline(True)
    two.page.evaluate("window.dispatchEvent(new Event('offline'))")
    editor.click()
    two.page.keyboard.press("Control+End")
    two.page.keyboard.insert_text("From the second, offline. ")
    two.context.set_offline(False)
    expect(one.page.get_by_role("textbox", name=f"Answer to {title}")).to_have_text("From the first. From the second, offline. ", timeout=30_000)


def test_what_never_reached_the_server_is_shown_and_kept_until_the_candidate_deletes_it(visit: Visit) -> None:
    one, two = visit("candidate"), visit("candidate")
    cut = breakable(one, "/ws/answers/")
    start(one, "Advanced inference, L5, 30 minutes")
    page = one.page
    page.get_by_role("button", name="Start the clock").click()
    title = open_editor(page)
    write(page, f"Answer to {title}", "Stored. ")
    saved(page)
    cut(True)
    page.keyboard.insert_text("Never stored.")
    expect(page.get_by_test_id("saved")).to_contain_text("Offline")

    two.page.goto(page.url.split("#")[0])
    two.page.get_by_role("button", name="Finish", exact=True).click()
    two.page.get_by_role("button", name="Finish now").click()
    two.page.wait_for_url("**/report/", timeout=60_000)
    expect(two.page.locator(".answer").get_by_text("Stored.")).to_have_text("Stored. ")
    cut(False)
    notice = page.get_by_role("alert").filter(has_text="does not count")
    expect(notice).to_contain_text(title, timeout=30_000)
    page.reload()
    expect(notice).to_contain_text(title, timeout=30_000)
    expect(page.get_by_role("textbox", name=f"Answer to {title}")).to_have_text("Stored. Never stored.")
    one.look("room-unstored")
    page.get_by_role("button", name="Delete it from this browser").click()
    page.wait_for_url("**/report/")
    assert page.evaluate("indexedDB.databases().then(all => all.length)") == 0


def without_board(page: Page, rest: Callable[[], None]) -> None:
    """Loads the page while the board's script can't be had: the rest is there, and the board comes with the script."""
    page.route("**/assets/Board-*.js", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The drawing can't be shown", timeout=30_000)
    rest()
    page.unroute("**/assets/Board-*.js")
    page.get_by_role("button", name="Load the page again").click()
    page.locator(".board canvas").first.wait_for(timeout=30_000)


def reported(page: Page, change: Callable[[dict], None]) -> None:
    """Loads the report anew, with a change to what the server says."""

    def answer(route: Route) -> None:
        with suppress(Error):  # the page asks more than once, and may have been left before its answer came
            response = route.fetch()
            report = response.json()
            change(report)
            route.fulfill(response=response, json=report)

    page.unroute("**/api/**/report/")
    page.route("**/api/**/report/", answer)
    page.reload()


def choose(visitor: Visitor, minutes: int, topic: str) -> None:
    """Sets up an interview on one topic, by the form."""
    page = visitor.page
    page.goto(visitor.site.url)
    page.get_by_text("Or choose level").click()
    page.get_by_label("Minutes").fill(str(minutes))
    page.get_by_label(topic, exact=True).check()
    page.get_by_role("button", name="Set up", exact=True).click()
    page.get_by_role("button", name="Start the clock").wait_for()


def test_the_lobby_says_when_there_is_little_to_ask(visit: Visit) -> None:
    candidate = visit("candidate")
    few = candidate.page.get_by_text("On these topics the bank has questions for")
    choose(candidate, 60, "training")
    expect(few).to_contain_text("10 of the 60 minutes")
    choose(candidate, 10, "training")
    expect(few).to_have_count(0)


def test_an_interview_that_is_not_wanted_is_discarded_from_its_lobby(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    choose(candidate, 10, "training")
    page.get_by_role("link", name="Discard this interview").press("Enter")
    expect(page.get_by_role("heading", name="Discard this interview?")).to_be_visible()
    candidate.look("discard")
    listed = page.locator(f"a[href='{urlsplit(page.url).path}']")
    page.get_by_role("link", name="Keep it").press("Enter")
    listed.press("Enter")
    page.get_by_role("button", name="Discard").press("Enter")
    expect(page.get_by_role("status")).to_have_text("“training, L6, 10 minutes” is discarded.")
    expect(listed).to_have_count(0)


def test_a_drawing_is_made_kept_and_marked(visit: Visit, site: Site) -> None:
    candidate = visit("candidate")
    page = candidate.page
    choose(candidate, 20, "engine-architecture")
    page.get_by_role("button", name="Start the clock").click()
    board = page.locator(".board canvas.interactive")
    board.wait_for(timeout=30_000)
    # The board is no trap for who comes by keyboard: Tab leads through it to the text, which counts as much.
    tab_to(page, "Answer to", limit=80)
    page.evaluate("scrollTo(0, 0)")
    place = board.bounding_box()
    assert place is not None
    # What looks for words of the drawing has no door to a library of others, which lies on another host.
    page.mouse.click(place["x"] + 320, place["y"] + 360)
    page.keyboard.press("Control+f")
    expect(page.get_by_placeholder("Find text on canvas")).to_be_visible()
    expect(page.locator(".board").get_by_role("tab")).to_have_count(0)
    expect(page.get_by_label("Library")).to_be_hidden()
    page.locator(".board").get_by_role("button", name="Close").click()
    # Two boxes with their names, side by side, and an arrow from one to the other.
    for name, x in (("Waiting queue", 150), ("Scheduler", 450)):
        page.mouse.click(place["x"] + 320, place["y"] + 360)
        page.keyboard.press("r")
        page.mouse.move(place["x"] + x, place["y"] + 150)
        page.mouse.down()
        page.mouse.move(place["x"] + x + 170, place["y"] + 250, steps=5)
        page.mouse.up()
        page.keyboard.press("Enter")
        page.keyboard.insert_text(name)
        page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.mouse.move(place["x"] + 325, place["y"] + 200)
    page.mouse.down()
    page.mouse.move(place["x"] + 445, place["y"] + 200, steps=8)
    page.mouse.up()
    write(page, "Answer to A serving engine on one page", "Scheduler -> Model runner: batch")
    page.wait_for_timeout(400)
    saved(page)
    candidate.look("room-whiteboard")
    without_board(page, lambda: expect(page.get_by_role("textbox", name="Answer to")).to_have_text("Scheduler -> Model runner: batch"))
    page.get_by_role("button", name="Finish", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Every question has an answer.")
    page.get_by_role("button", name="Finish now").click()
    page.wait_for_url("**/report/", timeout=60_000)
    page.locator(".board canvas").first.wait_for(timeout=30_000)
    question = page.get_by_role("heading", name="A serving engine on one page", level=2).get_attribute("id").removeprefix("q-")
    criteria = {item.get_attribute("id").removeprefix(f"criterion-{question}-"): item.inner_text() for item in page.locator(".criterion").all()}
    # The drawn arrow earns a point, and so does the one that was written.
    assert {id: "1 of 4 things shown" in text for id, text in criteria.items() if id in ("way-in", "token-loop", "reuse")} == {
        "way-in": True, "token-loop": True, "reuse": False
    }  # fmt: skip
    candidate.look("report-whiteboard")
    without_board(page, lambda: expect(page.locator(".criterion").first).to_be_visible())
    without_board(page, lambda: expect(page.locator("#report .answer").first).to_have_text("Waiting queue\nScheduler"))
    # What no board has drawn: the server lets none of it through, and the page could not be told to show it either.
    page_in_page = {"id": "p", "type": "iframe", "customData": {"generationData": {"status": "done", "html": "<h2>Sign in again</h2>"}}}
    elements = [{"width": 300, "height": 200, **page_in_page}, {"id": "f", "type": "frame", "width": 300, "height": 200, "name": {"a": 1}}]
    reported(page, lambda report: report["questions"][0]["answer"].update(scene=json.dumps({"elements": elements})))
    page.locator(".board canvas").first.wait_for(timeout=30_000)
    assert page.locator(".board iframe").count() == 0
    # A drawing of any size is in sight as a whole, and the page scrolls on over it.
    far = [{"id": str(x), "type": "rectangle", "x": x, "y": 0, "width": 100, "height": 50, "version": 1} for x in (0, 5000)]
    reported(page, lambda report: report["questions"][0]["answer"].update(scene=json.dumps({"elements": far})))
    board = page.locator(".board")
    expect(board.locator(".reset-zoom-button")).to_have_text(re.compile(r"^1\d%$"), timeout=30_000)
    board.hover()
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 200)
    until(page, "before => scrollY > before", before)
    reported(page, lambda report: report.update(questions=[None]))
    expect(page.get_by_role("alert")).to_contain_text("This page can't be shown")
    page.unroute("**/api/**/report/")
    page.get_by_role("button", name="Load the page again").click()
    page.locator(".board canvas").first.wait_for(timeout=30_000)


def test_the_room_by_keyboard_alone(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    start(candidate, "Advanced inference, L5, 30 minutes")
    tab_to(page, "Start the clock")
    page.keyboard.press("Enter")
    page.locator(".questions").wait_for()
    # The round comes first: its fields one after the other, each left with Enter, and the next question after them.
    fields = page.locator("main").get_by_role("textbox")
    tab_to(page, "1. Quick fire")
    tab_to(page, fields.first.evaluate("field => field.labels[0].innerText.trim()"))
    for index in range(fields.count()):
        expect(fields.nth(index)).to_be_focused()
        page.keyboard.type(f"{index}")
        page.keyboard.press("Enter")
    saved(page)
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "2. ")
    page.keyboard.press("Enter")
    tab_to(page, "Answer to")
    page.keyboard.type("Typed without a mouse.")
    saved(page)
    page.keyboard.press("Shift+Tab")
    tab_to(page, "Answer to")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Finish")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_screenshots_were_left() -> None:
    from tests.e2e.conftest import SHOTS

    assert isinstance(SHOTS, Path)
    assert {"report-1280-light.png", "room-code-390-dark.png", "desk-1280-dark.png"} <= {path.name for path in SHOTS.iterdir()}
