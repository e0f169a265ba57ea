"""More or fewer features of the pose network, as letters are read from them: the record of `pose_features`."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures import style
from thesislib.figures.chapter4_words import gains
from thesislib.figures.hands import described
from thesislib.figures.signer_scores import TOP1, protocol_name, system_name
from thesislib.figures.tables import spread

DASHES = {"zero_shot": "-", "same_signer": "--"}

Record = Mapping[str, Any]


def accuracies(record: Record, features: int, system: str, protocol: str) -> np.ndarray:
    """Return accuracies in percent of a system on so many features: [seeds of the head, signers]."""
    of_seeds = record["metrics"]["features"][str(features)]["systems"][system][protocol]
    return 100 * np.array([of_seed[TOP1]["by_signer"] for of_seed in of_seeds])


def sizes(record: Record) -> list[int]:
    """Return the numbers of features that were compared, the smallest first."""
    return sorted(map(int, record["metrics"]["features"]))


def systems(record: Record) -> list[str]:
    """Return the systems that read the features."""
    return list(record["metrics"]["features"][str(sizes(record)[0])]["systems"])


def protocols(record: Record) -> list[str]:
    """Return the protocols that were possible: clips can be too short to be halved."""
    return [protocol for protocol in DASHES if protocol in record["metrics"]["protocols"]]


def figure(record: Record) -> Figure:
    """Draw accuracy against the number of features, strangers and people known; dots are seeds of the head."""
    made, axes = style.figure(3.3)
    counts, names = sizes(record), systems(record)
    for name, colour, marker in zip(names, cycle(style.CYCLE), cycle(style.MARKERS), strict=False):
        for protocol in protocols(record):
            dash = DASHES[protocol]
            of_seeds = [accuracies(record, n, name, protocol).mean(axis=1) for n in counts]
            label = f"{system_name(name)}, {protocol_name(protocol)}"
            axes.plot(counts, [v.mean() for v in of_seeds], dash, color=colour, marker=marker, label=label)
            for count, values in zip(counts, of_seeds, strict=True):
                if len(values) > 1:
                    axes.plot([count] * len(values), values, ".", color=colour, alpha=0.5, markersize=5)
    axes.axhline(100 * record["metrics"]["chance"], color=style.BLACK, linewidth=1, linestyle=":")
    axes.set(xscale="log", xlabel="features of the pose network; dotted: guessing", ylabel="accuracy, %")
    axes.set_ylim(0, None)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    made.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    listed = ", ".join(system_name(name) for name in names)
    return described(made, f"Accuracy in percent against the number of pose features, for {listed}.")


def table(record: Record) -> pd.DataFrame:
    """Return a column a number of features: error of the joints, then systems' accuracies by protocol, percent.

    Accuracies are means over people and seeds of the head, with the standard deviation of the seeds' means.
    """
    rows = {}
    for count in sizes(record):
        found = record["metrics"]["features"][str(count)]
        row = {
            "parameters": f"{found['parameters']:,}",
            "joints, px at 256": f"{found['unseen_signers_epe_px_at_256']:.1f}",
        }
        for name in systems(record):
            for protocol in protocols(record):
                row[f"{system_name(name)}, {protocol_name(protocol)}"] = spread(
                    accuracies(record, count, name, protocol).mean(axis=1).tolist(), 1
                )
        rows[f"{count} features"] = row
    facts = ("parameters", "joints, px at 256")
    guess = f"{100 * record['metrics']['chance']:.1f}"
    rows["guessing"] = {column: "–" if column in facts else guess for column in row}
    rows["people"] = {
        column: "–" if column in facts else str(len(record["metrics"]["signers"])) for column in row
    }
    asked = {protocol_name(p): f"{record['metrics']['protocols'][p]['queries']:,}" for p in protocols(record)}
    rows["pictures asked"] = {column: asked.get(column.rpartition(", ")[2], "–") for column in row}
    return pd.DataFrame.from_dict(rows, orient="index").T


def told(record: Record, system: str = "thesis", usual: int = 128) -> str:
    """Return the paragraph on what more and fewer features than usual do for strangers and for people known."""
    others = [count for count in sizes(record) if count != usual]
    if not others or usual not in sizes(record):
        return ""
    who = {"zero_shot": "strangers", "same_signer": "the second half of known people's pictures"}
    parts = [
        f"with {count}, on {who[protocol]}, it {gains(_gain(record, system, protocol, count, usual))}"
        for count in others
        for protocol in protocols(record)
    ]
    return (
        f"Against {usual} features, *{system_name(system)}*, paired by person and over "
        f"{len(record['config']['head_seeds'])} seeds of the head: {'; '.join(parts)}. One pose network of "
        "each size was trained, and how lucky it was is in the difference but not in its interval. "
        + " ".join(filter(None, (_verdict(record, system, usual), _below_its_features(record, system))))
    ).strip()


def _verdict(record: Record, system: str, usual: int) -> str:
    """Return whether most features cost strangers accuracy, as the thesis found; '' where most are the usual."""
    if (most := sizes(record)[-1]) == usual:
        return ""
    gain = _gain(record, system, "zero_shot", most, usual)
    if gain["low"] > 0:
        found = "What the thesis found does not show here: strangers are read better by more features"
        return f"{found}. Other trainings of each size would have to say whether their number is the reason."
    if gain["high"] < 0:
        return "As in the thesis, strangers lose by more features."
    return "Whether strangers lose by more features, as the thesis found, cannot be told from this."


def _below_its_features(record: Record, system: str, features: str = "pooled") -> str:
    """Return that a system reads strangers worse than the features it is made of, if it does at every size."""
    if features not in systems(record):
        return ""
    means = [
        [accuracies(record, count, name, "zero_shot").mean() for name in (system, features)]
        for count in sizes(record)
    ]
    made_of = f"*{system_name(features)}*, which it is made of"
    return f"At every size it reads strangers worse than {made_of}." if all(a < b for a, b in means) else ""


def _gain(record: Record, system: str, protocol: str, count: int, usual: int) -> dict[str, float]:
    by_signer = [accuracies(record, n, system, protocol).mean(axis=0) for n in (count, usual)]
    return of_the_mean((by_signer[0] - by_signer[1]).tolist())
