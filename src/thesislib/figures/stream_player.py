"""A stream that plays in the page: the signer at work, what was signed, what was said, and the best guesses now.

One piece of HTML with its frames inside, as one JPEG sheet; it asks nothing of other files or hosts. It stands
still until somebody presses play; the slider, also by the keyboard, moves it frame by frame.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from thesislib.evaluation.streams import Events, matches
from thesislib.figures import style
from thesislib.figures.sign_streams import FRAMES_A_SECOND, NOTHING

COLUMNS = 16  # frames side by side in the sheet
QUALITY = 70  # of its JPEG: noise makes the sheet large, and 64 pixels enlarged four times hide what is lost
LARGER = 4  # pixels on the screen to one of a frame
GUESSES = 3  # words shown with how sure the network is of them now, where it is surer than of nothing

_PLAYER = Template("""\
<div class="stream-player" id="$key" role="group" aria-label="$alt">
<style>
#$key { display: flex; flex-wrap: wrap; gap: .6rem 1.2rem; align-items: center; margin: 1rem 0; }
#$key canvas { width: ${side}px; max-width: 100%; border-radius: 4px; }
#$key .told { flex: 1 1 14rem; min-width: 13rem; }
#$key .told p { margin: .2rem 0; }
#$key .told b { display: inline-block; min-width: 4.2rem; font-weight: 600; }
#$key .guess { display: grid; grid-template-columns: 4.2rem 1fr; gap: .1rem .5rem; font-size: .85em; }
#$key .guess i { background: $blue; height: .7em; align-self: center; border-radius: 2px; }
#$key .way { flex: 1 1 100%; }
#$key svg { width: 100%; height: 44px; display: block; }
#$key input { width: 100%; margin: 0; }
#$key .keys { margin: 0; font-size: .8em; }
#$key .keys i { display: inline-block; width: .9em; height: .7em; border-radius: 2px; margin: 0 .3em 0 .9em; }
#$key button { min-width: 5rem; }
</style>
<canvas width="$size" height="$size"></canvas>
<div class="told">
<p><b>$shown</b><span class="signed"></span></p>
<p><b>said</b><span class="said"></span></p>
<div class="guess"></div>
<p><button type="button">play</button></p>
</div>
<div class="way"><svg viewBox="0 0 1000 44" preserveAspectRatio="none" aria-hidden="true"></svg>
<p class="keys" aria-hidden="true">$keys</p>
<input type="range" min="0" value="0" step="1" aria-label="frame of the stream"></div>
<script>
(() => {
  const data = $data, root = document.getElementById("$key"), find = (q) => root.querySelector(q);
  const canvas = find("canvas").getContext("2d"), slider = find("input"), button = find("button");
  const sheet = new Image(), last = data.frames - 1, x = (frame) => (1000 * frame) / data.frames;
  const bar = (event, y, colour) => `<rect x="$${x(event.begin)}" y="$${y}" height="14"
    width="$${x(event.end - event.begin)}" rx="3" fill="$${colour}" fill-opacity=".75"/>`;
  find("svg").innerHTML = data.signed.map((e) => bar(e, 3, "$blue")).join("")
    + data.spelled.map((e) => bar(e, 3, "$grey")).join("")
    + data.said.map((e) => bar(e, 25, e.right ? "$green" : "$orange")).join("")
    + '<line y1="0" y2="44" stroke="currentColor" stroke-width="2" vector-effect="non-scaling-stroke"/>';
  const line = find("line");
  slider.max = last;
  const show = () => {
    const t = Number(slider.value), s = data.size;
    canvas.drawImage(sheet, (t % $columns) * s, Math.floor(t / $columns) * s, s, s, 0, 0, s, s);
    line.setAttribute("x1", x(t + 1)); line.setAttribute("x2", x(t + 1));
    const at = (events) => events.find((e) => e.begin <= t && t < e.end);
    const now = at(data.signed), text = at(data.spelled);
    const shown = now ? now.word : text ? `spells “$${text.word}”` : "–";
    find(".signed").textContent = shown;
    const heard = data.said.filter((e) => e.end <= t + 1).pop();
    const said = heard ? heard.word + (heard.right ? " ✓" : " ✗") : "–";
    find(".said").textContent = said;
    find(".guess").replaceChildren(...data.guesses[Math.floor(t / data.every)].flatMap(([word, share]) => {
      const name = document.createElement("span"), sure = document.createElement("i");
      name.textContent = word;
      sure.style.width = `$${Math.max(0, 100 * share)}%`;
      return [name, sure];
    }));
    const right = heard ? (heard.right ? ", right" : ", wrong") : "";
    slider.setAttribute("aria-valuetext", `second $${((t + 1) / data.rate).toFixed(1)}, $shown $${shown}, said `
      + (heard ? heard.word + right : "nothing"));
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= last) slider.value = 0;
    button.textContent = "pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) >= last) stop();
    }, 1000 / data.rate);
  });
  slider.addEventListener("input", () => { stop(); show(); });
  sheet.onload = show;
  sheet.src = "data:image/jpeg;base64,$sheet";
})();
</script>
</div>""")


def player(
    frame: np.ndarray,
    truth: Events,
    said: Events,
    words: Sequence[str],
    scores: np.ndarray,
    *,
    overlap: float,
    every: int = 1,
    rate: float = FRAMES_A_SECOND,
    spelled: Events = NOTHING,
    texts: Sequence[str] = (),
) -> str:
    """Return HTML that plays a stream uint8 [T, 3, S, S] in which ``truth`` is signed and ``said`` was said.

    ``scores`` [W, C] are those of windows that end every ``every`` frames; ``said`` is marked right where
    `matches` finds it so at ``overlap``. ``spelled`` numbers texts that are spelled in between. Raises ValueError
    where the parts are not of one stream.
    """
    length, _, size, _ = frame.shape
    last = max((int(events.end.max()) for events in (truth, said, spelled) if len(events)), default=0)
    if last > length or len(scores) != -(-length // every):
        raise ValueError(
            f"{length} frames, {len(scores)} windows and what ends at frame {last} are not of one stream"
        )
    right = matches(said, truth, overlap=overlap) >= 0
    data = {
        "frames": length,
        "size": size,
        "every": every,
        "rate": rate,
        "signed": _listed(truth, words),
        "spelled": _listed(spelled, texts),
        "said": [
            told | {"right": bool(good)} for told, good in zip(_listed(said, words), right, strict=True)
        ],
        "guesses": [
            [
                (words[word], round(float(row[word]), 2))
                for word in np.argsort(-row)[:GUESSES]
                if row[word] > 0
            ]
            for row in scores
        ],
    }
    keys = {"signed": style.BLUE} | ({"spelled": style.GREY} if len(spelled) else {})
    keys |= {"said, right": style.GREEN, "said, wrong": style.ORANGE}
    sheet, events = _sheet(frame), json.dumps(data)
    alt = (
        f"{length / rate:.0f} seconds of a signer, to be played: {len(truth)} words are signed"
        + (f" and {len(spelled)} spelled" if len(spelled) else "")
        + f", and {int(right.sum())} of {len(said)} answers are right."
    )
    return _PLAYER.substitute(
        shown="shown" if len(spelled) else "signed",
        keys="".join(f'<i style="background:{colour}"></i>{escape(name)}' for name, colour in keys.items()),
        key=f"stream-{hashlib.sha256(sheet + events.encode()).hexdigest()[:10]}",
        alt=escape(alt, quote=True),
        data=events.replace("</", "<\\/"),
        sheet=base64.b64encode(sheet).decode(),
        size=size,
        side=LARGER * size,
        columns=COLUMNS,
        blue=style.BLUE,
        grey=style.GREY,
        green=style.GREEN,
        orange=style.ORANGE,
    )


def _listed(events: Events, words: Sequence[str]) -> list[dict[str, Any]]:
    """Return events for the script: word by name, begin and end in frames."""
    rows = zip(events.word, events.begin, events.end, strict=True)
    return [{"word": words[word], "begin": int(begin), "end": int(end)} for word, begin, end in rows]


def _sheet(frame: np.ndarray) -> bytes:
    """Return all frames as one JPEG, COLUMNS in a row."""
    length, _, size, _ = frame.shape
    rows = -(-length // COLUMNS)
    cells = np.zeros((rows * COLUMNS, size, size, 3), np.uint8)
    cells[:length] = frame.transpose(0, 2, 3, 1)
    picture = cells.reshape(rows, COLUMNS, size, size, 3).transpose(0, 2, 1, 3, 4)
    file = io.BytesIO()
    Image.fromarray(picture.reshape(rows * size, COLUMNS * size, 3)).save(file, "jpeg", quality=QUALITY)
    return file.getvalue()
