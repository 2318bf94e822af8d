"""An admin takes a pack out of the site, works on it and puts it back, without a mouse. What is new stays on hold: the other tests' interviews would ask it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from interviews.bank.archive import pack_up, unpack
from tests.e2e.conftest import Site, Visitor, tab_to

pytestmark = pytest.mark.e2e
PROMPT = "sizes-and-limits/prompt.md"


def send(page: Page, files: dict[str, str]) -> None:
    page.get_by_label("Zip file of a pack").set_input_files([{"name": "rounds.zip", "mimeType": "application/zip", "buffer": pack_up("quick-fire", files)}])
    page.get_by_label("Zip file of a pack").focus()
    tab_to(page, "Look at it", 3)
    page.keyboard.press("Enter")


def test_a_pack_is_downloaded_changed_and_uploaded(visit: Callable[..., Visitor], site: Site) -> None:
    admin = visit("admin")
    page = admin.page
    page.goto(f"{site.url}/bank/")
    with page.expect_download() as download:
        page.locator("a[href='/bank/quick-fire.zip']").focus()
        page.keyboard.press("Enter")
    files = unpack(Path(download.value.path()).read_bytes())
    uuid = next(line for line in files["sizes-and-limits/question.yaml"].splitlines() if line.startswith("uuid"))
    another = {path.replace("sizes-and-limits", "another-round"): text for path, text in files.items() if path.startswith("sizes-and-limits/")}
    another = {path: text.replace(uuid, "uuid: 00000000-0000-4000-8000-0000000000e2") for path, text in another.items()}
    changed = files | another | {PROMPT: f"{files[PROMPT]}\nRead twice, answer once.\n"}

    tab_to(page, "Upload a pack")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Upload a pack", level=1)).to_be_visible()
    admin.look("upload")
    send(page, changed | {PROMPT: " ", "another-round/rubric.yaml": "bands: {}\n"})
    expect(page.get_by_role("alert")).to_contain_text(f"{PROMPT}, line 1: the prompt is empty")
    admin.look("upload-faults")

    send(page, changed)
    expect(page.get_by_role("heading", name="Take “Quick-fire rounds”?")).to_be_visible()
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("+Read twice, answer once.")).to_be_visible()
    admin.look("upload-look")
    tab_to(page, "Throw the file away", 8)
    page.keyboard.press("Enter")
    expect(page.get_by_text("rounds.zip was thrown away. Nothing has changed.")).to_be_visible()

    send(page, files | another)
    expect(page.get_by_role("heading", name="Take “Quick-fire rounds”?")).to_be_visible()
    tab_to(page, "Have the new question asked at once")
    tab_to(page, "Take it", 2)
    page.keyboard.press("Enter")
    expect(page.get_by_text("is taken: 1 new, 0 changed, 5 as before. What is new is on hold until you have it asked.")).to_be_visible()
    page.locator("a[href='/bank/quick-fire/another-round/']").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("no new interview asks this question")).to_be_visible()
