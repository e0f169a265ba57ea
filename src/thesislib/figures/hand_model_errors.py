"""Figures of how wrong predicted hands are, in the picture and in space, from records of `hand_from_picture`."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from thesislib.figures import style
from thesislib.figures.hand_model_scores import (
    ERRORS,
    MEAN_HAND,
    NO_REPAIR,
    Configuration,
    Records,
    Score,
    by_configuration,
    by_iteration,
    by_repair,
    change,
    images_seen,
    is_clear,
    is_together,
    measured,
    repair_name,
    score,
)
from thesislib.figures.hands import described

ROW = 0.30  # inches
PANELS = (  # of `repairs`: in the picture, in space, and what no detected joint says anything about
    "true_2d_px_at_224",
    "joints_mm_aligned",
    "joints_mm",
    "tips_mm_aligned",
    "twist_deg_aligned",
    "limits_exceeded_deg",
)
COLUMNS = 3
ENCODER_COLOURS = {
    "resnet50": style.BLUE,
    "densenet121": style.ORANGE,
    "inception_v3": style.GREEN,
    "small": style.PURPLE,
}
MODES = {  # how a configuration was started -> dash and marker
    "pretrained": ("-", "o"),
    "random": ((0, (5, 2)), "s"),
    "frozen": ((0, (1, 1.2)), "^"),
    "no shape loss": ((0, (6, 1.5, 1, 1.5)), "D"),
}


def repairs(records: Records, errors: Sequence[str] = PANELS) -> Figure:
    """Draw each error after each repair, a panel an error: mean and 95 % interval over subjects.

    A line marks the unrepaired run. A hollow mark says that the change, paired by subject, may be none.
    """
    groups = by_repair(records)
    if not groups:
        raise ValueError("none of these records has a repair; pass those of repaired runs too")
    errors = measured([record for runs in groups.values() for record in runs], errors)
    columns, lines = min(COLUMNS, len(errors)), -(-len(errors) // COLUMNS)
    figure, axes = style.figure(
        lines * (ROW * len(groups) + 0.75) + 0.35, columns=columns, rows=lines, sharey=True, squeeze=False
    )
    place = np.arange(len(groups))[::-1] - 0.5 * np.array([is_together(r) for r in groups])
    for axis, error in zip(axes.flat, errors, strict=False):
        for y, (repairs_, runs) in zip(place, groups.items(), strict=True):
            clear = repairs_ == NO_REPAIR or is_clear(change(runs, groups[NO_REPAIR], error))
            _dot(axis, y, score(runs, error), _colour(repairs_), filled=clear)
        start = score(groups[NO_REPAIR], error).mean
        axis.axvline(start, color=style.ORANGE, linewidth=1, linestyle="--", zorder=1)
        axis.set_title(f"{ERRORS[error].short}, {ERRORS[error].unit}", fontsize=9.5)
        axis.margins(x=0.1)
        axis.set_xlim(0, None)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.tick_params(axis="y", length=0, labelsize=9)
        axis.grid(axis="y", visible=False)
        axis.spines["left"].set_visible(False)
    axes[0, 0].set_yticks(place, [fill(repair_name(r), 27) for r in groups])
    axes[0, 0].set_ylim(place.min() - 0.5, place.max() + 0.5)
    for axis in list(axes.flat)[len(errors) :]:
        axis.set_axis_off()
    marks = [
        Line2D([], [], marker="D", color=style.BLUE, linestyle="none"),
        Line2D([], [], marker="D", color=style.BLUE, markerfacecolor="white", linestyle="none"),
    ]
    figure.legend(
        marks,
        ("differs from no repair, over people", "may not differ"),
        loc="outside lower center",
        ncols=2,
        fontsize=9,
    )
    said = "; ".join(f"{repair_name(r)}: {_said(runs, errors)}" for r, runs in groups.items())
    return described(figure, f"Errors after each repair. {said}.")


def training(records: Records) -> Figure:
    """Draw the training loss of each configuration against pictures seen, mean over seeds, on logarithmic axes.

    Marks at the right end are validation losses at the end, on the whole set.
    """
    groups = by_configuration(records)
    figure, axes = style.figure(4.1)
    for configuration, runs in groups.items():
        colour, (dash, marker) = _look(configuration)
        losses = np.array([run["metrics"]["history"]["loss"] for run in runs])
        seen = images_seen(runs[0])
        ends = [run["metrics"]["validation_loss"] for run in runs]
        axes.plot(seen, losses.mean(axis=0), color=colour, linestyle=dash, label=configuration.title)
        axes.plot(1.06 * seen[-1], np.mean(ends), marker, color=colour, markeredgecolor="white", markersize=7)
    axes.set(xlabel="pictures seen", ylabel="loss, as equation 6.1", yscale="log", xscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:g}")
    _legend(figure, groups)
    names = ", ".join(f"{c.title}" for c in groups)
    return described(
        figure, f"Training loss against pictures seen, and validation loss at the end, for {names}."
    )


def iterations(records: Records) -> Figure:
    """Draw the error of joints in the picture at the start and after each iteration, a line a configuration."""
    groups = by_configuration(records)
    figure, axes = style.figure(3.6)
    last = 0
    for configuration, runs in groups.items():
        colour, (dash, marker) = _look(configuration)
        errors = by_iteration(runs)  # [seeds, T + 1]
        last = max(last, errors.shape[1] - 1)
        axes.plot(errors.mean(axis=0), color=colour, linestyle=dash, marker=marker, label=configuration.title)
        axes.plot(errors.T, ".", color=colour, alpha=0.4, markersize=4)
    axes.set_xticks(range(last + 1), ["start", *map(str, range(1, last + 1))])
    axes.set(xlabel="iteration", ylabel="error in the picture, px at 224", ylim=(0, None))
    axes.grid(axis="x", visible=False)
    _legend(figure, groups)
    said = "; ".join(
        f"{c.title} {', '.join(f'{v:.1f}' for v in by_iteration(r).mean(0))}" for c, r in groups.items()
    )
    return described(figure, f"Error of joints in the picture, px at 224, from the start on: {said}.")


def picture_against_space(records: Records, *, space: str = "joints_mm_aligned") -> Figure:
    """Draw the error in the picture against that in space, a mark a configuration, with intervals over subjects.

    A cross is the mean hand laid on the true joints: left of it a network sees more in the picture, below it
    more in space.
    """
    groups = by_configuration(records)
    figure, axes = style.figure(4.1)
    for configuration, runs in groups.items():
        colour, (_, marker) = _look(configuration)
        x, y = score(runs, "true_2d_px_at_224"), score(runs, space)
        axes.plot([x.low, x.high], [y.mean] * 2, color=colour, linewidth=1.1)
        axes.plot([x.mean] * 2, [y.low, y.high], color=colour, linewidth=1.1)
        axes.plot(
            x.mean,
            y.mean,
            marker,
            color=colour,
            markersize=8,
            markeredgecolor="white",
            label=configuration.title,
        )
    first = next(iter(groups.values()))[:1]
    if space in first[0]["metrics"].get("trivial", {}):
        x, y = (score(first, error, of="trivial").mean for error in ("true_2d_px_at_224", space))
        axes.axhline(y, color=style.GREY, linewidth=1, linestyle=":")
        axes.plot(x, y, "x", color=style.BLACK, markersize=9, markeredgewidth=2, label=MEAN_HAND)
    axes.set(xlabel="joints in the picture, px at 224", ylabel=f"{ERRORS[space].title}, {ERRORS[space].unit}")
    axes.set(xlim=(0, 1.05 * axes.dataLim.x1), ylim=(0, 1.08 * axes.dataLim.y1))
    _legend(figure, groups, axes)
    said = "; ".join(f"{c.title}: {_said(runs, ('true_2d_px_at_224', space))}" for c, runs in groups.items())
    return described(figure, f"Error in the picture against error in space. {said}.")


def _look(configuration: Configuration) -> tuple[str, tuple[object, str]]:
    """Return the colour of an encoder, and the dash and marker of how it was trained."""
    mode = "frozen" if configuration.frozen else "random" if configuration.start == "random" else "pretrained"
    mode = mode if configuration.shape_loss else "no shape loss"
    return ENCODER_COLOURS.get(configuration.encoder, style.GREY), MODES[mode]


def _legend(figure: Figure, groups: Mapping[Configuration, object], axes: Axes | None = None) -> None:
    """Name each configuration by its colour, dash and marker, below the figure."""
    if axes is not None:
        handles, names = axes.get_legend_handles_labels()
    else:
        names = [configuration.title for configuration in groups]
        looks = [_look(configuration) for configuration in groups]
        handles = [
            Line2D([], [], color=colour, linestyle=dash, marker=marker) for colour, (dash, marker) in looks
        ]
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8.5, handlelength=3.2)


def _colour(repairs_: Sequence[str]) -> str:
    if not repairs_:
        return style.ORANGE
    return style.GREEN if is_together(repairs_) else style.BLUE


def _dot(axes: Axes, y: float, value: Score, colour: str, *, filled: bool) -> None:
    axes.plot([value.low, value.high], [y, y], color=colour, linewidth=2, zorder=3, solid_capstyle="butt")
    fill, edge = (colour, "white") if filled else ("white", colour)
    axes.plot(value.mean, y, "D", color=fill, markersize=5.5, markeredgecolor=edge, zorder=4, clip_on=False)


def _said(runs: Records, errors: Sequence[str]) -> str:
    return ", ".join(f"{ERRORS[error].short} {score(runs, error).mean:.1f}" for error in errors)
