"""The page of `s2m2 serve` in a real browser: drop, see, correct, add a class, undo, restart; and no request to another host."""

import os
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from s2m2.commands.serving import listen
from s2m2.recognition.serving.access import access_for
from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.server import Server
from tests.recognition.serving_models import IMAGES, photo, shared_colors, small_limits

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect  # noqa: E402

DROP = """(zone, files) => {
  const transfer = new DataTransfer();
  for (const { name, type, content } of files) {
    transfer.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name, { type }));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""
PASTE = """(zone, { name, type, content }) => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name, { type }));
  zone.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window; at the end, every request must have gone to the server, and no script may have failed."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(20_000)
    hosts: set[str | None] = set()
    errors: list[str] = []
    context.on("request", lambda request: hosts.add(urlsplit(request.url.removeprefix("blob:")).hostname))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert hosts == {"127.0.0.1"}
    assert not errors


@contextmanager
def served(folder: Path, port: int = 0, token: str | None = None) -> Iterator[str]:
    """The address of a server of a folder."""
    with listen("127.0.0.1", port) as listening:
        port = listening.getsockname()[1]
        app = create_app(shared_colors(folder), access_for("127.0.0.1", port, token), small_limits())
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.should_exit = True
            thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dropped(content: bytes, name: str = "a photo.png") -> dict[str, str]:
    return {"name": name, "type": "image/png", "content": b64encode(content).decode()}


def opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", name="colors")).to_be_visible()
    expect(class_line(page, "Red")).to_be_visible()
    return page


def card(page: Page, number: int = 0) -> Locator:
    return page.locator("#results > li").nth(number)


def class_line(page: Page, name: str) -> Locator:
    return page.locator("#classes > li").filter(has=page.get_by_text(name, exact=True))


def test_drop_correct_add_undo_restart(context: BrowserContext, folder: Path) -> None:
    port = free_port()
    with served(folder, port) as address:
        page = opened(context, address)
        page.locator("#drop").evaluate(DROP, [dropped(photo("Red", 50)), dropped(photo("White", 51), "white.png")])
        expect(page.get_by_role("status")).to_contain_text("2 photos named.")
        expect(card(page).locator(".bars .label").first).to_have_text("Red")
        expect(card(page)).to_contain_text("a photo.png")
        white = card(page, 1)
        white.get_by_role("button", name="Correct").or_(white.get_by_role("button", name="Give it a name")).click()
        white.get_by_label("What is it?").fill("Snow")
        expect(white.locator(".hint")).to_have_text("A new class: one photo is enough to begin with.")
        white.get_by_role("button", name="Save").click()
        expect(white.locator(".tag")).to_contain_text("learned")
        expect(white.locator(".bars .label").first).to_have_text("Snow")
        expect(class_line(page, "Snow")).to_contain_text("1 image")
        expect(page.locator("#change")).to_contain_text("added 1 photo of Snow")
    with served(folder, port) as address:
        page = opened(context, address)
        expect(class_line(page, "Snow")).to_contain_text("1 image")
        expect(class_line(page, "Snow").locator("img")).to_have_js_property("naturalWidth", 24)
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("status")).to_contain_text("Taken back: added 1 photo of Snow.")
        expect(class_line(page, "Snow")).to_have_count(0)
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()


def test_correcting_with_the_keyboard_alone(context: BrowserContext, folder: Path) -> None:
    with served(folder) as address:
        page = opened(context, address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Download model")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#files")).to_be_focused()
        page.locator("body").evaluate(PASTE, dropped(photo("Red", 60)))
        expect(page.get_by_role("status")).to_contain_text("1 photo named.")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(card(page).get_by_label("What is it?")).to_be_focused()
        page.keyboard.press("Escape")
        expect(card(page).locator(".actions button").first).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type("Blue")
        expect(card(page).locator(".hint")).to_have_text(f"A class with {IMAGES} images.")
        page.keyboard.press("Enter")
        expect(class_line(page, "Blue")).to_contain_text(f"{IMAGES + 1} images")
        expect(card(page).locator(".actions button").first).to_be_focused()


def test_classes_are_renamed_removed_and_brought_back(context: BrowserContext, folder: Path) -> None:
    markup = "<img src=x onerror=alert(1)>"
    with served(folder) as address:
        page = opened(context, address)
        page.get_by_role("button", name="Rename Red").click()
        page.get_by_label("New name of Red").fill("Blue")
        expect(page.locator("#classes .hint")).to_have_text("Both classes become one, Blue.")
        page.get_by_label("New name of Red").fill(markup)
        page.keyboard.press("Enter")
        expect(class_line(page, markup)).to_contain_text(f"{IMAGES} images")
        page.get_by_role("button", name=f"Remove {markup}").click()
        expect(class_line(page, markup)).to_have_count(0)
        page.get_by_role("button", name="Remove Blue").click()
        expect(page.get_by_role("alert")).to_contain_text("Blue cannot be removed: two classes are needed at least")
        page.get_by_role("button", name="Undo").click()
        expect(class_line(page, markup)).to_have_count(1)


def test_undo_takes_back_only_what_the_page_shows(context: BrowserContext, folder: Path) -> None:
    with served(folder) as address:
        page = opened(context, address)
        page.get_by_role("button", name="Remove Red").click()
        expect(page.locator("#change")).to_contain_text("Red")
        renamed = Request(f"{address}classes/rename", b'{"label": "Blue", "name": "Azure"}', {"Content-Type": "application/json"})
        urlopen(renamed).close()  # someone else
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("alert")).to_contain_text("the model has changed: it has version 2, not 1; look at it again")
        expect(class_line(page, "Azure")).to_have_count(1)
        page.get_by_role("button", name="Undo").click()
        expect(class_line(page, "Blue")).to_have_count(1)


def test_files_that_are_no_photos_are_said_and_the_model_is_downloaded(context: BrowserContext, folder: Path) -> None:
    with served(folder) as address:
        page = opened(context, address)
        large = {"name": "large.png", "mimeType": "image/png", "buffer": bytes(500_000)}
        page.locator("#files").set_input_files([{"name": "notes.png", "mimeType": "image/png", "buffer": b"hello"}, large])
        expect(page.get_by_role("status")).to_contain_text("0 photos named, 2 not.")
        expect(card(page)).to_contain_text("Not named: it is no JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")
        expect(card(page, 1)).to_contain_text("Not named: larger than 0.4 MB")
        page.get_by_role("button", name="Take notes.png off the list").click()
        expect(page.locator("#results > li")).to_have_count(1)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download model").click()
        assert download.value.suggested_filename == "colors.zip"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1400])
def test_nothing_is_cut_off_and_texts_have_contrast(context: BrowserContext, saved_colors: Path, width: int, scheme: str) -> None:
    with served(saved_colors) as address:
        page = opened(context, address)
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        page.locator("#drop").evaluate(DROP, [dropped(photo("Red", 1), "x" * 90 + ".png"), dropped(b"no", "no.png")])
        expect(page.get_by_role("status")).to_contain_text("1 photo named, 1 not.")
        card(page).locator(".actions button").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        worst, text = page.evaluate(CONTRAST)
        assert worst >= 4.5, text


CONTRAST = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parse(color).slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, channel) => sum + value * [0.2126, 0.7152, 0.0722][channel], 0);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] > 0) return getComputedStyle(one).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  let worst = [21, ""];
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!text || !node.checkVisibility() || node.closest("template, script, noscript, datalist")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, `${node.className}: ${node.textContent.trim()}`];
  }
  return worst;
}"""
"""The least contrast of a text with what is behind it, and the text."""


def test_the_token_of_the_printed_address_opens_the_page(context: BrowserContext, saved_colors: Path) -> None:
    token = "a-token-of-24-characters"
    with served(saved_colors, token=token) as address:
        page = context.new_page()
        refused = page.goto(address)
        assert refused is not None
        assert refused.status == 401
        page.goto(f"{address}?token={token}")
        expect(class_line(page, "Red")).to_be_visible()
        assert token not in page.url
