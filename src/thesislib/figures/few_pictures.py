"""What stops a head from learning from few pictures: the record of `few_pictures` as tables, curves and words."""

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thesislib.figures import style
from thesislib.figures.hands import described

USUAL, SHUFFLED = "usual", "shuffled_letters"
CONDITIONS = {
    USUAL: "as this chapter trains",
    "no_dropout": "no dropout",
    "dropout_50": "dropout .5 at every layer",
    "dropout_75": "dropout .75 at every layer",
    "dropout_75_longer": "dropout .75, three times as long",
    "dropout_90": "dropout .9 at every layer",
    "rate_10": "rate 0.1",
    "rate_1": "rate 0.01",
    "batch_1024": "batches of 1,024",
    "all_at_once": "dropout .5, rate 0.1, batches of 1,024",
    "failed_crops_10": "one crop in ten misses the hand",
    "failed_crops_30": "three crops in ten miss the hand",
    "spatial": "features where they stand",
    "by_signer": "strangers asked",
    SHUFFLED: "letters dealt out at random",
}
PANELS = {  # of `histories`: what differs from the usual way, by kind
    "dropout": ("no_dropout", "dropout_50", "dropout_75", "dropout_75_longer", "dropout_90"),
    "rate and batch": ("rate_10", "rate_1", "batch_1024", "all_at_once"),
    "pictures": ("failed_crops_10", "failed_crops_30", "spatial", "by_signer", SHUFFLED),
}
LOSSES = {"pairwise": "embedding", "cross_entropy": "classifier"}
FLAT = 5.0  # percent: a loss that ends less than this under guessing's has not fallen

Record = Mapping[str, Any]


def conditions(record: Record) -> pd.DataFrame:
    """Return one row a condition: accuracies in percent, and the final test loss of the embedding over guessing's.

    Means over the seeds. The last two columns have no head: shrunk LDA and the nearest picture, same features.
    """
    rows = {}
    for name, row in record["metrics"]["rows"].items():
        seeds = row["seeds"]
        accuracy = {
            "embedding": [seed["pairwise"]["top1"] for seed in seeds],
            "classifier": [seed["cross_entropy"]["top1"] for seed in seeds],
            "shrunk LDA": [seed["linear_top1"] for seed in seeds],
            "nearest": [seed["nearest_top1"] for seed in seeds],
        }
        cells = {title: f"{100 * np.mean(values):.1f}" for title, values in accuracy.items()}
        last = 1 - np.mean(falls(record, name, "pairwise")) / 100
        rows[CONDITIONS[name]] = cells | {"loss / guessing": f"{last:.2f}", "seeds": str(len(seeds))}
    return pd.DataFrame.from_dict(rows, orient="index")


def histories(record: Record) -> Figure:
    """Draw test losses against pictures seen: both losses, a column a kind of change, the usual way in each.

    Thin lines are seeds, thick ones their mean, dashes what knowing nothing costs.
    """
    measured = record["metrics"]["rows"]
    panels = {title: [name for name in names if name in measured] for title, names in PANELS.items()}
    panels = {title: names for title, names in panels.items() if names}
    figure, grid = style.figure(
        5.0, columns=len(panels), rows=2, sharex=True, sharey="row", squeeze=False, height_ratios=[1, 1]
    )
    for row, (loss, what) in zip(grid, LOSSES.items(), strict=True):
        guessing = measured[USUAL]["seeds"][0][loss]["guessing_loss"]
        for axes, names in zip(row, panels.values(), strict=True):
            axes.axhline(guessing, color=style.GREY, linewidth=1.2, linestyle="--")
            looks = zip((style.BLACK, *style.CYCLE), style.MARKERS, strict=False)
            for name, (colour, marker) in zip((USUAL, *names), looks, strict=False):
                _history(axes, record, name, loss, colour, marker)
            axes.set_xscale("log")
        row[0].set_ylabel(f"test loss, {what}")
        row[-1].annotate(
            "guessing",
            (1, guessing),
            (0, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="#666666",
        )
    for (top, bottom), title in zip(grid.T, panels, strict=True):
        top.set_title(title)
        bottom.set_xlabel("pictures seen")
        bottom.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.3), fontsize=7.5, handlelength=1.3)
    said = "; ".join(
        f"{what}, "
        + ", ".join(f"{CONDITIONS[name]} {np.mean(falls(record, name, loss)):.0f}" for name in measured)
        for loss, what in LOSSES.items()
    )
    return described(figure, f"Test losses; by how many percent each ends under guessing: {said}.")


def falls(record: Record, name: str, loss: str) -> list[float]:
    """Return by how many percent the test loss ends under guessing, one value a seed; 0 is a flat line."""
    heads = [seed[loss] for seed in record["metrics"]["rows"][name]["seeds"]]
    return [100 * (1 - head["test_loss"][-1] / head["guessing_loss"]) for head in heads]


def flat(record: Record, loss: str) -> list[str]:
    """Return the conditions whose test loss ends less than 5 % under guessing (mean of the seeds), by their keys.

    That is what Ignatiev 2019, figure 3.21, shows. Letters dealt out at random are among them: a control.
    """
    return [name for name in record["metrics"]["rows"] if np.mean(falls(record, name, loss)) < FLAT]


def learned_by_heart(record: Record) -> pd.DataFrame:
    """Return one row a dropout rate: how many of fifty pictures each head has learned by heart, in percent."""
    rows = {
        f"dropout {rate}": {title: f"{100 * found[name]['top1']:.0f}" for name, title in LOSSES.items()}
        for rate, found in record["metrics"]["by_heart"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def stopped(record: Record) -> str:
    """Return in words what keeps both losses flat; letters dealt out at random are a control, and not counted."""
    both = set.intersection(*(set(flat(record, loss)) for loss in LOSSES))
    found = [title for name, title in CONDITIONS.items() if name in both and name != SHUFFLED]
    return "; ".join(found) if found else "none of them"


def told(record: Record) -> str:
    """Return the paragraph on what the head learned, and on what alone stops it."""
    found = record["metrics"]
    usual = found["rows"][USUAL]["seeds"]

    def percent(values: Iterable[float]) -> str:
        return f"{100 * np.mean(list(values)):.1f} %"

    fallen = [float(np.mean(falls(record, USUAL, loss))) for loss in LOSSES]
    text = (
        f"Trained on {found['train_images']:,} of {found['images']:,} pictures and asked about the rest, of the "
        f"same people, the embedding's test loss ends {fallen[0]:.0f} % under guessing as this chapter trains it, "
        f"the classifier's {fallen[1]:.0f} %. "
    )
    if min(fallen) > FLAT:
        text += "So few pictures by themselves do not make a loss flat. "
    text += (
        f"The embedding names {percent(seed['pairwise']['top1'] for seed in usual)} of {len(found['letters'])} "
        f"letters, the nearest picture without a head {percent(seed['nearest_top1'] for seed in usual)}, shrunk "
        f"LDA {percent(seed['linear_top1'] for seed in usual)}; guessing names {100 * found['chance']:.1f} %. What "
        f"alone keeps both test losses at guessing: {stopped(record)}. "
    )
    if still := [name for name in flat(record, "pairwise") if name != SHUFFLED]:
        best = max(
            still, key=lambda name: np.mean([s["pairwise"]["top1"] for s in found["rows"][name]["seeds"]])
        )
        right = percent(seed["pairwise"]["top1"] for seed in found["rows"][best]["seeds"])
        text += (
            f"A flat loss does not mean answers at chance: with {CONDITIONS[best]}, the head still names {right}, "
            f"because even a head that learned next to nothing passes on some of its good features. "
        )
    return text + (
        "Which of these the thesis met cannot be told from its text; it speaks of dropout with a high probability "
        "at every layer."
    )


def _history(axes: Axes, record: Record, name: str, loss: str, colour: str, marker: str) -> None:
    seeds = record["metrics"]["rows"][name]["seeds"]
    values = np.array([seed[loss]["test_loss"] for seed in seeds])  # [seeds, epochs]
    seen = record["metrics"]["train_images"] * np.arange(1, values.shape[1] + 1)
    if len(values) > 1:
        axes.plot(seen, values.T, color=colour, linewidth=0.7, alpha=0.5)
    last = [len(seen) - 1]
    axes.plot(
        seen,
        values.mean(axis=0),
        color=colour,
        marker=marker,
        markevery=last,
        label=fill(CONDITIONS[name], 32),
    )
