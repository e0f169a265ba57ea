"""A drawing of the four protocols: whose pictures are learned from, and which are asked about."""

from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from thesislib.evaluation import signers
from thesislib.figures import style
from thesislib.figures.hands import described

LEARN, EXAMPLE, ASK, GAP = range(4)
LOOKS = {
    LEARN: dict(facecolor="#A6CFEA", edgecolor="white"),
    EXAMPLE: dict(facecolor=style.BLUE, edgecolor="white"),
    ASK: dict(facecolor=style.ORANGE, edgecolor="white"),
    GAP: dict(facecolor="white", edgecolor=style.GREY, hatch="//////"),
}
WORDS = {
    LEARN: "learned from: other people",
    EXAMPLE: "labelled examples: the same person",
    ASK: "asked: which letter?",
    GAP: "left out: too like an example",
}
PEOPLE, LETTERS, FRAMES = 4, ("A", "B", "C"), 12  # the last person is the new one
SHOTS, SEED = 3, 4
SIDE, CLIP_GAP, LINE, LINE_GAP, BETWEEN = 1.0, 1.6, 1.5, 0.5, 2.6  # in squares


@dataclass(frozen=True)
class Panel:
    """One protocol: its name, what it asks, and the role of each picture [people, letters, frames]."""

    title: str
    words: str
    roles: np.ndarray


def panels() -> list[Panel]:
    """Return the four protocols, played through with four people, three letters and twelve pictures a clip.

    The roles are those that `evaluation.signers` gives to these pictures.
    """
    shape = (PEOPLE, len(LETTERS), FRAMES)
    signer, letter, frame = (part.ravel() for part in np.indices(shape))
    clip, new = signer * len(LETTERS) + letter, PEOPLE - 1
    of = (letter, signer, clip, frame)
    stranger = signers.zero_shot(signer, new)
    shown = signers.k_shot(*of, new, SHOTS, gap=1, seed=SEED)
    everybody = range(PEOPLE)
    halves = [signers.same_signer(*of, who, gap=1) for who in everybody]
    by_lot = [signers.random_split(*of, who, seed=SEED) for who in everybody]
    told = (
        ("zero-shot", "Can it read a person it has never seen?", [stranger]),
        (
            f"k-shot, here {SHOTS} shots",
            f"And if that person first shows each letter {SHOTS} times in a row?",
            [shown],
        ),
        ("contiguous halves", "Can it read the second half of a clip if it knows the first?", halves),
        ("random halves", "The same by lot: most questions then have their twin among the examples.", by_lot),
    )
    return [Panel(title, words, _roles(splits, signer, new).reshape(shape)) for title, words, splits in told]


def _roles(splits: list[signers.Split], signer: np.ndarray, new: int) -> np.ndarray:
    """Return the role of each picture [N]: by lists of one split for the new person, or of one for everybody."""
    role = np.full(signer.shape, GAP)
    if len(splits) == 1:
        role[signer != new] = LEARN
    for split in splits:
        own = split.train[np.isin(signer[split.train], signer[split.test])]
        role[own], role[split.test] = EXAMPLE, ASK
    return role


def protocols(shown: list[Panel] | None = None) -> Figure:
    """Draw the protocols one below the other: a line a person, a strip a clip, a square a picture."""
    shown = panels() if shown is None else shown
    figure, axes = style.figure(5.0)
    top = 0.0
    for panel in shown:
        _draw_panel(axes, panel, top)
        top += len(panel.roles) * LINE + LINE_GAP + BETWEEN
    for letter, name in enumerate(LETTERS):
        middle = letter * (FRAMES + CLIP_GAP) + FRAMES / 2
        axes.text(middle, -0.6, f"one clip of letter {name}", ha="center", va="bottom", fontsize=9)
    right = len(LETTERS) * (FRAMES + CLIP_GAP) - CLIP_GAP
    axes.set(xlim=(-25.5, right + 0.3), ylim=(top - BETWEEN + 0.2, -2.4), aspect="equal")
    axes.set_axis_off()
    patches = [Patch(**LOOKS[role], linewidth=0.6, label=WORDS[role]) for role in WORDS]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9)
    names = ", ".join(panel.title for panel in shown)
    return described(figure, f"Which pictures of whom are learned from and asked about under {names}.")


def _draw_panel(axes: Axes, panel: Panel, top: float) -> None:
    """Draw one protocol below ``top``: its name and question at the left, then people, then their clips."""
    axes.text(-25.3, top + 0.1, panel.title, va="top", weight="bold", fontsize=10)
    axes.text(-25.3, top + 2.2, fill(panel.words, 30), va="top", fontsize=8.5, linespacing=1.25)
    for person, clips in enumerate(panel.roles):
        last = person == len(panel.roles) - 1
        y = top + person * LINE + LINE_GAP * last
        weight = "bold" if last else "normal"
        axes.text(
            -0.7, y + SIDE / 2, f"person {person + 1}", ha="right", va="center", fontsize=8.5, weight=weight
        )
        for letter, frames in enumerate(clips):
            for frame, role in enumerate(frames):
                x = letter * (FRAMES + CLIP_GAP) + frame
                axes.add_patch(Rectangle((x, y), SIDE, SIDE, linewidth=0.6, **LOOKS[role]))
