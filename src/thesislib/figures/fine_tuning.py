"""What fine-tuning gains on strangers: the records of `fine_tuning` as one figure, a table and words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thesislib.figures import signers, style
from thesislib.figures.chapter4_words import against, reached
from thesislib.figures.hands import described
from thesislib.figures.signer_scores import (
    Records,
    difference,
    guessing,
    points,
    protocol_name,
    protocols_of,
    scores,
    systems_under,
)

LAST_LAYER = "last_layer"
CONDITIONS = {
    "as_it_is": "no photograph: as it is",
    LAST_LAYER: "the last layer alone",
    "end_to_end": "end to end",
    "end_to_end_mixed": "end to end, half invented hands",
    "end_to_end_backgrounds": "end to end, other backgrounds",
    "end_to_end_scratch": "end to end, untaught before",
}
FROZEN = "letters_"  # how the names of systems begin that read the letter network's features
ROW = 0.27  # inches


def by_name(records: Records) -> dict[str, list[Mapping[str, Any]]]:
    """Return records by what was read, "asl7" or "massey to asl7", those with signers left out first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: bool(record["config"]["test"])):
        found.setdefault(record["data"]["name"], []).append(record)
    return found


def highest_frozen(records: Records, protocol: str = "zero_shot") -> float:
    """Return the percent of the highest system that reads the letter network frozen, of records of such systems.

    It is picked by the people it is of, so it is a bar to clear and no estimate.
    """
    names = [name for name in systems_under(records, protocol) if name.startswith(FROZEN)]
    return max(scores(records, name, protocol).mean for name in names)


def conditions(
    sets: Mapping[str, Records], frozen: Mapping[str, float] | None = None, protocol: str = "zero_shot"
) -> Figure:
    """Draw each condition's mean with its interval and a dot a signer, a panel a set; `by_name` gives the sets.

    ``frozen``: by set, what `highest_frozen` reaches in percent: a dashed line.
    """
    bar = {name: value for name, value in (frozen or {}).items() if name in sets}
    shown = {name: measured(records, protocol) for name, records in sets.items()}
    shown = {name: rows for name, rows in shown.items() if rows}
    height = [len(rows) for rows in shown.values()]
    figure, grid = style.figure(
        ROW * sum(height) + 0.45 * len(shown) + 0.7,
        rows=len(shown),
        sharex=True,
        squeeze=False,
        height_ratios=height,
    )
    said = []
    for axes, (name, rows) in zip(grid[:, 0], shown.items(), strict=True):
        found = {row: scores(sets[name], row, protocol) for row in rows}
        place = np.arange(len(rows))[::-1]  # the first on top
        for y, value in zip(place, found.values(), strict=True):
            signers.score_row(axes, y, value, style.BLUE)
        signers.name_rows(axes, [CONDITIONS[row] for row in found], place)
        header = "mean [95 % interval]" if axes is grid[0, 0] else ""
        signers.column(axes, [value.text for value in found.values()], header, place)
        axes.set_title(name, loc="left")
        axes.axvline(guessing(sets[name]), color=style.BLACK, linewidth=1, linestyle=":", label="guessing")
        if name in bar:
            label = "the same network frozen, its highest row"
            axes.axvline(bar[name], color=style.ORANGE, linewidth=1.2, linestyle="--", label=label)
        listed = [f"{CONDITIONS[row]} {value.mean:.1f}" for row, value in found.items()]
        listed += [f"the same network frozen, its highest row {bar[name]:.1f}"] if name in bar else []
        said.append(f"{name}: {', '.join(listed)}")
    grid[-1, 0].set_xlim(0, None)
    grid[-1, 0].set_xlabel(f"accuracy, %, {protocol_name(protocol)}: small dots are signers")
    lines = {
        label: line
        for axes in grid[:, 0]
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=2, fontsize=9)
    return described(figure, f"Accuracy in percent, {protocol_name(protocol)}. {'; '.join(said)}.")


def table(records: Records) -> pd.DataFrame:
    """Return one row a condition: accuracy with its interval by protocol, and points over the last layer alone.

    Points are paired by signer. A dash stands where there is nothing to compare with.
    """
    protocols = protocols_of(records)
    names = list(dict.fromkeys(name for protocol in protocols for name in measured(records, protocol)))
    rows: dict[str, dict[str, str]] = {}
    for name in names:
        cells = rows[CONDITIONS[name]] = {}
        for protocol in protocols:
            there = measured(records, protocol)
            found = scores(records, name, protocol) if name in there else None
            compared = found and name != LAST_LAYER and LAST_LAYER in there
            gain = points(difference(records, name, LAST_LAYER, protocol)) if compared else "–"
            cells[f"{protocol_name(protocol)}, %"] = found.text if found else "–"
            cells[f"{protocol_name(protocol)}, points gained"] = gain.replace("-", "−")
        there = next(protocol for protocol in protocols if name in measured(records, protocol))
        cells["seeds"] = str(scores(records, name, there).seeds)
    return pd.DataFrame.from_dict(rows, orient="index")


def told(sets: Mapping[str, Records], frozen: Mapping[str, float] | None = None) -> str:
    """Return a paragraph a set: what the letter network reads as it is, and what each condition gains on which.

    ``frozen`` as in `conditions`. Sets without the last layer alone have nothing to compare with.
    """
    paragraphs = []
    for name, records in sets.items():
        there = measured(records, "zero_shot")
        rivals = [other for other in there if other not in ("as_it_is", LAST_LAYER)]
        said = [
            f"**`{name}`.** As it is, the letter network reaches {reached(records, 'as_it_is', 'zero_shot')}."
        ]
        if LAST_LAYER in there:
            said.append(f"Against that, *the last layer alone* {against(records, LAST_LAYER, 'as_it_is')}.")
            gained = [f"*{CONDITIONS[other]}* {against(records, other, LAST_LAYER)}" for other in rivals]
            said += [f"Against the last layer alone, {'; '.join(gained)}."] if gained else []
        bar = (frozen or {}).get(name)
        if bar is not None and "end_to_end" in there:
            mean = scores(records, "end_to_end", "zero_shot").mean
            said.append(
                f"The highest row of the tables that reads this network frozen, through the others' photographs, "
                f"has {bar:.1f} %; end to end has {mean:.1f} %."
            )
            untouched = scores(records, "as_it_is", "zero_shot").mean if "as_it_is" in there else 0.0
            if untouched > max(bar, mean):
                said.append(
                    f"Both are below the {untouched:.1f} % of the network that has seen no photograph."
                )
        paragraphs.append(" ".join(said))
    return "\n\n".join(paragraphs)


def measured(records: Records, protocol: str) -> list[str]:
    """Return the conditions that were measured under a protocol, in the order of `CONDITIONS`."""
    there = systems_under(records, protocol)
    return [name for name in CONDITIONS if name in there]
