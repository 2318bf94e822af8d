"""A real server, as `make run` starts it, and a real browser."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "test-results"
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
CHROMIUM = "/usr/bin/chromium"
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
# The server makes its own database and Redis: what the test plugin set up for Django must not leak into it.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "ROOFLINE_STATE", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")


@dataclass
class Site:
    """The running site, the demo people's passwords, and the means to kill and start it."""

    url: str
    state: Path
    port: int
    process: subprocess.Popen[str]
    people: dict[str, tuple[str, str]]
    log: Path

    def start(self) -> None:
        env = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        env |= {"ROOFLINE_STATE": str(self.state), "PORT": str(self.port), "SANDBOX_POOL": "1", "OMP_NUM_THREADS": "1"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"], cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.3)
        pytest.fail(f"the site did not come up: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    port = _free_port()
    site = Site(f"http://127.0.0.1:{port}", folder / "state", port, None, {}, folder / "log")  # type: ignore[arg-type]
    site.start()
    deadline = time.monotonic() + 30
    while len(site.people) < 3 and time.monotonic() < deadline:
        found = re.findall(r"^\s+(candidate|interviewer|admin)\s+(\S+@\S+)\s+(\S+)$", site.log.read_text(), re.MULTILINE)
        site.people = {role: (email, password) for role, email, password in found}
        time.sleep(0.2)
    assert len(site.people) == 3, site.log.read_text()
    yield site
    site.process.terminate()
    site.process.wait(30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "Chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


def until(page: Page, expression: str, argument: object = None) -> None:
    """Waits for an expression to hold on a page.

    Playwright's own `wait_for_function` looks a second time from inside the page, where the page's policy forbids to evaluate a string.
    """
    deadline = time.monotonic() + 30
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"never came to hold: {expression}"
        page.wait_for_timeout(50)


def tab_to(page: Page, what: str, limit: int = 60) -> None:
    """Presses Tab until what has the focus begins with this."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(({ labels, innerText, ariaLabel }) => (ariaLabel || labels?.[0]?.innerText || innerText || '').trim())(document.activeElement)"
        )
        if name.startswith(what):  # the whole page begins with something else
            return
    pytest.fail(f"Tab never reached {what!r}")


class Visitor:
    """Somebody at a browser, who notices errors in the console and pages that axe objects to."""

    def __init__(self, site: Site, context: BrowserContext) -> None:
        self.site, self.context = site, context
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._check_host)

    def _check_host(self, request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((self.site.url, "data:", "blob:", self.site.url.replace("http", "ws"))):
            self.errors.append(f"a page called another host: {url}")

    def sign_in(self, role: str) -> None:
        email, password = self.site.people[role]
        self.page.goto(f"{self.site.url}/accounts/login/")
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.site.url}/")

    def look(self, name: str) -> None:
        """Takes screenshots, light and dark, wide and narrow, and lets axe judge the page."""
        SHOTS.mkdir(exist_ok=True)
        page = self.page
        size = page.viewport_size
        page.evaluate("scrollTo(0, 0)")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 900})
                page.wait_for_timeout(120)
                page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=width == 1280)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} px wide at {width}"
            page.set_viewport_size({"width": 1280, "height": 900})
            self.check_with_axe(f"{name} ({scheme})")
        page.emulate_media(color_scheme="light")
        if size:
            page.set_viewport_size(size)

    def check_with_axe(self, name: str) -> None:
        self.page.evaluate(AXE.read_text())
        result = self.page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
        found = [(item["id"], item["nodes"][0]["html"][:160], item["nodes"][0].get("failureSummary", "")[:300]) for item in result["violations"]]
        assert not found, f"{name}: {found}"


def breakable(visitor: Visitor, path: str) -> Callable[[bool], None]:
    """What cuts the lines of this visitor's pages that `path` names, or lets the pages have them again."""
    lines: list[WebSocketRoute] = []
    broken = False

    def pass_on(line: WebSocketRoute) -> None:
        if broken:
            line.close()
        else:
            line.connect_to_server()
            lines.append(line)

    def cut(now: bool) -> None:
        nonlocal broken
        broken = now
        while now and lines:
            lines.pop().close()

    visitor.context.route_web_socket(re.compile(path), pass_on)
    return cut


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[object]:
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def visit(role: str | None = None) -> Visitor:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        visitor = Visitor(site, context)
        visitors.append(visitor)
        if role:
            visitor.sign_in(role)
        return visitor

    yield visit
    for context in contexts:
        context.close()
    assert [error for visitor in visitors for error in visitor.errors] == []
