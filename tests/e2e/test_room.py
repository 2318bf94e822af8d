"""The room when a line, a doorbell or the time fails it."""

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.e2e.conftest import Site, Visitor, breakable
from tests.e2e.test_interview import open_editor, open_question, saved, start

pytestmark = pytest.mark.e2e
Visit = Callable[..., Visitor]


def begun(visitor: Visitor, title: str = "Advanced inference, L5, 30 minutes") -> str:
    """Starts an interview, goes to its first question with an editor and returns that one's title."""
    start(visitor, title)
    visitor.page.get_by_role("button", name="Start the clock").click()
    return open_editor(visitor.page)


def open_code(page: Page) -> None:
    """Goes to the question that asks for code."""
    index = 0
    while not page.get_by_role("region", name="Runs").count():
        index += 1
        open_question(page, index)
        page.wait_for_timeout(200)


def set_deadline(site: Site, page: Page, seconds: float) -> datetime:
    """The time of the interview on this page ends so many seconds from now, and the page asks for it. Returns when that is."""
    interview = page.url.split("/interviews/")[1].split("/")[0].replace("-", "")
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    with closing(sqlite3.connect(site.state / "roofline.sqlite3", timeout=20)) as database, database:
        database.execute("update live_interview set deadline = ? where id = ?", (deadline.strftime("%Y-%m-%d %H:%M:%S.%f"), interview))
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    return deadline


# The page itself notes what it shows, for nobody can look at it in the moment in which it gives way to the report.
NOTE = """label => setInterval(() => {
    const text = document.querySelector(`[aria-label="${label}"]`)?.innerText.trim();
    if (text && text !== sessionStorage.getItem("shown")) {
        sessionStorage.setItem("shown", text);
        sessionStorage.setItem("changed", Date.now());
    }
}, 20)"""


def test_who_types_until_the_last_moment_loses_nothing_that_is_shown(visit: Visit, site: Site) -> None:
    candidate = visit("candidate")
    page = candidate.page
    title = begun(candidate)
    editor = page.get_by_role("textbox", name=f"Answer to {title}")
    editor.click()
    deadline = set_deadline(site, page, 6)
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^00:0\d$"))
    page.evaluate(NOTE, f"Answer to {title}")
    words, until = 0, time.monotonic() + 10
    while "/report/" not in page.url and time.monotonic() < until:
        page.keyboard.insert_text(f"w{words} ")
        words += 1
        page.wait_for_timeout(40)
    # On a busy machine the last word may arrive too late. Then the room stays, says so, and still shows it; but none is taken after the end.
    report, late = page.locator(".answer").first, page.get_by_role("alert").filter(has_text="does not count")
    expect(report.or_(late)).to_be_visible(timeout=30_000)
    shown, changed = page.evaluate("[sessionStorage.getItem('shown'), Number(sessionStorage.getItem('changed')) / 1000]")
    assert len(shown.split()) > 20
    assert changed < deadline.timestamp() + 0.5
    expect(editor if late.is_visible() else report).to_contain_text(shown)


def test_an_alert_about_the_line_goes_when_the_line_is_back(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    cut = breakable(candidate, "/ws/interviews/")
    begun(candidate)
    saved(page)
    page.route("**/api/interviews/**", lambda route: route.abort())
    cut(True)
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("alert")).to_have_count(1)
    cut(False)
    page.unroute("**/api/interviews/**")
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_a_question_that_nobody_opens_lacks_is_sent(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    cut = breakable(candidate, "/ws/answers/")

    def as_if_run(route: Route) -> None:
        answer = route.fetch()
        state = answer.json()
        for question in state["questions"][1:]:
            question["runs"] = [{"id": question["id"], "question_id": question["id"], "kind": "public", "state": "D", "verdict": "WA", "tests": []}]
        route.fulfill(response=answer, json=state)

    begun(candidate)
    title = open_question(page, 1)
    saved(page)
    cut(True)
    page.get_by_role("textbox", name=f"Answer to {title}").click()
    page.keyboard.insert_text("Written without a line.")
    expect(page.get_by_test_id("saved")).to_contain_text("Offline")
    page.wait_for_timeout(1_000)  # for the copy on this device
    # A question that has a verdict shows that, and not whether anything is written for it.
    page.route(re.compile("/api/interviews/[^/]+/$"), as_if_run)
    cut(False)
    page.goto(page.url.replace("#q2", "#q1"))
    page.reload()
    expect(page.locator(".questions button").nth(1)).to_contain_text("WA")
    other = visit("candidate")
    other.page.goto(page.url.replace("#q1", "#q2"))
    expect(other.page.get_by_role("textbox", name=f"Answer to {title}")).to_have_text("Written without a line.", timeout=15_000)


def test_that_a_run_waits_for_the_line_is_said_as_long_as_it_does(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    cut = breakable(candidate, "/ws/answers/")
    begun(candidate, "Advanced inference, L6, 60 minutes")
    open_code(page)
    saved(page)
    cut(True)
    page.get_by_role("button", name="Run", exact=True).click()
    waits = page.get_by_role("alert").filter(has_text="not saved yet")
    expect(waits).to_have_count(1, timeout=15_000)
    cut(False)
    saved(page)
    expect(waits).to_have_count(0)


def test_a_room_hears_of_the_judge_that_is_there_again(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    sandbox = {"ok": False, "reason": "Code can't be run at the moment."}

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "sandbox": sandbox})

    begun(candidate, "Advanced inference, L6, 60 minutes")
    page.route(re.compile("/api/interviews/[^/]+/$"), answer)
    page.reload()
    page.locator(".questions").wait_for()
    open_code(page)
    absent = page.get_by_text("Code can't be run at the moment")
    expect(absent).to_have_count(1)
    sandbox = {"ok": True, "reason": ""}
    expect(absent).to_have_count(0, timeout=20_000)


def test_a_network_that_goes_away_is_told_at_once(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    title = begun(candidate)
    saved(page)
    candidate.context.set_offline(True)
    page.get_by_role("textbox", name=f"Answer to {title}").click()
    page.keyboard.insert_text("Nobody hears this yet.")
    expect(page.get_by_test_id("saved")).to_contain_text("Offline", timeout=3_000)
    candidate.context.set_offline(False)
    saved(page)


@pytest.mark.parametrize("first", ["the doorbell", "the failure"])
def test_a_start_whose_answer_got_lost_leaves_no_alert(visit: Visit, first: str) -> None:
    candidate = visit("candidate")
    page = candidate.page
    held: list[Callable[[], None]] = []
    holding = first == "the failure"

    def hold(line: WebSocketRoute) -> None:
        server = line.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if holding and '"type": "seq"' in str(message):
                held.append(lambda: line.send(message))
            else:
                line.send(message)

        server.on_message(pass_on)

    def lose(route: Route) -> None:
        route.fetch()
        if not holding:
            expect(page.get_by_role("timer")).to_be_visible()
        route.abort()

    candidate.context.route_web_socket(re.compile("/ws/interviews/"), hold)
    page.route("**/api/interviews/*/start/", lose)
    start(candidate, "Advanced inference, L5, 30 minutes")
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Start the clock").click()
    if holding:
        expect(page.get_by_role("alert")).to_have_count(1)
        holding = False
        for ring in held:
            ring()
    expect(page.get_by_role("timer")).to_be_visible()
    page.wait_for_timeout(500)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_run_for_which_nothing_rang_is_seen_within_the_minute(visit: Visit) -> None:
    one, two = visit("candidate"), visit("candidate")

    def silence(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        server.on_message(lambda message: None if '"type": "seq"' in str(message) else line.send(message))

    one.context.route_web_socket(re.compile("/ws/interviews/"), silence)
    one.page.clock.install()
    begun(one, "Advanced inference, L6, 60 minutes")
    runs = [visitor.page.get_by_role("region", name="Runs") for visitor in (one, two)]
    open_code(one.page)
    two.page.goto(one.page.url)
    two.page.get_by_role("button", name="Run", exact=True).click()
    none = "Run checks your code"
    expect(runs[1]).not_to_contain_text(none)
    one.page.wait_for_timeout(1_000)
    expect(runs[0]).to_contain_text(none)
    one.page.clock.fast_forward(61_000)
    expect(runs[0]).not_to_contain_text(none)
