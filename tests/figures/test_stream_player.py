"""A stream that plays: its frames and words are in the page, and the script moves through them."""

import base64
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from thesislib.evaluation.streams import Events, signed
from thesislib.figures import stream_player
from thesislib.figures.sign_streams import NOTHING

WORDS = ("aba", "b<u")
TRUTH = signed(np.array([-1] * 4 + [0] * 16 + [-1] * 4 + [1] * 16))


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """Forty frames of one colour each."""
    shade = np.linspace(10, 240, 40).round().astype(np.uint8)
    return np.broadcast_to(shade[:, None, None, None], (40, 3, 32, 32)).copy()


@pytest.fixture(scope="module")
def made(frame) -> str:
    said = Events(np.array([0, 0]), np.array([4, 24]), np.array([20, 40]), np.array([0.9, 0.5]))
    scores = np.stack([np.linspace(0.9, 0.1, 20), np.linspace(0.1, 0.9, 20)], axis=1)
    return stream_player.player(frame, TRUTH, said, WORDS, scores, overlap=0.5, every=2)


def data_of(made: str) -> dict:
    return json.loads(re.search(r"const data = (\{.*\}), root", made)[1].replace("<\\/", "</"))


def test_the_sheet_holds_every_frame_in_its_place(made, frame):
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", made)[1]))))
    for number in (0, 15, 16, 39):
        row, column = divmod(number, stream_player.COLUMNS)
        cell = sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        assert abs(cell.mean() - frame[number].mean()) < 2


def test_the_script_is_told_what_was_signed_and_said(made):
    data = data_of(made)
    assert data["signed"] == [{"word": "aba", "begin": 4, "end": 20}, {"word": "b<u", "begin": 24, "end": 40}]
    assert [(told["word"], told["right"]) for told in data["said"]] == [("aba", True), ("aba", False)]
    assert data["guesses"][0] == [["aba", 0.9], ["b<u", 0.1]] and data["guesses"][-1][0] == ["b<u", 0.9]
    assert len(data["guesses"]) == 20 and data["frames"] == 40
    alt = html.unescape(re.search(r'aria-label="([^"]+)"', made)[1])
    assert "2 words are signed, and 1 of 2 answers are right" in alt


def test_nothing_is_asked_of_other_hosts_and_words_cannot_close_the_script(made, frame):
    assert not re.findall(r"https?://|src=", made.replace("sheet.src =", ""))
    words = ("</script>", "b")
    scores = np.zeros((40, 2))
    assert stream_player.player(frame, TRUTH, NOTHING, words, scores, overlap=0.5).count("</script>") == 1


def test_two_players_of_one_stream_have_names_of_their_own(frame):
    keys = set()
    for said in (NOTHING, TRUTH):
        page = stream_player.player(frame, TRUTH, said, WORDS, np.zeros((40, 2)), overlap=0.5)
        keys |= set(re.findall(r'id="(stream-\w+)"', page))
    assert len(keys) == 2


def test_parts_of_different_streams_are_refused(frame):
    with pytest.raises(ValueError, match="not of one stream"):
        stream_player.player(frame[:-1], TRUTH, NOTHING, WORDS, np.zeros((40, 2)), overlap=0.5)
    with pytest.raises(ValueError, match="not of one stream"):
        stream_player.player(frame, TRUTH, NOTHING, WORDS, np.zeros((39, 2)), overlap=0.5)


def test_play_slider_and_text_work_in_a_browser(made, chromium):
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page, errors = browser.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(f"<!doctype html><body>{made}</body>")
        slider, signed, said = (page.locator(f".stream-player {q}") for q in ("input", ".signed", ".said"))
        assert signed.inner_text() == "–" and said.inner_text() == "–"
        slider.fill("10")
        assert signed.inner_text() == "aba" and said.inner_text() == "–"
        slider.fill("39")
        assert signed.inner_text() == "b<u" and said.inner_text() == "aba ✗"
        assert page.locator(".guess span").first.inner_text() == "b<u"
        click = "b => { b.click(); return [b.textContent, document.querySelector('.stream-player input').value]; }"
        button = page.locator(".stream-player button")
        assert button.evaluate(click) == ["pause", "0"]  # at the end it begins anew
        page.wait_for_function("document.querySelector('.stream-player button').textContent == 'play'")
        assert slider.input_value() == "39"
        slider.fill("3")
        assert button.evaluate(click) == ["pause", "3"] and button.evaluate(click)[0] == "play"
        place = page.evaluate("getComputedStyle(document.querySelector('.stream-player canvas')).width")
        assert place == f"{stream_player.LARGER * 32}px" and errors == []
        browser.close()


def test_what_is_spelled_is_told_apart_from_signs(frame, chromium):
    playwright_api = pytest.importorskip("playwright.sync_api")
    spelled = Events(np.array([0]), np.array([20]), np.array([23]), np.ones(1))
    settings = dict(overlap=0.5, every=2, spelled=spelled, texts=("hof",))
    scores = np.full((20, 2), -1.0)  # passed over, all but one window
    scores[3] = [0.1, 0.8]
    told = stream_player.player(frame, TRUTH, NOTHING, WORDS, scores, **settings)
    assert [len(guesses) for guesses in data_of(told)["guesses"]] == [0] * 3 + [2] + [0] * 16
    assert data_of(told)["spelled"] == [{"word": "hof", "begin": 20, "end": 23}]
    assert "2 words are signed and 1 spelled, and 0 of 0 answers are right" in told
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page()
        page.set_content(f"<!doctype html><body>{told}</body>")
        slider, signed = (page.locator(f".stream-player {q}") for q in ("input", ".signed"))
        slider.fill("21")
        assert signed.inner_text() == "spells “hof”" and page.locator(".guess span").count() == 0
        assert slider.get_attribute("aria-valuetext") == "second 1.5, shown spells “hof”, said nothing"
        slider.fill("6")
        assert signed.inner_text() == "aba" and page.locator(".guess span").first.inner_text() == "b<u"
        assert page.locator(".told b").first.inner_text() == "shown"
        assert page.locator(".keys").inner_text() == "signedspelledsaid, rightsaid, wrong"
        browser.close()
