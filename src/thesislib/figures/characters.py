"""Figures made of character images: sheets, gradient grids, preferred images, adversarial steps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from thesislib.figures import style


def paper(image: np.ndarray) -> np.ndarray:
    """Return bright ink on dark as dark ink on white paper, 0..1, for the eye."""
    scale = 255 if image.dtype == np.uint8 else 1
    return 1 - image.astype(float) / scale


def mosaic(images: np.ndarray, gap: int = 2) -> np.ndarray:
    """Return a grid of images [rows, columns, S, S] as one picture, with white gaps between."""
    rows, columns, size, _ = images.shape
    canvas = np.ones((rows * (size + gap) - gap, columns * (size + gap) - gap))
    for r in range(rows):
        for c in range(columns):
            y, x = r * (size + gap), c * (size + gap)
            canvas[y : y + size, x : x + size] = paper(images[r, c])
    return canvas


def draw_plain(axes: Axes, picture: np.ndarray, **kwargs) -> None:
    """Draw a picture without axes, its pixels left as squares."""
    axes.imshow(picture, interpolation="nearest", **{"cmap": "gray", "vmin": 0, "vmax": 1} | kwargs)
    axes.set_axis_off()


def sheet(image: np.ndarray, label: np.ndarray, classes: Sequence[int], columns: int) -> Figure:
    """Draw the first images [N, S, S] of each class, one class a row, in two blocks side by side."""
    rows = np.stack([image[label == c][:columns] for c in classes])
    half = (len(rows) + 1) // 2
    figure, axes = style.figure(style.WIDTH / 2 / columns * half * 1.02, columns=2)
    for axis, block in zip(axes, (rows[:half], rows[half:]), strict=True):
        draw_plain(axis, mosaic(block))
    return figure


def as_ticks(axes: Axes, images: np.ndarray, *, zoom: float = 0.55) -> None:
    """Put images [C, S, S] in the place of tick labels of a square matrix plot."""
    axes.set_xticks([])
    axes.set_yticks([])
    for position, image in enumerate(images):
        box = dict(zoom=zoom, cmap="gray", clim=(0, 1))
        beside = (axes.get_yaxis_transform(), (0, position), (-15, 0))
        above = (axes.get_xaxis_transform(), (position, 1), (0, 15))
        for transform, place, shift in (beside, above):
            mark = OffsetImage(paper(image), **box)
            axes.add_artist(
                AnnotationBbox(mark, place, shift, transform, "offset points", frameon=False, pad=0)
            )


def gradient_grid(image: np.ndarray, gradient: np.ndarray) -> Figure:
    """Draw pairwise similarity gradients (Ignatiev 2019, figure 3.18): images [n, S, S], gradients [n, n, S, S].

    Row a shows image a; the column is the image it is compared with. Red pixels would raise the similarity
    with more ink, blue ones lower it; each cell is scaled by its own largest gradient, and the
    diagonal, where it is zero, is left empty.
    """
    n = len(image)
    figure, axes = style.figure(style.WIDTH, rows=n + 1, columns=n + 1)
    for axis in axes.flat:
        axis.set_axis_off()
    for b in range(n):
        draw_plain(axes[0, b + 1], paper(image[b]))
    for a in range(n):
        draw_plain(axes[a + 1, 0], paper(image[a]))
        for b in range(n):
            axis = axes[a + 1, b + 1]
            draw_plain(axis, 0.35 * image[a] / 255, cmap="Greys")
            if a == b:  # an image is never made more like itself: what is there is rounding
                continue
            signal = gradient[a, b] / (np.abs(gradient[a, b]).max() + 1e-12)
            strength = np.abs(signal) ** 0.7
            axis.imshow(signal, cmap="RdBu_r", vmin=-1, vmax=1, alpha=strength, interpolation="nearest")
    axes[0, 0].text(0.5, 0.5, "a \\ b", ha="center", va="center", transform=axes[0, 0].transAxes)
    return figure


def preferred(images: np.ndarray) -> Figure:
    """Draw the image that each embedding feature responds to most: [f, S, S]."""
    columns = min(len(images), 10)
    rows = -(-len(images) // columns)
    figure, axes = style.figure(
        style.WIDTH / columns * rows * 1.15, rows=rows, columns=columns, squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        draw_plain(axis, paper(image))
        axis.set_title(f"{index + 1}", fontsize=9, loc="center", weight="normal")
    return figure


def adversarial(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> Figure:
    """Draw images [n, S, S], the change that should fool the embedding, their sum, and the class aimed at."""
    labels = ("image", "change", "sum", "target")
    n = len(before)
    figure, axes = style.figure(style.WIDTH * 4.3 / n, rows=4, columns=n)
    for column in range(n):
        draw_plain(axes[0, column], paper(before[column]))
        change = after[column] - before[column]
        draw_plain(axes[1, column], change, cmap="RdBu_r", vmin=-0.25, vmax=0.25)
        draw_plain(axes[2, column], paper(after[column]))
        draw_plain(axes[3, column], paper(target[column]))
    for row, text in enumerate(labels):
        axes[row, 0].text(-0.15, 0.5, text, ha="right", va="center", transform=axes[row, 0].transAxes)
    return figure
