"""The pages as those meet them who use no mouse, see no colours, want no motion, or are on a line that is slow or filtered."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Site, Visitor, breakable, until
from tests.e2e.test_interview import open_editor, saved, start
from tests.e2e.test_room import begun

pytestmark = pytest.mark.e2e
Visit = Callable[..., Visitor]


def asked_for(page: Page, part: str) -> list[str]:
    """The addresses with this in them that the page asks for from now on."""
    found: list[str] = []
    page.on("request", lambda request: found.append(request.url) if part in request.url else None)
    return found


def test_a_formula_is_drawn_and_where_there_is_none_nothing_is_loaded_for_it(visit: Visit, site: Site) -> None:
    page = visit("interviewer").page
    loaded = asked_for(page, "/katex")
    page.goto(f"{site.url}/bank/advanced-inference/multi-turn-conversations/")
    page.wait_for_load_state("networkidle")
    assert (page.locator(".math").count(), loaded) == (0, [])
    page.goto(f"{site.url}/bank/advanced-inference/prefix-caching/")
    expect(page.locator(".katex").first).to_be_visible()
    assert loaded


def test_what_scrolls_on_a_narrow_page_is_reached_by_keyboard(visit: Visit, site: Site) -> None:
    visitor = visit("interviewer")
    page = visitor.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/bank/advanced-inference/batched-beam-search/")
    for part in page.locator("details").all():
        part.evaluate("part => (part.open = true)")
    assert page.locator("pre").evaluate_all("all => all.length > 0 && all.every(one => one.tabIndex === 0)")
    visitor.check_with_axe("a question, unfolded")


def test_a_page_is_drawn_in_the_chosen_colours_from_its_first_moment(visit: Visit, site: Site) -> None:
    page = visit().page
    page.goto(site.url)
    page.evaluate("localStorage.setItem('roofline-theme', 'dark')")
    page.add_init_script(
        "new MutationObserver(() => (window.chosen ??= performance.now())).observe(document, { subtree: true, attributeFilter: ['data-theme'] })"
    )

    def late(route: Route) -> None:
        time.sleep(1)  # the style sheet is there long before
        route.continue_()

    page.route("**/assets/site-*.js", late)
    page.reload()
    until(page, "window.chosen && performance.getEntriesByName('first-paint').length")
    assert page.evaluate("window.chosen < performance.getEntriesByName('first-paint')[0].startTime")


def test_the_button_for_the_colours_follows_the_system(visit: Visit, site: Site) -> None:
    page = visit().page
    page.goto(site.url)
    for scheme, other in (("light", "dark"), ("dark", "light")):
        page.emulate_media(color_scheme=scheme)
        expect(page.get_by_role("button", name=f"Use {other} colours")).to_be_visible()


def test_nothing_moves_where_motion_is_not_wanted(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    page.emulate_media(reduced_motion="reduce")
    begun(candidate)
    page.get_by_role("textbox", name="Answer to").click()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<span class=spinner></span>')")
    page.wait_for_timeout(300)
    assert page.evaluate("document.getAnimations().map(one => one.animationName)") == []


def test_who_has_no_line_is_told_before_the_start_and_in_the_room(visit: Visit) -> None:
    candidate = visit("candidate")
    page = candidate.page
    cut = breakable(candidate, "/ws/")
    cut(True)
    start(candidate, "Advanced inference, L5, 30 minutes")
    none = page.get_by_role("status").filter(has_text="no line to the server")
    expect(none).to_contain_text("Don't start", timeout=10_000)
    cut(False)
    expect(none).to_have_count(0, timeout=15_000)
    page.get_by_role("button", name="Start the clock").click()
    title = open_editor(page)
    page.get_by_role("textbox", name=f"Answer to {title}").click()
    page.keyboard.insert_text("Kept here.")
    saved(page)
    cut(True)
    gone = page.get_by_text("The line to the server is gone")
    expect(gone).to_be_visible(timeout=15_000)
    cut(False)
    expect(gone).to_have_count(0, timeout=15_000)
    expect(page.get_by_role("status").filter(has_text="The line to the server is back.")).to_have_count(1)
    saved(page)


def test_a_room_and_a_report_are_loaded_once(visit: Visit, site: Site) -> None:
    candidate = visit("candidate")
    page = candidate.page
    begun(candidate)
    room = page.url.split("#")[0]
    loads = asked_for(page, "/api/interviews/")
    page.goto(site.url)
    page.goto(room)
    saved(page)
    page.wait_for_timeout(500)
    assert len(loads) == 1
    page.get_by_role("button", name="Finish", exact=True).click()
    page.get_by_role("button", name="Finish now").click()
    page.wait_for_url("**/report/", timeout=120_000)
    page.get_by_text(re.compile("points are|No answer")).first.wait_for()
    page.wait_for_timeout(3_000)
    report = page.url
    page.goto(site.url)
    loads.clear()
    page.goto(report)
    page.locator("h1").wait_for()
    page.wait_for_timeout(1_000)
    assert len(loads) == 1


def test_a_long_name_leaves_room_for_the_rest(visit: Visit, site: Site) -> None:
    page = visit().page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/accounts/signup/")
    page.get_by_label("Email").fill(f"{'w' * 60}@example.test")
    for field in page.locator("input[type=password]").all():
        field.fill("a long pass phrase")
    page.get_by_role("button", name="Create the account").click()
    page.wait_for_url(f"{site.url}/")
    expect(page.get_by_text("w" * 60).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keys_of_the_desk_can_be_turned_off(visit: Visit, site: Site) -> None:
    candidate = visit("candidate")
    page = candidate.page
    begun(candidate)
    page.get_by_role("button", name="Finish", exact=True).click()
    page.get_by_role("button", name="Finish now").click()
    page.wait_for_url("**/report/", timeout=120_000)
    desk = visit("interviewer").page
    desk.goto(page.url.replace("/interviews/", "/review/").replace("/report/", "/"))
    desk.locator(".criterion input").first.wait_for(timeout=60_000)
    focused = "document.activeElement.closest('.criterion') !== null"
    keys = desk.get_by_role("checkbox", name="Keys")
    keys.uncheck()
    keys.blur()
    desk.keyboard.press("j")
    assert not desk.evaluate(focused)
    desk.reload()
    expect(keys).not_to_be_checked()
    keys.check()
    keys.blur()
    desk.keyboard.press("j")
    assert desk.evaluate(focused)
