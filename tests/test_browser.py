"""The built book in headless Chromium: what a reader meets, on a desk and on a telephone."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from thesislib import book_checks

playwright_api = pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 900}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(chromium: str, smoke_pages: Path) -> Iterator[str]:
    """The address of the smoke book, served on this machine only."""
    handler = functools.partial(QuietHandler, directory=str(smoke_pages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator["playwright_api.Browser"]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def names(smoke_pages: Path) -> list[str]:
    return book_checks.toc_pages(smoke_pages.parents[1] / "_toc.yml")


@pytest.fixture(scope="module")
def chapter(names: list[str], address: str) -> str:
    return next(f"{address}/{name}.html" for name in names if "/executed/" in name)


def test_every_page_opens_quietly_and_asks_nothing_of_other_hosts(browser, address, names):
    page = browser.new_page(viewport=DESK)
    messages, requests, errors = [], [], []
    page.on("console", lambda message: messages.append(message))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request))
    for name in names:
        page.goto(f"{address}/{name}.html")
        assert page.locator("article h1").first.is_visible(), name
        errors += [message.text for message in messages if message.type == "error"]
        assert errors == [], f"{name}: {errors}"
        elsewhere = [r.url for r in requests if not r.url.startswith((address, "data:"))]
        assert elsewhere == [], f"{name}: {elsewhere}"
    page.close()


def test_the_first_page_leads_to_the_book(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("article h1")
    assert page.url.endswith("book/intro.html")
    page.close()


def test_nothing_scrolls_sideways_on_a_telephone(browser, address, names):
    page = browser.new_page(viewport=PHONE)
    for name in names:
        page.goto(f"{address}/{name}.html")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{name} is {width} px wide"
    page.close()


def test_images_load_and_are_described(browser, address, names):
    page = browser.new_page(viewport=DESK)
    for name in names:
        page.goto(f"{address}/{name}.html")
        for image in page.locator("article img").all():
            image.scroll_into_view_if_needed()  # images below the fold load late
            alt, width = image.evaluate("async e => { await e.decode(); return [e.alt, e.naturalWidth]; }")
            assert len(alt) > 10 and width > 0, f"{name}: {alt!r}"
    page.close()


def test_formulas_are_set(browser, chapter):
    page = browser.new_page(viewport=DESK)
    page.goto(chapter)
    page.wait_for_selector("article mjx-container svg")
    assert not re.search(r"\\[(\[]", page.locator("article").inner_text())
    assert page.locator("article mjx-merror").count() == 0
    page.close()


def test_the_provenance_box_names_the_profile(browser, chapter):
    page = browser.new_page(viewport=DESK)
    page.goto(chapter)
    box = page.locator(".provenance").first
    assert box.is_visible()
    assert "smoke" in box.inner_text()
    assert box.bounding_box()["y"] < DESK["height"], "the box belongs on the first screen"
    page.close()


def test_the_search_finds_a_word(browser, address):
    page = browser.new_page(viewport=DESK)
    page.goto(f"{address}/search.html?q=signer")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li").count() >= 1
    page.close()


def test_the_dark_mode_is_dark(browser, chapter):
    page = browser.new_page(viewport=DESK, color_scheme="light")
    page.goto(chapter)
    shades = {}
    for _ in range(3):  # auto, light, dark, in the theme's order
        theme = page.evaluate("document.documentElement.dataset.theme")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[theme] = sum(int(v) for v in re.findall(r"\d+", colour)[:3])
        page.locator("button.theme-switch-button").first.click()
    assert set(shades) == {"light", "dark"}
    assert shades["dark"] < 150 < 600 < shades["light"]
    page.close()


def test_a_point_of_the_map_shows_its_character(browser, address, names):
    page = browser.new_page(viewport=DESK)
    (name,) = (name for name in names if name.endswith("03_learning_to_compare"))
    page.goto(f"{address}/{name}.html")
    box = page.locator(".hovered-picture")
    box.wait_for(state="attached")
    assert not box.is_visible()
    point = page.locator(".plotly-graph-div .scatterlayer .points path").nth(3)
    point.scroll_into_view_if_needed()
    place = point.bounding_box()
    page.mouse.move(place["x"] - 30, place["y"])
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2, steps=5)
    box.wait_for(state="visible")
    assert "data:image/png" in box.evaluate("box => getComputedStyle(box).backgroundImage")
    page.close()
