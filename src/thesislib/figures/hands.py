"""Pictures of hands and their joints: one colour a finger, in every chapter.

Pictures are uint8 [n, 3, S, S] and keypoints [n, 21, 2] in their pixels, with pixel centres at +0.5; a keypoint
that is NaN is not drawn. Each figure carries a description in words, `figure.get_label()`.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from thesislib.figures import style
from thesislib.synthetic.hand import BONES, FINGERS, JOINTS

FINGER_COLOURS = (style.ORANGE, style.BLUE, style.GREEN, style.PURPLE, style.AMBER)
JOINT_COLOURS = (style.BLACK,) + tuple(colour for colour in FINGER_COLOURS for _ in range(4))
WRIST_AND_TIPS = (0, 4, 8, 12, 16, 20)
GAP = 0.06  # between pictures, as a share of one


def skeleton(
    axes: Axes,
    keypoints: np.ndarray,
    *,
    visible: np.ndarray | None = None,
    outline: str = "white",
    width: float = 1.6,
    frame: Rectangle | None = None,
) -> None:
    """Draw bones and joints of one hand [21, 2] in data coordinates, cut off at a frame where one is given.

    Joints that are not visible are hollow.
    """
    whole = [bone for bone in BONES if np.isfinite(keypoints[list(bone)]).all()]
    bones = LineCollection(
        [keypoints[list(bone)] for bone in whole],
        colors=[JOINT_COLOURS[child] for _, child in whole],
        linewidths=width,
        capstyle="round",
        path_effects=[Stroke(linewidth=1.7 * width, foreground=outline), Normal()],
        zorder=3,
    )
    axes.add_collection(bones)
    seen = np.ones(len(keypoints), bool) if visible is None else np.asarray(visible)
    ink = np.array(JOINT_COLOURS)
    fill, edge = np.where(seen, ink, "white"), np.where(seen, outline, ink)
    dots = axes.scatter(
        *keypoints.T, s=(1.7 * width) ** 2, c=fill, edgecolors=edge, linewidths=0.4 * width, zorder=4
    )
    if frame is not None:
        bones.set_clip_path(frame)
        dots.set_clip_path(frame)


def finger_legend(figure: Figure) -> None:
    """Add the legend of the fingers' colours below a figure."""
    lines = [Line2D([], [], color=colour, linewidth=2.5) for colour in FINGER_COLOURS]
    figure.legend(lines, FINGERS, loc="outside lower center", ncols=len(FINGERS), fontsize=9)


def hand_sheet(
    images: np.ndarray,
    keypoints: np.ndarray | None = None,
    *,
    visible: np.ndarray | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> Figure:
    """Draw pictures of hands in rows, with their skeletons and a few words above each where given."""
    figure, axes, places = _sheet(images, columns, titles)
    if keypoints is not None:
        width = _line_width(len(places), columns)
        for row, place in enumerate(places):
            seen = None if visible is None else visible[row]
            shown, frame = _at(keypoints[row], images, place), _frame(axes, place)
            skeleton(axes, shown, visible=seen, width=width, frame=frame)
        finger_legend(figure)
    drawn = "pictures" if keypoints is None else "pictures with the skeleton drawn over them"
    return described(
        figure, f"{len(images)} {drawn} of single hands, in rows of {min(columns, len(images))}."
    )


def prediction_sheet(
    images: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
    *,
    titles: Sequence[str] | None = None,
    columns: int = 6,
) -> Figure:
    """Draw predicted joints in the fingers' colours over true ones in white, with each picture's mean error.

    The error is the mean distance over labelled joints in per cent of the picture's side, unless `titles` say
    something else.
    """
    if titles is None:
        far = np.nanmean(np.linalg.norm(predicted - true, axis=-1), axis=1) / images.shape[-1]
        titles = [f"{100 * value:.1f} %" for value in far]
    figure, axes, places = _sheet(images, columns, titles)
    width = _line_width(len(places), columns)
    for row, place in enumerate(places):
        shown = _at(true[row], images, place)
        bones = [shown[list(bone)] for bone in BONES if np.isfinite(shown[list(bone)]).all()]
        dark = [Stroke(linewidth=1.4 * width, foreground=style.GREY), Normal()]
        lines = LineCollection(bones, colors="white", linewidths=width, path_effects=dark)
        axes.add_collection(lines)
        frame = _frame(axes, place)
        lines.set_clip_path(frame)
        found = _at(predicted[row], images, place)
        skeleton(axes, found, outline=style.BLACK, width=0.8 * width, frame=frame)
    finger_legend(figure)
    figure.legends[0].set_title("predicted; true in white")
    return described(figure, f"{len(images)} hands with true joints in white and predicted ones in colours.")


def heatmap_columns(
    images: np.ndarray, heatmaps: np.ndarray, *, joints: Sequence[int] = WRIST_AND_TIPS
) -> Figure:
    """Draw the heatmaps [n, 21, h, w] of some joints over grey pictures: a picture a row, a joint a column."""
    n, size = len(images), images.shape[-1]
    columns = len(joints) + 1
    figure, axes = style.figure(
        style.WIDTH / columns * n * 1.02 + 0.25, rows=n, columns=columns, squeeze=False
    )
    for row, image in enumerate(images):
        _picture(axes[row, 0], image)
        grey = image.astype(float).mean(axis=0)
        for axis, joint in zip(axes[row, 1:], joints, strict=True):
            extent = (0, size, size, 0)
            axis.imshow(0.25 * grey + 160, cmap="gray", vmin=0, vmax=255, extent=extent)
            heat = heatmaps[row, joint] - heatmaps[row, joint].min()
            heat = heat / max(heat.max(), 1e-12)
            axis.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=heat**0.5, extent=extent)
            axis.set_axis_off()
    for axis, joint in zip(axes[0, 1:], joints, strict=True):
        axis.set_title(JOINTS[joint], fontsize=9, loc="center", color=JOINT_COLOURS[joint])
    named = ", ".join(JOINTS[joint] for joint in joints)
    return described(figure, f"{n} hands, each beside its predicted heatmaps of {named}.")


def described(figure: Figure, text: str) -> Figure:
    """Give a figure its description in words, for readers who cannot see it."""
    figure.set_label(text[0].upper() + text[1:])
    return figure


def _sheet(
    images: np.ndarray, columns: int, titles: Sequence[str] | None
) -> tuple[Figure, Axes, list[tuple[float, float]]]:
    """Return a figure with pictures in rows, its axes in units of a picture, and each picture's corner."""
    n = len(images)
    columns = min(columns, n)
    step_x, step_y = 1 + GAP, 1 + GAP + (0.16 if titles is not None else 0)
    rows = -(-n // columns)
    width, height = columns * step_x - GAP, rows * step_y - GAP
    inches = min(style.WIDTH / width, 2.2)  # of one picture
    figure, axes = style.figure(inches * height + 0.35)
    figure.set_figwidth(min(style.WIDTH, inches * width + 0.2))
    places = [(i % columns * step_x, i // columns * step_y + (step_y - 1 - GAP)) for i in range(n)]
    for row, (x, y) in enumerate(places):
        pixels = images[row].transpose(1, 2, 0)
        axes.imshow(pixels, extent=(x, x + 1, y + 1, y), interpolation="nearest")
        if titles is not None:
            axes.text(x, y - 0.02, titles[row], fontsize=8, va="bottom")
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_axis_off()
    return figure, axes, places


def _at(keypoints: np.ndarray, images: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    return keypoints / images.shape[-1] + np.array(place)


def _frame(axes: Axes, place: tuple[float, float]) -> Rectangle:
    return Rectangle(place, 1, 1, transform=axes.transData)


def _line_width(count: int, columns: int) -> float:
    return float(np.clip(9 / min(columns, count), 0.8, 2.5))


def _picture(axes: Axes, image: np.ndarray) -> None:
    size = image.shape[-1]
    axes.imshow(image.transpose(1, 2, 0), extent=(0, size, size, 0), interpolation="nearest")
    axes.set_axis_off()
