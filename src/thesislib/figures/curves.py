"""Curves: training, accuracy against shots, accuracy against one property of a head."""

import re
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from thesislib.figures import style

NAMES = {
    "pixels": "pixels",
    "thesis_features": "thesis: features",
    "thesis_head": "thesis: embedding",
    "thesis_head_no_penalty": "thesis: embedding, no penalty on beta",
    "linear_head": "one linear layer, pairwise loss",
    "koch_l1": "siamese L1 (Koch)",
    "contrastive": "contrastive loss",
    "multi_similarity": "multi-similarity loss",
    "supcon": "SupCon loss",
    "proxy_anchor": "Proxy-Anchor loss",
    "best_features": "best recipe: features, pooled",
    "best_linear_head": "best recipe: linear head",
    "best_spatial_features": "best recipe: features, spatial",
    "best_embedding": "best recipe: spatial, five views",
}


def training(metrics: Mapping[str, Any]) -> Figure:
    """Draw loss and learning rate against epochs for the two classifiers and the thesis's head."""
    figure, (top, bottom) = style.figure(3.4, rows=2, sharex=True, height_ratios=[2, 1])
    for (name, loss), colour in zip(metrics["training_loss"].items(), style.CYCLE, strict=False):
        epochs = np.arange(1, len(loss) + 1)
        top.plot(epochs, loss, marker="o", markersize=3, color=colour)
        top.annotate(
            name.replace("_", " "), (epochs[-1], loss[-1]), (6, 0), textcoords="offset points", va="center"
        )
        bottom.plot(epochs, metrics["learning_rate"][name], color=colour)
    top.set(ylabel="training loss", ylim=(0, None))
    top.margins(x=0.22)
    bottom.set(ylabel="learning rate", xlabel="epoch", yscale="log")
    return figure


def against_shots(embeddings: Mapping[str, Any], names: Sequence[str], *, rule: str = "max") -> Figure:
    """Draw accuracy on unseen, seen and all classes against prototypes a class; bands hold 95 % of the draws."""
    figure, axes = style.figure(3.3, columns=3, sharey=True)
    for axis, group in zip(axes, ("unseen", "seen", "all"), strict=True):
        for name, colour, marker in zip(names, style.CYCLE, style.MARKERS, strict=False):
            shots, rows = _by_shots(embeddings[name], group, rule)
            mean, low, high = (100 * np.array([row[key] for row in rows]) for key in ("mean", "low", "high"))
            axis.plot(shots, mean, color=colour, marker=marker, label=NAMES[name])
            axis.fill_between(shots, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set(title=group, xscale="log", xlabel="prototypes a class", xticks=shots, xticklabels=shots)
        axis.minorticks_off()
    axes[0].set_ylabel("balanced accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _by_shots(
    metrics: Mapping[str, Any], group: str, rule: str
) -> tuple[list[int], list[Mapping[str, float]]]:
    pattern = re.compile(rf"{group}_balanced_accuracy_s(\d+)_{rule}_rule")
    found = {int(match[1]): row for name, row in metrics.items() if (match := pattern.fullmatch(name))}
    return sorted(found), [found[s] for s in sorted(found)]


def rules(embedding: Mapping[str, Any]) -> Figure:
    """Draw unseen accuracy against prototypes a class under the four decision rules."""
    figure, axes = style.figure(2.8)
    for rule, colour, marker in zip(
        ("max", "mean", "softmax", "prototype_mean"), style.CYCLE, style.MARKERS, strict=False
    ):
        shots, rows = _by_shots(embedding, "unseen", rule)
        axes.plot(
            shots,
            [100 * row["mean"] for row in rows],
            color=colour,
            marker=marker,
            label=rule.replace("_", " "),
        )
    axes.set(xscale="log", xlabel="prototypes a class", ylabel="unseen balanced accuracy, %")
    axes.set_xticks(shots, shots)
    axes.minorticks_off()
    axes.legend(title="rule")
    return figure


def sweeps(metrics: Mapping[str, Any], features: float, pixels: float) -> Figure:
    """Draw accuracy at ten prototypes against the head's dimensions, depth and regularisers.

    ``features`` and ``pixels`` are the unseen accuracies (shares) of what the head stands on.
    """
    regularisers = [name for name in metrics if name.startswith("regularisers")][-1]
    figure, axes = style.figure(3.2, columns=3, sharey=True, width_ratios=[1.3, 1, 1])
    for axis, sweep in zip(axes, ("dimensions", "depth", regularisers), strict=True):
        points = metrics[sweep]
        x = np.arange(len(points)) if sweep == regularisers else [int(p) for p in points]
        for group, colour, marker in (("unseen", style.ORANGE, "o"), ("seen", style.BLUE, "s")):
            y = [100 * point[f"{group}_balanced_accuracy_s10_max_rule"]["mean"] for point in points.values()]
            line = "none" if sweep == regularisers else "-"
            axis.plot(x, y, color=colour, marker=marker, linestyle=line, label=group)
        axis.axhline(100 * features, color=style.BLACK, linewidth=1, linestyle="--")
        axis.axhline(100 * pixels, color=style.GREY, linewidth=1, linestyle=":")
    axes[0].set(title="dimensions f", xscale="log", xlabel="f", ylabel="balanced accuracy, %")
    ticks = [int(p) for p in metrics["dimensions"]]
    axes[0].set_xticks(ticks, ticks, fontsize=8)
    axes[0].minorticks_off()
    axes[1].set(title="dual-path layers", xlabel="layers", xticks=[int(p) for p in metrics["depth"]])
    names = [name.replace(" and ", "\nand ") for name in metrics[regularisers]]
    axes[2].set_xticks(
        range(len(names)), names, fontsize=7.5, rotation=50, ha="right", rotation_mode="anchor"
    )
    axes[2].set_title(f"regularisers at f = {regularisers.rsplit('f', 1)[1]}")
    axes[2].margins(x=0.15)
    axes[0].legend(loc="best")
    axes[1].annotate("features", (0, 100 * features), (2, 3), textcoords="offset points", fontsize=8)
    axes[1].annotate(
        "pixels", (0, 100 * pixels), (2, 3), textcoords="offset points", fontsize=8, color="#666666"
    )
    return figure


def splits(records: Sequence[Mapping[str, Any]], names: Sequence[str], *, shots: int = 10) -> Figure:
    """Draw unseen accuracy of each class split, one line a split, one column a system."""
    figure, axes = style.figure(3.4)
    metric = f"unseen_balanced_accuracy_s{shots}_max_rule"
    values = 100 * np.array([[r["metrics"]["embeddings"][n][metric]["mean"] for n in names] for r in records])
    for row in values:
        axes.plot(range(len(names)), row, color="#BBBBBB", linewidth=1, zorder=1)
    for column, colour, marker in zip(range(len(names)), style.CYCLE, style.MARKERS, strict=False):
        axes.plot([column] * len(values), values[:, column], marker, color=colour, alpha=0.75, zorder=2)
        axes.plot([column - 0.18, column + 0.18], [values[:, column].mean()] * 2, color=style.BLACK, zorder=3)
    axes.set_xticks(range(len(names)), [fill(NAMES[n], 16) for n in names])
    axes.set_ylabel("unseen balanced accuracy, %")
    return figure


def more_classes(records: Sequence[Mapping[str, Any]], *, shots: int = 10) -> Figure:
    """Draw unseen accuracy against the number of training classes: equal total, and equal images a class."""
    names = {
        "spatial_five_views": "features, spatial, five views",
        "features": "features, pooled",
        "head_f64": "thesis's head, f = 64",
        "head_f10": "thesis's head, f = 10",
        "pixels": "pixels",
    }
    figure, axes = style.figure(3.5, columns=2, sharey=True)
    for axis, key, title in zip(
        axes,
        ("total_images", "images_per_class"),
        ("{} images in all", "at most {} images a class"),
        strict=True,
    ):
        points = sorted((r for r in records if r["config"][key]), key=lambda r: r["metrics"]["train_classes"])
        x = [r["metrics"]["train_classes"] for r in points]
        for (name, label), colour, marker in zip(names.items(), style.CYCLE, style.MARKERS, strict=False):
            metric = f"unseen_balanced_accuracy_s{shots}_max_rule"
            y = [100 * r["metrics"]["embeddings"][name][metric]["mean"] for r in points]
            axis.plot(x, y, color=colour, marker=marker, label=label)
        axis.set(title=title.format(points[0]["config"][key]), xscale="log", xlabel="training classes")
        axis.set_xticks(x, x, fontsize=8)
        axis.minorticks_off()
    axes[0].set_ylabel("unseen balanced accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def data_shares(record: Mapping[str, Any]) -> Figure:
    """Draw accuracy against training images a class: the classifier on seen classes, its features on unseen."""
    metrics, images = record["metrics"], record["config"]["images_per_class"]
    shares = [*record["config"]["data_shares"], 1.0]
    seen = "seen_balanced_accuracy"
    classifier = [metrics[f"data_{share:g}_{seen}"] for share in shares[:-1]]
    classifier.append(metrics[f"thesis_classifier_{seen}"])
    names = [f"data_{share:g}_features" for share in shares[:-1]] + ["thesis_features"]
    unseen = [metrics["embeddings"][name]["unseen_balanced_accuracy_s10_max_rule"] for name in names]
    x = [round(share * images) for share in shares]
    figure, axes = style.figure(2.8)
    axes.plot(
        x, [100 * y for y in classifier], color=style.BLUE, marker="s", label="classifier, seen classes"
    )
    mean, low, high = (100 * np.array([row[key] for row in unseen]) for key in ("mean", "low", "high"))
    axes.plot(x, mean, color=style.ORANGE, marker="o", label="its features, unseen, ten prototypes")
    axes.fill_between(x, low, high, color=style.ORANGE, alpha=0.15, linewidth=0)
    pixels = metrics["embeddings"]["pixels"]["unseen_balanced_accuracy_s10_max_rule"]["mean"]
    axes.axhline(100 * pixels, color=style.GREY, linewidth=1, linestyle=":", label="pixels, unseen")
    axes.set(xscale="log", xlabel="training images a class", ylabel="balanced accuracy, %")
    axes.set_xticks(x, x)
    axes.minorticks_off()
    axes.legend()
    return figure
