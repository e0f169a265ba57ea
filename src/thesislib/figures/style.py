"""One look for every figure: size, type and a palette that colour-blind readers can tell apart."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

WIDTH = 7.2  # inches: the text column of the book

# Okabe and Ito's palette. One meaning a colour, in every chapter.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, BLACK, GREY = "#56B4E9", "#E69F00", "#222222", "#8A8A8A"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # colour is never the only cue


def use_style() -> None:
    """Set matplotlib's defaults for the book; call it once, at the top of a notebook."""
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "savefig.bbox": "tight",
            "figure.facecolor": "white",
            "font.size": 10,
            "axes.titlesize": 10.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E3E3E3",
            "grid.linewidth": 0.7,
            "lines.linewidth": 1.8,
            "lines.markersize": 5.5,
            "legend.frameon": False,
            "axes.prop_cycle": plt.cycler(color=CYCLE),
        }
    )


def figure(height: float, columns: int = 1, rows: int = 1, **kwargs) -> tuple[Figure, object]:
    """Return a figure as wide as the text, ``height`` inches high, and its axes.

    pyplot forgets it at once: a notebook shows what a cell returns, and would show an open figure again.
    """
    made, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **kwargs)
    plt.close(made)
    return made, axes
