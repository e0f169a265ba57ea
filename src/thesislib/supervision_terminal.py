"""The supervision tool in a terminal: one picture with its joints in one file, one key a decision.

Komorowicz 2018 (section 5.2) opened a window for each picture. Here the picture is written into one PNG file, which
an image viewer that follows changes keeps open, so that it works over a plain connection too.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image, ImageDraw

from thesislib.datasets.eleven_k_hands import (
    Photograph,
    picture_path,
    read_joints,
    read_reduced,
    read_register,
)
from thesislib.files import write_whole
from thesislib.supervision import KEYS, PASSES, Sitting, Stage
from thesislib.synthetic.hand import BONES

SHOWN_PX = 900  # to the longer side of the picture that is shown
# Okabe and Ito's colours: the wrist, then the fingers from the thumb, as in every figure of the book
_COLOURS = ("#222222", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
_HELP = ", ".join(f"{key} {what}" for key, what in KEYS.items())


def supervise_folder(
    folder: Path,
    json_folder: Path,
    decisions: Path,
    *,
    shown: Path | None = None,
    keys: TextIO | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Stage, ...]:
    """Let a person accept or reject OpenPose's joints of 11k Hands, and return what is left after each stage.

    folder and json_folder as for `eleven_k_hands.load`; decisions: the file they are appended to, made where there
    is none, gone on with where there is; shown: the PNG file with the picture, beside the decisions if not given;
    keys: where keys come from, the terminal if not given. In a terminal, one key press decides; elsewhere, a line.
    The end of the input, q and Ctrl-C leave; nothing that was decided is lost. Raises DataError for missing and
    broken files.
    """
    register = {photograph.name: photograph for photograph in read_register(folder)}
    shown = Path(decisions).with_suffix(".png") if shown is None else Path(shown)
    with Sitting(tuple(register), decisions) as sitting, _key_presses(keys or sys.stdin) as read_key:
        if sitting.picture is not None:
            say(f"Open {shown} in a viewer that follows changes. Keys: {_HELP}.")
        began = None
        try:
            while (name := sitting.picture) is not None:
                if sitting.in_pass != began:
                    began = sitting.in_pass
                    say(f"Pass {began} of {len(PASSES)}: {PASSES[began - 1]}.")
                drawn = overlay(folder, json_folder, register[name], began)
                write_whole(shown, lambda path, drawn=drawn: drawn.save(path))
                say(prompt(sitting, *read_joints(json_folder, register[name])))
                sitting.press(read_key())
        except KeyboardInterrupt:
            say("Stopped.")
        for stage in sitting.stages:
            hours = "" if stage.hours is None else f", {stage.hours:.2f} h"
            say(f"{stage.name}: {stage.images:,} pictures left{hours}")
        return sitting.stages


def prompt(sitting: Sitting, keypoints: np.ndarray, certainty: np.ndarray) -> str:
    """Return the line that goes with a picture: where the pass stands, and what the detector was sure of."""
    desk = sitting.desk
    least = f"wrist {certainty[0]:.2f}, least of the fingers {certainty[1:].min():.2f}"
    kept = sum(desk.kept)
    return f"{len(desk.kept) + 1:,} of {len(desk.pictures):,}, {kept:,} kept: {sitting.picture}, certainty {least}"


def overlay(folder: Path, json_folder: Path, photograph: Photograph, in_pass: int) -> Image.Image:
    """Return a photograph with its detected joints: dark inside where uncertain, the wrist ringed in pass 1."""
    keypoints, certainty = read_joints(json_folder, photograph)
    pixels, _ = read_reduced(picture_path(folder, photograph), 1)
    picture = Image.fromarray(pixels)
    smaller = min(1.0, SHOWN_PX / max(picture.size))
    if smaller < 1:
        picture = picture.resize([round(side * smaller) for side in picture.size], Image.Resampling.BILINEAR)
    return draw_joints(picture, keypoints * smaller, certainty, ring_wrist=in_pass == 1)


def draw_joints(
    picture: Image.Image, keypoints: np.ndarray, certainty: np.ndarray, *, ring_wrist: bool
) -> Image.Image:
    """Return a copy of a picture with bones and joints, [21, 2] in its pixels; certainty [21], none drawn at 0."""
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    unit = max(1, round(max(picture.size) / 300))
    for parent, child in BONES:
        if min(certainty[parent], certainty[child]) > 0:
            ends = [tuple(keypoints[parent]), tuple(keypoints[child])]
            pen.line(ends, fill="white", width=3 * unit)
            pen.line(ends, fill=_COLOURS[(child - 1) // 4 + 1], width=2 * unit)
    for joint, (x, y) in enumerate(keypoints):
        if certainty[joint] <= 0:
            continue
        light = round(255 * float(certainty[joint]))
        edge = _COLOURS[(joint + 3) // 4]
        box = [x - 2 * unit, y - 2 * unit, x + 2 * unit, y + 2 * unit]
        pen.ellipse(box, fill=(light, light, light), outline=edge, width=max(1, unit // 2))
    if ring_wrist and certainty[0] > 0:
        x, y = keypoints[0]
        box = [x - 7 * unit, y - 7 * unit, x + 7 * unit, y + 7 * unit]
        pen.ellipse(box, outline="white", width=2 * unit)
        pen.ellipse(box, outline="black", width=unit)
    return picture


@contextmanager
def _key_presses(keys: TextIO) -> Iterator[Callable[[], str]]:
    """Give a function that waits for a key: one press where keys come from a terminal, else a line's first one."""

    def from_line() -> str:
        line = keys.readline()
        return line.strip().lower()[:1] if line else "q"  # the input is at its end

    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield from_line
        return
    try:
        descriptor = keys.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):  # a pipe or a file
        yield from_line
        return
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # keys come at once, and Ctrl-C still stops
        yield lambda: keys.read(1).lower() or "q"
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
