"""Strangers who sign with the other hand: the records of `left_hands` as a figure, a table and words."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from thesislib.chapters.left_hands import PROTOCOLS
from thesislib.figures import style
from thesislib.figures.chapter4_words import gains
from thesislib.figures.hands import described
from thesislib.figures.signer_scores import (
    Records,
    difference,
    guessing,
    images_of,
    scores,
    signers_of,
    system_name,
    systems_under,
)

RIGHT, LEFT, BOTH_RIGHT, BOTH_LEFT = PROTOCOLS
TITLES = {
    RIGHT: "right hands taught, right asked",
    LEFT: "right hands taught, left asked",
    BOTH_RIGHT: "both taught, right asked",
    BOTH_LEFT: "both taught, left asked",
}
MARKS = {
    RIGHT: ("o", style.BLUE, -0.12),
    LEFT: ("o", style.ORANGE, -0.12),
    BOTH_RIGHT: ("D", style.BLUE, 0.2),
    BOTH_LEFT: ("D", style.ORANGE, 0.2),
}
ROW = 0.36  # inches


def figure(records: Records) -> Figure:
    """Draw each system's accuracy by what was taught and asked: two pairs of marks, each joined by a line."""
    names = sorted(systems_under(records, RIGHT), key=lambda name: scores(records, name, RIGHT).mean)
    made, axes = style.figure(1.2 + ROW * len(names))
    for row, name in enumerate(names):
        found = {protocol: scores(records, name, protocol).mean for protocol in PROTOCOLS}
        for ends in ((RIGHT, LEFT), (BOTH_RIGHT, BOTH_LEFT)):
            y = row - MARKS[ends[0]][2]
            axes.plot([found[end] for end in ends], [y, y], color=style.GREY, linewidth=1, zorder=1)
        for protocol, (marker, colour, below) in MARKS.items():
            filled = colour if marker == "o" else "white"
            axes.plot(
                found[protocol],
                row - below,
                marker,
                color=colour,
                markerfacecolor=filled,
                markersize=6.5,
                label=TITLES[protocol] if row == 0 else None,
            )
    axes.axvline(guessing(records), color=style.BLACK, linewidth=1, linestyle=":", zorder=0)
    axes.set_yticks(range(len(names)), [system_name(name) for name in names])
    axes.grid(axis="y", visible=False)
    axes.set(
        xlabel=f"accuracy, %, zero-shot, {len(signers_of(records))} people; dotted: guessing",
        xlim=(0, None),
        ylim=(-0.6, len(names) - 0.4),
    )
    made.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    listed = ", ".join(
        f"{system_name(name)} {scores(records, name, RIGHT).mean:.0f} with right and "
        f"{scores(records, name, LEFT).mean:.0f} with left hands"
        for name in reversed(names)
    )
    return described(made, f"Accuracy in percent of readers that were taught right hands: {listed}.")


def table(records: Records) -> pd.DataFrame:
    """Return one row a system, one column a protocol: mean and interval in percent; guessing, people, pictures."""
    names = sorted(systems_under(records, RIGHT), key=lambda name: -scores(records, name, RIGHT).mean)
    rows = {
        system_name(name): {TITLES[p]: scores(records, name, p).text for p in PROTOCOLS} for name in names
    }
    rows["guessing"] = dict.fromkeys(TITLES.values(), f"{guessing(records):.1f}")
    made = pd.DataFrame.from_dict(rows, orient="index")
    return made.assign(signers=str(len(signers_of(records))), pictures=f"{images_of(records):,}")


def told(sets: Mapping[str, Records], system: str) -> str:
    """Return the paragraph on what a system loses on left hands, and what teaching both does; one part a set."""
    parts = []
    for name, records in sets.items():
        found = {protocol: scores(records, system, protocol).mean for protocol in PROTOCOLS}
        lost = difference(records, system, system, LEFT, to=RIGHT)
        regained = difference(records, system, system, BOTH_LEFT, to=LEFT)
        left = difference(records, system, system, BOTH_LEFT, to=BOTH_RIGHT)
        untold = difference(records, system, system, BOTH_LEFT, to=RIGHT)
        cost = difference(records, system, system, BOTH_RIGHT, to=RIGHT)
        parts.append(
            f"On `{name}`, *{system_name(system)}* reads {found[RIGHT]:.1f} % with right hands taught and asked. "
            f"Asked with the left, the same people are read at {found[LEFT]:.1f} %: it {gains(lost)}. Where each "
            f"example's mirror image is taught beside it, left hands are read at {found[BOTH_LEFT]:.1f} %: it "
            f"{gains(regained)}. Against being told and mirrored back, that {gains(untold)}. Against right hands, "
            f"which are read at {found[BOTH_RIGHT]:.1f} % then, a left hand {gains(left)}. On right hands, "
            f"teaching both in place of right ones alone {gains(cost)}."
        )
    return " ".join(parts)
