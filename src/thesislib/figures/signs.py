"""Signs in motion: clips as strips of frames, training curves, what a transfer brings, Table II beside ours.

Clips are uint8 [T, 3, S, S]. Shares are 0 to 1 and drawn in percent; a value with an interval is a mapping with
mean, low and high, as `evaluation.intervals` makes it. Each figure carries a description in words,
`figure.get_label()`.
"""

from collections.abc import Mapping, Sequence
from math import log
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thesislib import published
from thesislib.figures import style
from thesislib.figures.hands import described

ROW = 0.42  # inches, of a rung
GAP = 0.05  # between frames, as a share of one
IN_ONE_BLOCK = 10  # words
OUTSIDE = 0.35  # how much of a frame's ink is left where nothing is signed
STARTS = {  # how a network for a few signs was begun -> its name on a page, colour and marker
    "scratch": ("from scratch", style.ORANGE, "s"),
    "transfer_all": ("transferred, all layers trained on", style.BLUE, "o"),
    "transfer_one_frozen": ("transferred, one LSTM layer frozen", style.GREEN, "^"),
    "transfer_frozen": ("transferred, all LSTM layers frozen", style.PURPLE, "D"),
}
RUNGS = {  # of Table II of Izutov 2020: stem of the key in published.csv -> the row as a page names it
    "am_softmax": "AM-softmax",
    "temporal_jitter": "+ temporal jitter",
    "dropout": "+ dropout in each block",
    "continuous_dropout": "+ continuous dropout",
    "push_losses": "+ push losses",
    "pr_product": "+ PR-product",
    "mixup": "+ mixup with images",
    "attention": "+ attention",
    "tv_loss": "+ hard TV loss",
}
METRICS = {"top1": ("top-1", style.BLUE, "D"), "map": ("mAP", style.AMBER, "o")}

Interval = Mapping[str, float]


def strip(frame: np.ndarray, *, begin: int = 0, end: int | None = None, count: int = 10) -> Figure:
    """Draw frames of one clip in a row, their numbers above; those outside the sign, begin to end, are pale."""
    rows = evenly(len(frame), count)
    figure, axes = _sheet(1, len(rows))
    end = len(frame) if end is None else end
    for column, row in enumerate(rows):
        inside = begin <= row < end
        _frame(axes, frame[row], column, 0, alpha=1.0 if inside else OUTSIDE)
        axes.text(column * (1 + GAP), -0.03, str(row), fontsize=8, va="bottom")
    return described(
        figure,
        f"{len(rows)} of {len(frame)} frames of a clip; the sign goes from frame {begin} to {end - 1}.",
    )


def vocabulary(frame: np.ndarray, words: Sequence[str], *, count: int = 8) -> Figure:
    """Draw one clip a word, uint8 [W, T, 3, S, S]: a row a word, ``count`` frames of it as columns.

    More than ten words stand in two blocks beside each other.
    """
    rows, blocks = evenly(frame.shape[1], count), 1 if len(words) <= IN_ONE_BLOCK else 2
    lines = -(-len(words) // blocks)
    label = 0.15 + 0.08 * max(map(len, words))  # inches
    figure, axes = _sheet(lines, len(rows), left=label, blocks=blocks)
    block = len(rows) * (1 + GAP) - axes.get_xlim()[0]  # how wide one is, its words with it
    for index, (word, clip) in enumerate(zip(words, frame, strict=True)):
        left, line = index // lines * block, index % lines
        for column, row in enumerate(rows):
            _frame(axes, clip[row], column, line, left=left)
        axes.text(left - 2 * GAP, line * (1 + GAP) + 0.5, word, ha="right", va="center", fontsize=9)
    return described(figure, f"{len(words)} words, a row each, as {len(rows)} frames: {', '.join(words)}.")


def learning(histories: Mapping[str, Mapping[str, np.ndarray]], *, num_words: int) -> Figure:
    """Draw accuracy at the left and loss at the right against epochs, training and validation, a row a run.

    A history holds accuracy, validation_accuracy, loss and validation_loss, [epochs] or [seeds, epochs]: thin lines
    are seeds, thick ones their mean. A ring marks the epoch of the best validation value, which is the number that
    Schorr 2018 prints of such panels; the last epoch's is the honest one. Dashes are what guessing gets.
    """
    figure, grid = style.figure(1.75 * len(histories) + 0.75, columns=2, rows=len(histories), squeeze=False)
    told = []
    for row, (title, history) in zip(grid, histories.items(), strict=True):
        for axes, kind, guess, scale in zip(
            row, ("accuracy", "loss"), (1 / num_words, log(num_words)), (100, 1), strict=True
        ):
            axes.axhline(scale * guess, color=style.GREY, linewidth=1.1, linestyle="--")
            _learned(axes, scale * np.atleast_2d(history[kind]), style.BLUE)
            found = scale * np.atleast_2d(history[f"validation_{kind}"])
            _learned(axes, found, style.ORANGE)
            mean = found.mean(axis=0)
            best = int(mean.argmax() if kind == "accuracy" else mean.argmin())
            axes.plot(
                1 + best, mean[best], "o", color=style.ORANGE, markerfacecolor="white", markersize=7, zorder=4
            )
            if kind == "accuracy":
                axes.set(ylim=(0, 103), ylabel="accuracy, %")
                told.append(f"{title}: validation {mean[-1]:.0f} % at the end, {mean[best]:.0f} % at best")
            else:
                axes.set(ylim=(0, None), ylabel="loss")
        row[0].set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    _key(
        figure,
        ("training", dict(color=style.BLUE)),
        ("validation", dict(color=style.ORANGE)),
        ("its best epoch", dict(color=style.ORANGE, marker="o", markerfacecolor="white", linestyle="none")),
        ("guessing", dict(color=style.GREY, linestyle="--", linewidth=1.1)),
    )
    return described(figure, f"Accuracy and loss by epoch. {'; '.join(told)}.")


def transfer(
    accuracy: Mapping[str, Mapping[int, Interval]],
    gain: Mapping[str, Mapping[int, Interval]] | None = None,
    *,
    num_words: int | None = None,
    xlabel: str = "training clips a word",
) -> Figure:
    """Draw accuracy against clips a word by how the network was begun; at the right what it gains over scratch.

    Both map a key of `STARTS` to number of clips to shares with mean, low and high; gains are paired differences,
    so their intervals say more than those of two accuracies. Dashes at the left are guessing, where the number of
    words is given.
    """
    panels = [accuracy] if gain is None else [accuracy, gain]
    figure, grid = style.figure(3.5, columns=len(panels), squeeze=False)
    counts = sorted({int(count) for row in accuracy.values() for count in row})
    for axes, points in zip(grid[0], panels, strict=True):
        shift = np.linspace(0.95, 1.05, len(points)) if len(points) > 1 else [1.0]  # bars side by side
        for by, (start, row) in zip(shift, points.items(), strict=True):
            row = {int(count): value for count, value in row.items()}
            x = np.array(sorted(row))
            mean, low, high = (100 * np.array([row[n][key] for n in x]) for key in ("mean", "low", "high"))
            _, colour, marker = STARTS[start]
            axes.errorbar(
                by * x, mean, [mean - low, high - mean], color=colour, marker=marker, elinewidth=1.2
            )
        axes.set(xscale="log", xlabel=xlabel)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.grid(axis="x", visible=False)
    grid[0, 0].set(ylabel="accuracy on strangers, %", ylim=(0, None))
    if num_words is not None:
        grid[0, 0].axhline(100 / num_words, color=style.GREY, linewidth=1.1, linestyle="--", zorder=1)
    if gain is not None:
        grid[0, 0].set_title("accuracy")
        grid[0, 1].set(title="gain over training from scratch", ylabel="percentage points")
        grid[0, 1].axhline(0, color=style.ORANGE, linewidth=1.2, zorder=1)
    looks = [(STARTS[s][0], dict(color=STARTS[s][1], marker=STARTS[s][2])) for s in STARTS if s in accuracy]
    if num_words is not None:
        looks.append(("guessing", dict(color=style.GREY, linestyle="--", linewidth=1.1)))
    _key(figure, *looks, columns=2)
    said = "; ".join(
        f"{STARTS[start][0]} "
        + ", ".join(f"{100 * row[n]['mean']:.0f} % with {n}" for n in sorted(row, key=int))
        for start, row in accuracy.items()
    )
    gained = "; ".join(
        f"{STARTS[start][0]} "
        + ", ".join(f"{100 * row[n]['mean']:+.0f} with {n}" for n in sorted(row, key=int))
        for start, row in (gain or {}).items()
    )
    also = f" Points gained over training from scratch: {gained}." if gained else ""
    return described(figure, f"Accuracy by number of {xlabel}: {said}.{also}")


def ladder(rungs: Mapping[str, Mapping[str, Interval]], *, here: str) -> Figure:
    """Draw top-1 and mAP of each rung with intervals, and at the right the numbers of Table II of Izutov 2020.

    ``rungs`` maps keys of `RUNGS` to metric (top1, map) to a share with mean, low and high. ``here`` says in a few
    words what ours were measured on. Each side has an axis of its own: the clips are others, the steps compare.
    """
    place = np.arange(len(rungs))[::-1]
    figure, (ours, theirs) = style.figure(ROW * len(rungs) + 1.5, columns=2, sharey=True)
    for y, (rung, values) in zip(place, rungs.items(), strict=True):
        printed = printed_rung(rung)
        for dy, metric in zip((0.14, -0.14), METRICS, strict=True):
            _, colour, marker = METRICS[metric]
            mean, low, high = (100 * values[metric][key] for key in ("mean", "low", "high"))
            ours.plot([low, high], [y + dy] * 2, color=colour, linewidth=2, solid_capstyle="butt", zorder=3)
            ours.plot(mean, y + dy, marker, color=colour, markeredgecolor="white", markersize=6.5, zorder=4)
            theirs.plot(
                printed[metric],
                y + dy,
                marker,
                color=colour,
                markerfacecolor="white",
                markersize=5.5,
                zorder=4,
            )
        _beside(ours, y, " / ".join(f"{100 * values[metric]['mean']:.1f}" for metric in METRICS))
        _beside(theirs, y, " / ".join(f"{printed[metric]:.2f}" for metric in METRICS))
    for axes, title in ((ours, f"here: {here}"), (theirs, "printed: MS-ASL, 100 signs")):
        axes.set_title(fill(title, 30), fontsize=9.5)
        _beside(axes, len(rungs) - 0.35, " / ".join(name for name, *_ in METRICS.values()))
        axes.set_xlabel("%")
        axes.margins(x=0.08)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
    ours.set_yticks(place, [RUNGS[rung] for rung in rungs])
    ours.set_ylim(-0.6, len(rungs) - 0.1)
    look = [(name, dict(color=colour, marker=marker)) for name, colour, marker in METRICS.values()]
    hollow = dict(color=style.GREY, marker="o", markerfacecolor="white", linestyle="none")
    _key(figure, *look, ("printed", hollow))
    said = ", ".join(
        f"{RUNGS[rung]} {100 * values['top1']['mean']:.1f} and {100 * values['map']['mean']:.1f} (printed "
        f"{printed_rung(rung)['top1']:.2f} and {printed_rung(rung)['map']:.2f})"
        for rung, values in rungs.items()
    )
    return described(figure, f"Top-1 and mAP in percent, one change at a time: {said}.")


def printed_rung(rung: str) -> dict[str, float]:
    """Return top1 and map in percent of a row of Table II; KeyError for none of `RUNGS`."""
    numbers = {number.key: number.value for number in published.load()}
    return {metric: numbers[f"izutov2020_ablation_{rung}_{metric}"] for metric in METRICS}


def evenly(length: int, count: int) -> np.ndarray:
    """Return ``count`` frames spread evenly over a clip, first and last among them; all where it has no more."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(int)


def _learned(axes: Axes, values: np.ndarray, colour: str) -> None:
    """Draw runs [seeds, epochs] as thin lines and their mean as a thick one."""
    epochs = np.arange(1, values.shape[1] + 1)
    if len(values) > 1:
        axes.plot(epochs, values.T, color=colour, linewidth=0.7, alpha=0.45)
    axes.plot(epochs, values.mean(axis=0), color=colour, zorder=3)


def _key(figure: Figure, *looks: tuple[str, Mapping[str, object]], columns: int = 4) -> None:
    """Name colours and marks below a figure."""
    handles = [Line2D([], [], label=name, **look) for name, look in looks]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)


def _beside(axes: Axes, y: float, text: str) -> None:
    axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)


def _sheet(rows: int, columns: int, *, left: float = 0.0, blocks: int = 1) -> tuple[Figure, Axes]:
    """Return a figure for blocks of frames in rows, and its axes in units of a frame, y down.

    ``left`` inches before each block are kept for words.
    """
    inches = min((style.WIDTH / blocks - left) / (columns * (1 + GAP)), 1.3)  # of one frame
    before = left / inches
    width, height = blocks * (columns * (1 + GAP) + before) - GAP, rows * (1 + GAP) - GAP
    figure, axes = style.figure(inches * height + 0.3)
    figure.set_figwidth(min(inches * width + 0.1, style.WIDTH))
    axes.set(xlim=(-before, width - before), ylim=(height, -0.2 if rows == 1 else 0), aspect="equal")
    axes.set_axis_off()
    return figure, axes


def _frame(
    axes: Axes, picture: np.ndarray, column: int, row: int, *, left: float = 0.0, alpha: float = 1.0
) -> None:
    """Draw a frame uint8 [3, S, S] at its place in the sheet."""
    x, y = left + column * (1 + GAP), row * (1 + GAP)
    extent = (x, x + 1, y + 1, y)
    axes.imshow(picture.transpose(1, 2, 0), extent=extent, alpha=alpha, interpolation="antialiased")
