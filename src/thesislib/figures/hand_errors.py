"""Figures of how well and how fast networks find the joints of hands; each carries a description in words."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import offset_copy

from thesislib.figures import style
from thesislib.figures.hands import FINGER_COLOURS, described
from thesislib.figures.joint_changes import BETTER, NOT_LEARNED, WITHIN_LUCK, WORSE, Change
from thesislib.figures.tables import listed
from thesislib.synthetic.hand import FINGERS, JOINTS

NAMES = {"loss": "training loss", "lr": "learning rate"}
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))  # five, so that eight colours repeat with another
LEGEND_INSIDE = 2  # curves whose names have room beside them
LEGEND_LETTERS = 110  # of names beside each other below a figure


def pck_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    xlabel: str = "threshold, px at 256",
    kinds: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the share of joints found within each threshold: name -> (thresholds, shares).

    With kinds, name -> kind, each has a column in which the curves of the others are grey.
    """
    columns = _columns(curves, kinds)
    figure, axes = style.figure(3.3, len(columns), sharey=True, squeeze=False)
    for axis, (kind, own) in zip(axes[0], columns.items(), strict=True):
        for name, look in _looks(curves, own):
            thresholds, shares = curves[name]
            axis.plot(thresholds, 100 * np.asarray(shares), **look)
        axis.set(xlabel=xlabel, ylim=(0, 101), title=kind)
        axis.margins(x=0)
    axes[0, 0].set_ylabel("joints found, %")
    if kinds:
        _legends_of_columns(figure, axes)
    elif len(curves) > LEGEND_INSIDE:
        _legend_below(figure, axes[0, 0])
    else:
        axes[0, 0].legend(loc="lower right", fontsize=9)
    return described(figure, f"Share of joints found against the {xlabel}, for {_by_kind(columns)}.")


def error_by_joint(errors: Mapping[str, Sequence[float]], *, ylabel: str = "mean error, px at 256") -> Figure:
    """Draw the error of each joint, name -> [21]: joints from left to right, one marker a system."""
    figure, axes = style.figure(3.0)
    place = np.arange(len(JOINTS)) + np.array(
        [0] + [0.7 * (1 + i // 4) for i in range(20)]
    )  # room between fingers
    spread = np.linspace(-0.22, 0.22, len(errors)) if len(errors) > 1 else [0.0]
    for (name, values), colour, marker, shift in zip(
        errors.items(), cycle(style.CYCLE), cycle(style.MARKERS), spread, strict=False
    ):
        axes.plot(place + shift, values, marker, color=colour, label=name, linestyle="none")
    for finger, colour in enumerate(FINGER_COLOURS):
        first, last = place[1 + 4 * finger] - 0.6, place[4 + 4 * finger] + 0.6
        axes.axvspan(first, last, color=colour, alpha=0.07, linewidth=0)
        axes.text(
            (first + last) / 2,
            1.01,
            FINGERS[finger],
            transform=axes.get_xaxis_transform(),
            ha="center",
            fontsize=9,
        )
    axes.set_xticks(
        place, [name.split()[-1] for name in JOINTS], rotation=60, ha="right", rotation_mode="anchor"
    )
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", visible=False)
    axes.set(ylabel=ylabel, xlim=(place[0] - 0.9, place[-1] + 0.9))
    axes.set_ylim(0, 1.07 * max(np.max(values) for values in errors.values()))
    if len(errors) > 1:
        _legend_below(figure, axes)
    return described(figure, f"The {ylabel} of each of the 21 joints, for {listed(errors)}.")


def error_against_latency(
    points: Mapping[str, tuple[float, float]],
    *,
    xlabel: str = "latency, ms a picture on one CPU thread",
    ylabel: str = "mean error, px at 256",
) -> Figure:
    """Draw systems as points, name -> (milliseconds, error), colours as in `pck_curves`; down left is best."""
    figure, axes = style.figure(3.3)
    looks = zip(cycle(style.CYCLE), cycle(style.MARKERS[:-1]), strict=False)  # no look twice among 56
    for (name, (latency, error)), (colour, marker) in zip(points.items(), looks, strict=False):
        axes.plot(latency, error, marker, color=colour, markersize=8, linestyle="none", label=name, zorder=3)
    latencies, errors = np.array(list(points.values()), float).T
    axes.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.set_xlim(latencies.min() / 1.7, latencies.max() * 1.7)
    axes.set_ylim(errors.min() / 1.1, errors.max() * 1.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    _legend_below(figure, axes)
    return described(figure, f"{ylabel} against {xlabel}, one point each for {listed(points)}.")


def by_set(
    errors: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    goal: float,
    xlabel: str = "mean error, parts of the joints' box",
) -> Figure:
    """Draw one row a set of hands, in it one mark a system: system -> set -> mean, low and high of its interval."""
    sets = list(next(iter(errors.values())))
    figure, axes = style.figure(1.2 + 0.55 * len(sets))
    for name, offset, look in _side_by_side(errors, room=0.7):
        mean, low, high = np.array([errors[name][one] for one in sets]).T
        axes.errorbar(mean, np.arange(len(sets)) + offset, xerr=(mean - low, high - mean), **look)
    axes.axvline(goal, color=style.GREY, linewidth=1, zorder=0)
    axes.set(xlabel=xlabel, ylim=(len(sets) - 0.5, -0.5))
    axes.set_yticks(range(len(sets)), sets)
    axes.set_xlim(0, None)
    axes.grid(visible=False, axis="y")
    _legend_below(figure, axes)
    return described(
        figure, f"{xlabel} with intervals for {listed(sets)}, one mark each for {listed(errors)}."
    )


def by_letter(
    errors: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    goal: float,
    ylabel: str = "mean error, parts of the box",
) -> Figure:
    """Draw one column a letter, in it one mark a set: set -> letter -> mean, low and high of its interval.

    Letters stand in the order of the first set's errors; those that a set lacks are left out of it.
    """
    letters = sorted(first := next(iter(errors.values())), key=lambda letter: first[letter][0])
    figure, axes = style.figure(3.0)
    for name, offset, look in _side_by_side(errors, room=0.5):
        places = [place for place, letter in enumerate(letters) if letter in errors[name]]
        mean, low, high = np.array([errors[name][letters[place]] for place in places]).T
        axes.errorbar(np.array(places) + offset, mean, yerr=(mean - low, high - mean), **look)
    axes.axhline(goal, color=style.GREY, linewidth=1, zorder=0)
    axes.set(ylabel=ylabel, ylim=(0, None), xlim=(-0.6, len(letters) - 0.4))
    axes.set_xticks(range(len(letters)), letters)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", fontsize=9)
    return described(
        figure, f"{ylabel} with intervals of the letters {listed(letters)}, for {listed(errors)}."
    )


def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    keys: Sequence[str] = ("loss", "lr"),
    *,
    labels: Mapping[str, str] = NAMES,
    log: Sequence[str] = ("lr",),
    kinds: Mapping[str, str] | None = None,
) -> Figure:
    """Draw what histories record against epochs: name -> rows with `epoch` and `keys`; one panel a key.

    Rows that lack a key are passed over, so that something measured every few epochs still makes a line. With
    kinds, name -> kind, each has a column in which the lines of the others are grey.
    """
    columns = _columns(histories, kinds)
    figure, axes = style.figure(
        1.3 + 1.5 * len(keys), len(columns), len(keys), sharex=True, sharey="row", squeeze=False
    )
    for column, (kind, own) in zip(axes.T, columns.items(), strict=True):
        for axis, key in zip(column, keys, strict=True):
            for name, look in _looks(histories, own):
                known = [(row["epoch"], row[key]) for row in histories[name] if key in row]
                marker = "o" if len(known) < 3 else None
                axis.plot(*np.array(known).reshape(-1, 2).T, marker=marker, **look)
        column[0].set_title(kind)
        column[-1].set_xlabel("epoch")
        column[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis, key in zip(axes[:, 0], keys, strict=True):
        axis.set_ylabel(labels.get(key, key.replace("_", " ")))
        if key in log:
            axis.set_yscale("log")
            low, high = axis.get_ylim()
            if high < 100 * low:  # few powers of ten: plain numbers say more
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_formatter(NullFormatter())
        else:
            axis.set_ylim(0, None)
    if kinds:
        _legends_of_columns(figure, axes)
    elif len(histories) > 1:
        _legend_below(figure, axes[0, 0])
    drawn = " and ".join(labels.get(key, key.replace("_", " ")) for key in keys)
    return described(figure, f"{drawn} against epochs, for {_by_kind(columns)}.")


def changed_trainings(
    changes: Mapping[str, Change], usual: Sequence[float], *, xlabel: str = "mean error, px at 256"
) -> Figure:
    """Draw what single changes do, above them the errors of the usual training, one tick a seed.

    A bar about the usual mean shows how far luck alone takes a mean of the change's number of seeds.
    """
    figure, axes = style.figure(0.9 + 0.33 * len(changes))
    looks = {
        WITHIN_LUCK: ("o", style.GREY),
        BETTER: ("<", style.BLUE),
        WORSE: (">", style.ORANGE),
        NOT_LEARNED: ("x", style.BLACK),
    }
    for row, change in enumerate(changes.values()):
        ends = [change.usual - change.luck, change.usual + change.luck]
        axes.plot(ends, [row, row], color=style.GREY, linewidth=7, alpha=0.35, solid_capstyle="butt")
        marker, colour = looks[change.verdict]
        axes.plot(change.error, row, marker, color=colour, markersize=8)
    axes.axvline(np.mean(usual), color=style.BLACK, linewidth=1)
    axes.plot(usual, [-1] * len(usual), "|", color=style.BLACK, markersize=10)
    names = [fill(name, 46) for name in changes]  # a name of several fields has two lines
    axes.set_yticks(range(-1, len(changes)), ["as usual, each seed", *names], fontsize=8)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel=xlabel, ylim=(len(changes) - 0.4, -1.6))
    said = "; ".join(f"{name} {change.error:.1f}, {change.verdict}" for name, change in changes.items())
    return described(figure, f"{xlabel} after one change of the training: {said}.")


def learning_curve(
    errors: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    xlabel: str = "training pictures",
    ylabel: str = "mean error, px at 256",
    by_luck: tuple[float, float] | None = None,
) -> Figure:
    """Draw error against the number of training pictures: name -> {pictures: one error a seed}.

    Lines join the means; dots are single seeds. A band of grey holds what luck alone does to a single run.
    """
    figure, axes = style.figure(3.2)
    if by_luck:
        axes.axhspan(*by_luck, color=style.GREY, alpha=0.25, linewidth=0, label="by luck alone, 95 %")
    for (name, points), colour, marker in zip(
        errors.items(), cycle(style.CYCLE), cycle(style.MARKERS), strict=False
    ):
        counts = sorted(points)
        axes.plot(counts, [np.mean(points[c]) for c in counts], marker=marker, color=colour, label=name)
        for count in counts:
            if len(points[count]) > 1:
                values = points[count]
                axes.plot([count] * len(values), values, ".", color=colour, alpha=0.5, markersize=5)
    drawn = [value for points in errors.values() for values in points.values() for value in values]
    drawn += by_luck or ()
    axes.set_ylim(0.9 * min(drawn), 1.1 * max(drawn))
    ticks = sorted({count for points in errors.values() for count in points})
    axes.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=9)
    axes.minorticks_off()
    if len(errors) > 1 or by_luck:
        axes.legend()
    said = "; a band from {:.1f} to {:.1f} holds what luck alone does".format(*by_luck) if by_luck else ""
    return described(figure, f"{ylabel} against {xlabel}, for {listed(errors)}{said}.")


def _columns(names: Iterable[str], kinds: Mapping[str, str] | None) -> dict[str, list[str]]:
    """Return {title of a column: names coloured there}; one column without a title where kinds are None."""
    columns: dict[str, list[str]] = {}
    for name in names:
        columns.setdefault(kinds[name] if kinds else "", []).append(name)
    return columns


def _looks(names: Iterable[str], own: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return each name and how its line is drawn where some are shown; the others, grey, come first."""
    hinted = {"color": style.GREY, "linewidth": 0.8, "alpha": 0.5}
    shown = [
        (name, {"color": colour, "linestyle": dash, "label": name})
        for name, colour, dash in zip(own, cycle(style.CYCLE), cycle(DASHES), strict=False)
    ]
    return [(name, hinted) for name in names if name not in own] + shown


def _side_by_side(names: Collection[str], *, room: float) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Yield each name, how far its marks stand from the middle of a place, and their look."""
    looks = zip(names, cycle(style.CYCLE), cycle(style.MARKERS[:-1]), strict=False)
    for number, (name, colour, marker) in enumerate(looks):
        look = dict(fmt=marker, markersize=4, linewidth=1, color=colour, label=name)
        yield name, room * ((number + 0.5) / len(names) - 0.5), look


def _by_kind(columns: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{kind}: {listed(own)}" if kind else listed(own) for kind, own in columns.items())


def _legends_of_columns(figure: Figure, axes: np.ndarray) -> None:
    """Put the names of each column below it; the figure grows by them."""
    most = 0
    for column in axes.T:
        handles, names = column[-1].get_legend_handles_labels()
        names = [fill(name, 44) for name in names]
        most = max(most, sum(name.count("\n") + 1 for name in names))
        below = offset_copy(column[-1].transAxes, figure, x=-0.05, y=-0.4, units="inches")
        column[-1].legend(
            handles, names, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, fontsize=8.5
        )
    figure.set_figheight(figure.get_figheight() + 0.17 * most)


def _legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend below a figure, in as many columns as the longest name leaves room for, four at most.

    The figure grows by it.
    """
    handles, names = axes.get_legend_handles_labels()
    columns = max(1, min(4, len(names), LEGEND_LETTERS // (max(map(len, names)) + 6)))
    figure.set_figheight(
        figure.get_figheight() + 0.19 * -(-len(names) // columns)
    )  # what is drawn keeps its size
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=9)
