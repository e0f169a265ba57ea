"""The funnel of a supervision: how many pictures each stage leaves, in the document's table and here."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from thesislib import published
from thesislib.figures import style
from thesislib.figures.hands import described
from thesislib.supervision import PASSES, Stage

NAMES = ("joints detected", *(f"pass {n}: {what}" for n, what in enumerate(PASSES, start=1)))
_KEYS = ("openpose", "pass_1", "pass_2")
_BAR = 0.38  # of the distance between two stages


def printed_stages() -> tuple[Stage, ...]:
    """Return Komorowicz 2018, table 5.1, as stages; the detector's time is no person's and left out."""
    found = []
    for name, key in zip(NAMES, _KEYS, strict=True):
        images = published.by_key(f"komorowicz2018_data_{key}_images").value
        hours = None if key == "openpose" else published.by_key(f"komorowicz2018_data_{key}_time").value
        found.append(Stage(name, int(images), hours))
    return tuple(found)


def funnel(ours: Sequence[Stage] = (), *, who: str = "here, a simulated person") -> Figure:
    """Draw the share of pictures that is left after each stage, the document's and ours, with counts and hours.

    ours: three stages, detected and two passes, as `supervision.stages` returns them, or none; who: whose they are.
    Raises ValueError for another number of stages, or none to begin with.
    """
    rows = [("Komorowicz 2018, 11k Hands", printed_stages(), style.GREY, "")]
    if ours:
        if len(ours) != len(NAMES) or ours[0].images < 1:
            raise ValueError(f"a funnel has {len(NAMES)} stages and starts with a picture, got {list(ours)}")
        rows.append((who, tuple(ours), style.BLUE, "//"))
    figure, axes = style.figure(0.62 * len(NAMES) + 1.0)
    for place, (label, stages, colour, hatch) in enumerate(rows):
        shares = [100 * stage.images / stages[0].images for stage in stages]
        at = np.arange(len(stages)) + (place - (len(rows) - 1) / 2) * _BAR
        axes.barh(at, shares, 0.94 * _BAR, color=colour, hatch=hatch, edgecolor="white", label=label)
        for y, share, stage in zip(at, shares, stages, strict=True):
            text = axes.text(share + 1, y, _words(stage, share), va="center", fontsize=9)
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.invert_yaxis()
    axes.set_xlim(0, 136)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("pictures left, % of those detected")
    figure.legend(loc="outside lower center", ncols=len(rows), fontsize=9)
    return described(figure, "Pictures left after each stage. " + " ".join(map(_sentence, rows)))


def _words(stage: Stage, share: float) -> str:
    hours = "" if not stage.hours else f", {stage.hours:.2g} h of a person"
    return f"{stage.images:,} ({share:.0f} %){hours}"


def _sentence(row: tuple[str, tuple[Stage, ...], str, str]) -> str:
    label, stages = row[:2]
    counts = ", ".join(
        f"{name} {_words(stage, 100 * stage.images / stages[0].images)}"
        for name, stage in zip(NAMES, stages, strict=True)
    )
    return f"{label[0].upper()}{label[1:]}: {counts}."
