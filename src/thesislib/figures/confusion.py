"""Confusion matrices with the characters themselves on the axes."""

import numpy as np
from matplotlib.figure import Figure

from thesislib.figures import style
from thesislib.figures.characters import as_ticks


def unseen_confusion(confusions: dict[str, np.ndarray], image: np.ndarray) -> Figure:
    """Draw counts [C, C] of several systems as shares of each true class; images [C, S, S] mark the classes."""
    figure, axes = style.figure(3.9, columns=len(confusions))
    for axis, (title, counts) in zip(np.atleast_1d(axes), confusions.items(), strict=True):
        share = counts / counts.sum(axis=1, keepdims=True)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axis.grid(False)
        for row, column in np.ndindex(share.shape):
            if share[row, column] >= 0.005:
                colour = "white" if share[row, column] > 0.55 else "#333333"
                text = f"{100 * share[row, column]:.0f}"
                axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
        as_ticks(axis, image)
        axis.set_title(title, pad=30)
        axis.set_xlabel("taken for", labelpad=4)
        axis.set_ylabel("is", labelpad=26)
    return figure


def all_confusion(counts: np.ndarray, unseen: list[int]) -> Figure:
    """Draw the confusion of all classes at once; the unseen ones, last, are set off by lines."""
    order = [c for c in range(len(counts)) if c not in unseen] + list(unseen)
    share = (counts / counts.sum(axis=1, keepdims=True))[np.ix_(order, order)]
    figure, axes = style.figure(5.6)
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    edge = len(order) - len(unseen) - 0.5
    axes.axhline(edge, color=style.ORANGE, linewidth=1.2)
    axes.axvline(edge, color=style.ORANGE, linewidth=1.2)
    axes.grid(False)
    axes.set(xticks=[], yticks=[], xlabel="taken for", ylabel="is")
    axes.text(edge / 2, -1.2, "seen", ha="center")
    axes.text(edge + len(unseen) / 2, -1.2, "unseen", ha="center", color=style.ORANGE)
    figure.colorbar(picture, ax=axes, shrink=0.7, label="share of the class")
    return figure
