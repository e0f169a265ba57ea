"""Figures of chapter 1: hands that bend, sign, move and get harder to read.

Pictures are uint8 [n, 3, S, S]. Skeletons are joints [n, 21, 2] with y downwards. A grid of either is a mapping
of row labels to rows, so that one function draws every sheet. Each figure carries a description in words,
`figure.get_label()`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from thesislib.figures import style
from thesislib.figures.hands import FINGER_COLOURS, described, finger_legend, skeleton
from thesislib.synthetic.hand import BONES, FINGERS

GAP = 0.06  # between cells, as a share of one
CAPTION_INCHES = 0.17  # above a cell that has one
PALE = "#C9C9C9"
FILLED = 0.92  # of a cell, by the longer side of a skeleton


def picture_rows(
    rows: Mapping[str, np.ndarray],
    captions: Mapping[str, Sequence[str]] | None = None,
    *,
    label_width: float = 0.0,
    group: int = 0,
) -> Figure:
    """Draw rows of pictures, label -> [n, 3, S, S], with a few words above each where given.

    label_width: inches kept free on the left for the labels; group: a wider gap stands after so many columns.
    """
    counts = {label: len(images) for label, images in rows.items()}
    figure, axes, corners = _grid(counts, captions or {}, label_width, group)
    for label, images in rows.items():
        for image, (x, y) in zip(images, corners[label], strict=True):
            axes.imshow(image.transpose(1, 2, 0), extent=(x, x + 1, y + 1, y), interpolation="antialiased")
    _cut(axes, corners)
    return described(figure, f"Pictures of single hands, row by row: {_listed(rows)}.")


def skeleton_rows(
    rows: Mapping[str, np.ndarray],
    captions: Mapping[str, Sequence[str]] | None = None,
    *,
    label_width: float = 1.0,
    moving: Mapping[str, int] | None = None,
    legend: bool = True,
) -> Figure:
    """Draw rows of skeletons, label -> [n, 21, 2] inside the unit square.

    moving: label -> the one finger, from the thumb, that is drawn in its colour; the others stay pale.
    """
    counts = {label: len(hands) for label, hands in rows.items()}
    figure, axes, corners = _grid(counts, captions or {}, label_width)
    width = float(np.clip(10 / max(len(hands) for hands in rows.values()), 1.0, 2.0))
    for label, hands in rows.items():
        for hand, corner in zip(hands, corners[label], strict=True):
            shown = hand + corner
            if moving:
                _pale_bones(axes, shown, width)
                finger = shown[_of_finger(moving[label])]
                axes.plot(*finger.T, "o-", color=FINGER_COLOURS[moving[label]], markersize=3, zorder=3)
            else:
                skeleton(axes, shown, outline="none", width=width)
    _cut(axes, corners)
    if legend:
        finger_legend(figure)
    return described(figure, f"Skeletons of hands, row by row: {_listed(rows)}.")


def finger_of(angle: str) -> int:
    """Return the finger, counted from the thumb, that an angle of hand.ANGLES bends."""
    return FINGERS.index(angle.split()[0])


def in_unit_square(hands: np.ndarray, *, together: bool = False) -> np.ndarray:
    """Scale skeletons [n, 21, 2] so that the box of their joints fills the unit square.

    Each by itself, or all together by one scale that keeps their sizes and places to each other.
    """
    axis = (0, 1) if together else 1
    low, high = (f(hands, axis=axis, keepdims=True) for f in (np.nanmin, np.nanmax))
    side = (high - low).max(axis=-1, keepdims=True)
    return 0.5 + FILLED * (hands - (low + high) / 2) / side


def stages(
    bones: np.ndarray,
    skin: np.ndarray,
    part: np.ndarray,
    depth: np.ndarray,
    pictures: Mapping[str, np.ndarray],
) -> Figure:
    """Draw one hand on its way to a picture: bones, points of its skin, heights, and finished pictures.

    bones: [21, 2] and skin: [P, 2], in shares of the picture's side, the farthest point first; part: [P], the
    finger a point belongs to, -1 for the palm; depth: [S, S], NaN where there is no hand; pictures: name ->
    [3, S, S].
    """
    names = ["bones", "skin", "depth", *pictures]
    figure, axes, corners = _grid({"": len(names)}, {"": names}, 0.0)
    places = iter(corners[""])
    corner = next(places)
    skeleton(axes, bones + corner, outline="none", width=1.4)
    corner = next(places)
    colours = np.array([PALE, *FINGER_COLOURS])[part + 1]
    inside = ((skin >= 0) & (skin <= 1)).all(axis=1)
    axes.scatter(*(skin[inside] + corner).T, s=0.35, c=colours[inside], linewidths=0)
    x, y = next(places)
    axes.imshow(depth, cmap="viridis", extent=(x, x + 1, y + 1, y), interpolation="antialiased")
    for image, (x, y) in zip(pictures.values(), places, strict=True):
        axes.imshow(image.transpose(1, 2, 0), extent=(x, x + 1, y + 1, y), interpolation="antialiased")
    _cut(axes, corners)
    return described(figure, f"One hand in {len(names)} stages: {_listed(names)}.")


def trails(motions: Mapping[str, np.ndarray], traced: Mapping[str, int], *, shown: int = 5) -> Figure:
    """Draw hands on their way, name -> [T, 21, 2] in hand units, and the line that one joint of each draws."""
    figure, axes = style.figure(2.9, columns=len(motions), squeeze=False)
    for axis, (name, hands) in zip(axes[0], motions.items(), strict=True):
        moments = np.linspace(0, len(hands) - 1, shown).round().astype(int)
        for step, moment in enumerate(moments[:-1]):
            _pale_bones(axis, hands[moment], 0.9, shade=0.9 - 0.2 * step / shown)
        skeleton(axis, hands[-1], outline="none", width=1.5)
        line = hands[:, traced[name]]
        axis.plot(*line.T, color=style.BLACK, linewidth=2.2, zorder=5)
        axis.plot(*line[0], "o", color=style.BLACK, markersize=7, zorder=6)
        arrow = dict(arrowstyle="-|>", color=style.BLACK, mutation_scale=22, shrinkA=0, shrinkB=0)
        axis.annotate("", line[-1], line[-3], arrowprops=arrow, zorder=6)
        axis.set_title(name, loc="center")
        axis.set(aspect="equal")
        axis.margins(0.06)
        axis.invert_yaxis()
        axis.set_axis_off()
    return described(figure, f"Skeletons moving along the line that a joint draws: {_listed(motions)}.")


def speeds(images_per_second: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw how many pictures are made in a second, size -> device -> rate, on a logarithmic axis."""
    looks = {"one_cpu_thread": ("one CPU thread", style.BLUE, "o"), "gpu": ("GPU", style.ORANGE, "s")}
    rates = [(size, device, r) for size, row in images_per_second.items() for device, r in row.items()]
    figure, axes = style.figure(0.75 + 0.33 * len(rates))
    for place, (_, device, rate) in enumerate(rates):
        _, colour, marker = looks[device]
        axes.plot(rate, place, marker, color=colour, markersize=8)
        axes.annotate(f"{rate:,.0f}", (rate, place), (9, 0), textcoords="offset points", va="center")
    names = [f"{size}, {looks[device][0]}" for size, device, _ in rates]
    axes.set(xscale="log", xlabel="pictures a second", yticks=range(len(rates)), yticklabels=names)
    axes.set_xlim(10 ** np.floor(np.log10(min(r for *_, r in rates))), 4 * max(r for *_, r in rates))
    axes.set_ylim(len(rates) - 0.4, -0.6)
    spoken = "; ".join(f"{name}: {rate:.0f}" for name, (*_, rate) in zip(names, rates, strict=True))
    return described(figure, f"Pictures drawn in a second. {spoken}.")


def _grid(
    counts: Mapping[str, int], captions: Mapping[str, Sequence[str]], label_width: float, group: int = 0
) -> tuple[Figure, Axes, dict[str, np.ndarray]]:
    """Return a figure, its axes in units of a cell, and the corners [n, 2] of each row's cells."""
    columns = max(counts.values())
    across = np.arange(columns) * (1 + GAP)
    across += 2 * GAP * (np.arange(columns) // group) if group else 0
    inches = min((style.WIDTH - label_width) / (across[-1] + 1 + GAP), 2.0)  # of one cell
    left, above = label_width / inches, CAPTION_INCHES / inches
    corners, y = {}, 0.0
    for label, count in counts.items():
        y += above if captions.get(label) else 0
        corners[label] = np.array([(left + x, y) for x in across[:count]])
        y += 1 + GAP
    figure, axes = style.figure(inches * (y - GAP) + 0.3)
    figure.set_figwidth(min(style.WIDTH, inches * (left + across[-1] + 1) + 0.2))
    for label, cells in corners.items():
        axes.text(left - 0.08 / inches, cells[0, 1] + 0.5, label, ha="right", va="center", fontsize=9.5)
        for words, (x, top) in zip(captions.get(label, ()), cells, strict=False):
            axes.text(x + 0.5, top - 0.03 / inches, words, ha="center", va="bottom", fontsize=8.5)
    axes.set_axis_off()
    return figure, axes, corners


def _cut(axes: Axes, corners: Mapping[str, np.ndarray]) -> None:
    """Set the limits of a grid's axes; images set their own, so this comes last."""
    right = max(cells[-1, 0] for cells in corners.values()) + 1
    bottom = max(cells[-1, 1] for cells in corners.values()) + 1
    top = min(0.0, *(cells[0, 1] for cells in corners.values()))
    axes.set(xlim=(0, right), ylim=(bottom + 0.02, top - 0.02), aspect="equal")


def _of_finger(finger: int) -> np.ndarray:
    """Return which of the 21 joints belong to a finger, counted from the thumb."""
    joints = np.arange(21)
    return (joints > 4 * finger) & (joints <= 4 * finger + 4)


def _pale_bones(axes: Axes, hand: np.ndarray, width: float, shade: float = 0.79) -> None:
    bones = [hand[list(bone)] for bone in BONES]
    axes.add_collection(
        LineCollection(bones, colors=str(shade), linewidths=width, capstyle="round", zorder=2)
    )
    axes.update_datalim(hand)


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    return ", ".join(name.replace("\n", " ") for name in names if name) or "one row"
