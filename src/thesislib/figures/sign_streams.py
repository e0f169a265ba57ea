"""Signs in a stream: what was signed and what was said when; where a network's attention lies in its frames.

Streams and clips are uint8 [T, 3, S, S]. Each figure carries a description in words, `figure.get_label()`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from thesislib.evaluation.streams import Events, matches
from thesislib.figures import style
from thesislib.figures.hands import described
from thesislib.figures.signs import evenly

FRAMES_A_SECOND = 15  # of a stream (Izutov 2020, section III)
MASKS = {"with": "with TV loss", "without": "without TV loss"}
LANE = 0.14  # of what was said, above or below its line
NOTHING = Events(*(np.zeros(0, np.int64) for _ in range(4)))
SHARP = 0.1  # a mask this near to 0 or 1 has decided


def timeline(
    truth: Events,
    said: Events,
    words: Sequence[str],
    scores: np.ndarray,
    *,
    threshold: float,
    overlap: float,
    every: int = 1,
    frame: np.ndarray | None = None,
    pictures: int = 12,
    rate: float = FRAMES_A_SECOND,
    spelled: Events = NOTHING,
    texts: Sequence[str] = (),
) -> Figure:
    """Draw a stream against seconds: what was signed above, what was said below it, and how sure of each word.

    A bar of what was said is the window it was seen in, and the mark at its right end is when it was said: filled
    and green where `matches` at ``overlap`` finds it right, hollow and orange where not. ``scores`` [W, C] are
    those of `slide`, a window every ``every`` frames; the lowest panel shows the best of them, and the threshold.
    ``frame`` [K, 3, S, S] are all frames of the stream or some spread evenly over it: at most ``pictures`` of them
    stand on top. ``spelled`` numbers texts that are spelled in between.
    """
    length, best = every * len(scores), scores.max(axis=1)
    shown = [] if frame is None else evenly(len(frame), pictures)
    heights = ([] if frame is None else [0.9 * style.WIDTH / len(shown)]) + [1.25, 1.0]
    figure, grid = style.figure(
        sum(heights) + 0.85, rows=len(heights), sharex=True, height_ratios=heights, squeeze=False
    )
    *top, bars, curve = grid[:, 0]
    if top:
        _pictures(top[0], frame[shown], length / rate)
    right = matches(said, truth, overlap=overlap) >= 0
    for index, (word, begin, end) in enumerate(zip(truth.word, truth.begin, truth.end, strict=True)):
        _bar(bars, begin / rate, end / rate, 1.0, style.BLUE, words[word], level=index % 2, up=True)
    for text, begin, end in zip(spelled.word, spelled.begin, spelled.end, strict=True):
        _bar(bars, begin / rate, end / rate, 1.0, style.GREY, f"“{texts[text]}”", level=2, up=True)
    for index, (word, begin, end) in enumerate(zip(said.word, said.begin, said.end, strict=True)):
        colour = style.GREEN if right[index] else style.ORANGE
        lane = LANE if index % 2 == 0 else -LANE  # windows of neighbours may overlap
        _bar(bars, begin / rate, end / rate, lane, colour, words[word], level=index % 2, up=False)
        face = colour if right[index] else "white"
        bars.plot(end / rate, lane, "D", color=colour, markerfacecolor=face, markersize=6, zorder=4)
    bars.set(ylim=(-1.3, 2.15), yticks=(1.0, 0.0), yticklabels=("signed", "said"))
    bars.tick_params(axis="y", length=0)
    bars.grid(axis="y", visible=False)
    bars.spines["left"].set_visible(False)
    seconds = (1 + every * np.arange(len(scores))) / rate
    curve.plot(seconds, best, color=style.BLACK, linewidth=1.2)
    curve.axhline(threshold, color=style.GREY, linestyle="--", linewidth=1.1)
    curve.plot(said.end / rate, said.confidence, "o", color=style.BLACK, markersize=4)
    curve.set(
        xlabel="seconds", ylabel="how sure", ylim=(min(0, best.min()), 1.04 * max(best.max(), threshold))
    )
    curve.set_xlim(0, length / rate)
    mark = dict(marker="D", linestyle="none")
    keys = [
        Patch(color=style.BLUE, label="signed"),
        *([Patch(color=style.GREY, label="spelled")] if len(spelled) else []),
        Line2D([], [], color=style.GREEN, label="said, right", **mark),
        Line2D([], [], color=style.ORANGE, markerfacecolor="white", label="said, wrong", **mark),
        Line2D([], [], color=style.GREY, linestyle="--", linewidth=1.1, label="threshold"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=9)
    listed = ", ".join(words[word] for word in truth.word)
    heard = ", ".join(
        f"{words[word]} at {end / rate:.1f} s" + ("" if good else " (wrong)")
        for word, end, good in zip(said.word, said.end, right, strict=True)
    )
    return described(
        figure,
        f"A stream of {length / rate:.0f} s. Signed: {listed}. "
        + (f"Spelled: {', '.join(texts[text] for text in spelled.word)}. " if len(spelled) else "")
        + f"Said: {heard or 'nothing'}.",
    )


def attention(frame: np.ndarray, masks: Mapping[str, np.ndarray]) -> Figure:
    """Draw frames of a clip over attention masks of the same moments (Izutov 2020, figure 2).

    ``frame`` uint8 [T, 3, S, S]; ``masks`` names rows of masks 0 to 1, [t, h, w], where a mask stands for T / t
    frames and is drawn below their middle one. Keys of `MASKS` get their names, others stand for themselves.
    """
    count = {len(mask) for mask in masks.values()}
    if len(count) != 1 or len(frame) % min(count) != 0:
        raise ValueError(f"masks must be as many in each row and divide {len(frame)} frames, not {count}")
    (columns,) = count
    each = len(frame) // columns
    inches = (style.WIDTH - 1.5) / columns
    figure, axes = style.figure(
        inches * (1 + len(masks)) + 0.35, rows=1 + len(masks), columns=columns, squeeze=False
    )
    look = dict(cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    for column in range(columns):
        middle = each * column + each // 2
        axes[0, column].imshow(frame[middle].transpose(1, 2, 0), interpolation="antialiased")
        for row, mask in zip(axes[1:], masks.values(), strict=True):
            drawn = row[column].imshow(mask[column], **look)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for row, name in zip(axes, ("frames", *(MASKS.get(key, key) for key in masks)), strict=True):
        row[0].set_ylabel(name.replace(" TV", "\nTV"), rotation=0, ha="right", va="center", fontsize=9)
    lower = dict(shrink=0.95 * len(masks) / (1 + len(masks)), anchor=(0, 0.02))  # beside the masks alone
    shade = ScalarMappable(drawn.norm, drawn.cmap)
    bar = figure.colorbar(shade, ax=axes, fraction=0.02, pad=0.01, ticks=[0, 0.5, 1], **lower)
    bar.outline.set_visible(False)
    said = ", ".join(f"{MASKS.get(key, key)} {100 * decided(mask):.0f} %" for key, mask in masks.items())
    return described(
        figure,
        f"Attention masks below the frames of a clip; within {SHARP:g} of 0 or 1 are: {said} of their places.",
    )


def decided(mask: np.ndarray) -> float:
    """Return the share of a mask's places, any shape, that are within 0.1 of 0 or 1."""
    return float((np.minimum(mask, 1 - mask) <= SHARP).mean())


def _bar(
    axes: Axes, begin: float, end: float, y: float, colour: str, word: str, *, level: int, up: bool
) -> None:
    """Draw one sign as a bar with its word beyond it, on one of two levels so that neighbours do not meet."""
    axes.plot([begin, end], [y, y], color=colour, linewidth=7, alpha=0.75, solid_capstyle="butt", zorder=3)
    away = 7 + (11 if up else 6) * level
    axes.annotate(
        word,
        ((begin + end) / 2, y),
        (0, away if up else -away),
        textcoords="offset points",
        ha="center",
        va="bottom" if up else "top",
        fontsize=8,
        annotation_clip=True,
    )


def _pictures(axes: Axes, frame: np.ndarray, seconds: float) -> None:
    """Draw frames spread evenly over so many seconds in a row, each around its own time."""
    width = seconds / len(frame)
    for slot, picture in enumerate(frame):
        extent = (slot * width, (slot + 0.96) * width, 0, 1)
        axes.imshow(picture.transpose(1, 2, 0), extent=extent, aspect="auto", interpolation="antialiased")
    axes.set(ylim=(0, 1), yticks=[])
    axes.grid(False)
    axes.tick_params(bottom=False)
    axes.spines[:].set_visible(False)
