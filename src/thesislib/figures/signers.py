"""Figures of accuracy across signers: systems, one change at a time, shots, how protocols flatter, features."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thesislib.figures import style
from thesislib.figures.hands import described
from thesislib.figures.signer_scores import (
    THESIS,
    TOP1,
    TOP2,
    Records,
    Rung,
    Scores,
    difference,
    f_sweep,
    guessing,
    measured,
    points,
    printed_f_sweep,
    protocol_name,
    protocols_of,
    scores,
    shots_of,
    signers_of,
    system_name,
    systems_under,
)

ROW = 0.27  # inches
PALE = "#A8A8A8"
GREY_DOT = "#777777"
FLATTERY = ("zero_shot", "k_shot_s5", "same_signer", "random_split")


def systems(
    records: Records, protocol: str, names: Sequence[str] = (), *, highlight: Sequence[str] = (THESIS,)
) -> Figure:
    """Draw each system's mean with its interval and a dot a signer, the best on top; a line is guessing."""
    shown = measured(records, names, protocol) or systems_under(records, protocol)
    found = {name: scores(records, name, protocol) for name in shown}
    order = sorted(found, key=lambda name: found[name].mean)
    figure, axes = style.figure(ROW * len(order) + 0.9)
    for row, name in enumerate(order):
        score_row(axes, row, found[name], style.ORANGE if name in highlight else style.BLUE)
    name_rows(axes, [system_name(name) for name in order])
    column(axes, [found[name].text for name in order], "mean [95 % interval]")
    _guessing(axes, guessing(records))
    axes.set_xlim(0, None)
    people = len(found[order[0]].by_signer)
    who = f": small dots are the {people} signers" if people > 1 else ", one signer"
    axes.set_xlabel(f"accuracy, %, {protocol_name(protocol)}{who}")
    listed = ", ".join(f"{system_name(name)} {found[name].mean:.1f}" for name in reversed(order))
    return described(figure, f"Accuracy in percent, {protocol_name(protocol)}: {listed}.")


def ladder(steps: Sequence[Rung], *, xlabel: str = "accuracy, %") -> Figure:
    """Draw changes one at a time and then together, from the top: `signer_scores.rungs`, gains at the right."""
    figure, axes = style.figure(ROW * len(steps) + 1.0)
    place = len(steps) - 1 - np.arange(len(steps)) - 0.5 * np.array([step.together for step in steps])
    start = steps[0]
    for y, step in zip(place, steps, strict=True):
        colour = style.ORANGE if step is start else style.GREEN if step.together else style.BLUE
        score_row(axes, y, step.scores, colour)
    axes.axvline(start.scores.mean, color=style.ORANGE, linewidth=1, linestyle="--", zorder=1)
    if any(step.together for step in steps):
        line = place[[step.together for step in steps]].max() + 0.75
        axes.axhline(line, color=style.GREY, linewidth=0.8)
        beside = axes.get_yaxis_transform()
        axes.text(
            -0.01, line, "together:", transform=beside, ha="right", va="center", fontsize=8.5, style="italic"
        )
    name_rows(axes, [step.label for step in steps], place)
    gains = ["start" if step.gain is None else points(step.gain) for step in steps]
    column(axes, gains, "points gained", place)
    axes.set_xlabel(xlabel)
    said = ", ".join(f"{step.label} {step.scores.mean:.1f}" for step in steps)
    return described(figure, f"{xlabel}, one change at a time: {said}.")


def shots(records: Records, names: Sequence[str]) -> Figure:
    """Draw accuracy against the pictures a letter that the new signer gives, from none; bars are intervals."""
    names = measured(records, names, "zero_shot")
    figure, axes = style.figure(3.6)
    spread = np.linspace(-0.09, 0.09, len(names)) if len(names) > 1 else [0.0]
    every: set[int] = set()
    for name, shift, colour, marker in zip(
        names, spread, cycle(style.CYCLE), cycle(style.MARKERS), strict=False
    ):
        found = shot_scores(records, name)
        every |= set(found)
        values = list(found.values())
        mean = np.array([value.mean for value in values])
        reach = np.array([(value.mean - value.low, value.high - value.mean) for value in values]).T
        axes.errorbar(
            _shot_place(list(found)) + shift,
            mean,
            reach,
            color=colour,
            marker=marker,
            elinewidth=1.1,
            label=system_name(name),
        )
    ticks = sorted(every)
    axes.set_xticks(_shot_place(ticks), [f"{tick}" if tick else "0\nzero-shot" for tick in ticks])
    axes.set(xlabel="labelled pictures a letter of the new signer", ylabel="accuracy, %")
    axes.grid(axis="x", visible=False)
    _legend_below(figure, axes)
    return described(figure, f"Accuracy in percent against shots, for {_listed(names)}.")


def shot_scores(records: Records, name: str, metric: str = TOP1) -> dict[int, Scores]:
    """Return a system's scores by the number of shots, zero-shot first."""
    stored = {
        p: s for r in records for p in r["metrics"]["systems"].get(name, {}) if (s := shots_of(p)) is not None
    }
    return {s: scores(records, name, p, metric) for p, s in sorted(stored.items(), key=lambda item: item[1])}


def curve(points: Mapping[str, Mapping[int, Mapping[str, float]]], *, xlabel: str) -> Figure:
    """Draw accuracy against a number on a log axis: system -> number -> shares mean, low, high; bands between.

    For numbers of training signers, pictures a letter, or whatever else is counted.
    """
    figure, axes = style.figure(3.5)
    for (name, row), colour, marker in zip(
        points.items(), cycle(style.CYCLE), cycle(style.MARKERS), strict=False
    ):
        row = {int(x): value for x, value in row.items()}
        x = sorted(row)
        mean, low, high = (100 * np.array([row[at][end] for at in x]) for end in ("mean", "low", "high"))
        axes.plot(x, mean, color=colour, marker=marker, label=system_name(name))
        axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
    ticks = sorted({int(x) for row in points.values() for x in row})
    axes.set(xscale="log", xlabel=xlabel, ylabel="accuracy, %")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    _legend_below(figure, axes)
    return described(figure, f"Accuracy in percent against {xlabel}, for {_listed(points)}.")


def crossings(ways: Mapping[str, Records], names: Sequence[str]) -> Figure:
    """Draw accuracy on another set than was learned from: a row a way from sets to a set, a mark a system.

    The short line of a row is guessing there: sets share fewer or more letters. Bars are intervals.
    """
    figure, axes = style.figure(1.2 + 0.55 * len(ways))
    spread = np.linspace(0.26, -0.26, len(names)) if len(names) > 1 else [0.0]
    for name, shift, colour, marker in zip(
        names, spread, cycle(style.CYCLE), cycle(style.MARKERS), strict=False
    ):
        found = {
            row: scores(records, name, "zero_shot")
            for row, records in enumerate(ways.values())
            if name in systems_under(records, "zero_shot")
        }
        rows, mean = np.array(list(found)) - shift, np.array([value.mean for value in found.values()])
        reach = np.array([(value.mean - value.low, value.high - value.mean) for value in found.values()]).T
        axes.errorbar(
            mean,
            rows,
            xerr=reach,
            color=colour,
            marker=marker,
            linestyle="",
            elinewidth=1.1,
            label=system_name(name),
        )
    for row, records in enumerate(ways.values()):
        axes.plot(
            [guessing(records)] * 2, [row - 0.35, row + 0.35], color=style.BLACK, linewidth=1, linestyle=":"
        )
    axes.set_yticks(range(len(ways)), [f"{way}\n({_people(of)})" for way, of in ways.items()], fontsize=9)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="accuracy, %, zero-shot; dotted: guessing", xlim=(0, 100), ylim=(len(ways) - 0.5, -0.5))
    _legend_below(figure, axes)
    said = "; ".join(
        f"{way}: "
        + ", ".join(
            f"{system_name(name)} {scores(records, name, 'zero_shot').mean:.1f}"
            for name in names
            if name in systems_under(records, "zero_shot")
        )
        for way, records in ways.items()
    )
    return described(figure, f"Accuracy in percent on another set than was learned from. {said}.")


def flattery(records: Records, names: Sequence[str], kinds: Sequence[str] = FLATTERY) -> Figure:
    """Draw the same systems under several protocols, and at the right the last minus the first, by signer.

    Protocols and systems that were not measured on this set are left out, here and in the other figures.
    """
    kinds = [kind for kind in kinds if kind in protocols_of(records)]
    names = measured(records, names, *kinds)
    figure, axes = style.figure(0.72 * len(names) + 1.2)
    offset = np.linspace(0.27, -0.27, len(kinds))
    place = np.arange(len(names))[::-1]
    for y, name in zip(place, names, strict=True):
        for kind, dy, colour, marker in zip(
            kinds, offset, cycle(style.CYCLE), cycle(style.MARKERS), strict=False
        ):
            value = scores(records, name, kind)
            axes.plot([value.low, value.high], [y + dy] * 2, color=colour, linewidth=1.4)
            label = protocol_name(kind) if y == place[0] else None
            axes.plot(value.mean, y + dy, marker, color=colour, markersize=7, linestyle="none", label=label)
        axes.axhline(y - 0.5, color="#E3E3E3", linewidth=0.7)
    name_rows(axes, [system_name(name) for name in names], place)
    gains = [points(difference(records, name, name, kinds[-1], to=kinds[0])) for name in names]
    column(axes, gains, f"{protocol_name(kinds[-1])}\nminus {protocol_name(kinds[0])}", place)
    _guessing(axes, guessing(records))
    axes.set_xlabel("accuracy, %")
    _legend_below(figure, axes, columns=len(kinds))
    return described(figure, f"Accuracy of {_listed(names)} under {', '.join(map(protocol_name, kinds))}.")


def features(records: Records, *, here: str, there: str) -> Figure:
    """Draw top-1 and top-2 against the number of features f beside what the thesis prints (figure 3.26).

    Thin lines are single signers. ``here`` and ``there`` say in a few words under which protocol each was measured.
    """
    printed = printed_f_sweep()
    figure, axes = style.figure(3.6, columns=2, sharey=True)
    for axis, metric, title in zip(
        axes, (TOP1, TOP2), ("first answer right", "among the first two"), strict=True
    ):
        f, values = f_sweep(records, metric)
        for signer in values.T:
            axis.plot(f, signer, color=PALE, linewidth=0.9, zorder=1)
        axis.plot(f, values.mean(axis=1), color=style.BLUE, marker="o", label=f"here: {here}", zorder=2)
        axis.plot(
            list(printed[metric]),
            list(printed[metric].values()),
            color=style.ORANGE,
            marker="s",
            linestyle="--",
            label=f"printed: {there}",
            zorder=3,
        )
        ticks = sorted({*f, *printed[metric]})
        axis.set(title=title, xscale="log", xlabel="features f")
        axis.set_xticks(ticks, ticks, fontsize=8.5)
        axis.minorticks_off()
    axes[0].plot([], [], color=PALE, linewidth=0.9, label="single signers here")
    axes[0].set_ylabel("accuracy, %")
    _legend_below(figure, axes[0], columns=1)
    return described(figure, f"Accuracy against the number of features, here ({here}) and printed ({there}).")


def _people(records: Records) -> str:
    people = len(signers_of(records))
    return "one stranger" if people == 1 else f"{people} strangers"


def score_row(axes: Axes, y: float, value: Scores, colour: str) -> None:
    """Draw one row: the interval as a bar, the mean on it, and below it a dot a signer."""
    below = [y - 0.29] * len(value.by_signer)
    axes.plot(
        list(value.by_signer.values()),
        below,
        "o",
        color=GREY_DOT,
        markersize=3.6,
        markeredgewidth=0,
        alpha=0.75,
    )
    axes.plot([value.low, value.high], [y, y], color=colour, linewidth=2.2, zorder=3, solid_capstyle="butt")
    axes.plot(value.mean, y, "D", color=colour, markersize=6, markeredgecolor="white", zorder=4)


def name_rows(axes: Axes, names: Sequence[str], place: Sequence[float] | None = None) -> None:
    """Name the rows at the left, from below to above unless places are given, and leave them room."""
    place = np.arange(len(names)) if place is None else np.asarray(place)
    axes.set_yticks(place, names)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(place.min() - 0.65, place.max() + 0.5)
    axes.spines["left"].set_visible(False)


def column(axes: Axes, texts: Sequence[str], header: str, place: Sequence[float] | None = None) -> None:
    """Write a column of numbers at the right of the rows, under a header, from below to above as `name_rows`."""
    beside = axes.get_yaxis_transform()
    for y, text in zip(range(len(texts)) if place is None else place, texts, strict=True):
        axes.text(1.02, y, text.replace("-", "−"), transform=beside, va="center", fontsize=9)
    axes.text(1.02, 1.01, header, transform=axes.transAxes, va="bottom", fontsize=8.5, color="#555555")


def _guessing(axes: Axes, value: float) -> None:
    axes.axvline(value, color=style.BLACK, linewidth=1, linestyle=":", zorder=1)
    axes.text(
        value, 1.01, "guessing", transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8.5
    )


def _shot_place(counts: Sequence[int]) -> np.ndarray:
    """Return where numbers of shots stand: as on a log axis, with room for none."""
    return np.log2(1 + np.asarray(counts, float))


def _legend_below(figure: Figure, axes: Axes, columns: int = 3) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize=9)


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(map(system_name, names))
