"""The numbers that the sentences of chapter 5 quote, each computed from records; names carry what was measured."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from thesislib.figures.hand_model_scores import (
    ERRORS,
    NO_REPAIR,
    Configuration,
    Record,
    Records,
    by_configuration,
    by_iteration,
    by_repair,
    change,
    is_clear,
    printed,
    printed_speeds_at,
    repair_name,
    score,
    spaced,
    values,
)

BATCH = 32  # of most rows of Table 6.2
QUOTED = {  # name in a sentence -> error
    "picture": "true_2d_px_at_224",
    "detected": "detected_2d_px_at_224",
    "picture_tips": "tips_2d_px_at_224",
    "space": "joints_mm",
    "aligned": "joints_mm_aligned",
    "tips": "tips_mm_aligned",
    "bones": "bone_length_mm",
    "direction": "direction_deg_aligned",
    "twist": "twist_deg_aligned",
    "limits": "limits_exceeded_deg",
    "shape": "shape_abs",
    "surface": "mesh_mm_aligned",
}


def numbers(records: Records, *, prefix: str = "") -> dict[str, Any]:
    """Return what sentences quote of these records: of every configuration, of their ranking, of every repair.

    What the records lack is left out. ``prefix`` goes before every name, so that one page can quote the run of the
    day and the stored ones.
    """
    found = of_configurations(records) | of_ranking(records) | of_shape_loss(records) | of_repairs(records)
    return {f"{prefix}{name}": value for name, value in found.items()}


def of_one(records: Records) -> dict[str, Any]:
    """Return what sentences quote of one configuration: each error, the mean hand's, and which is less."""
    found: dict[str, Any] = {}
    metrics = records[0]["metrics"]
    for name, error in QUOTED.items():
        if error not in metrics["errors"]:
            continue
        found[name] = score(records, error).said
        if error in metrics.get("trivial", {}):
            found[f"{name}_of_mean_hand"] = score(records[:1], error, of="trivial").said
            found[f"{name}_against_mean_hand"] = compared(against_mean_hand(records, error), error)
    steps = by_iteration(records).mean(axis=0)
    found |= {"iterations": len(steps) - 1, "start": float(steps[0]), "after_one": float(steps[1])}
    found |= {"images_seen": f"{max(values(records, 'images_seen')):,.0f}"}
    return found


def against_mean_hand(records: Records, error: str) -> dict[str, float]:
    """Return by how much an error is higher than the mean hand's, paired by subject."""
    mean_hand = [{"metrics": {"errors": records[0]["metrics"]["trivial"]}}]
    return change(records, mean_hand, error)


def of_configurations(records: Records) -> dict[str, Any]:
    """Return how many configurations and seeds there are, and which is best and worst at what.

    Of the thesis's seven, if any of them is there: a small network beside them is no row of its table.
    """
    every = by_configuration(records)
    groups = {c: runs for c, runs in every.items() if c.stem} or every
    if not groups:
        return {}
    seeds = [len(runs) for runs in groups.values()]
    found: dict[str, Any] = {
        "num_configurations": len(groups),
        "seeds_least": min(seeds),
        "seeds_most": max(seeds),
    }
    by = {
        "loss": {
            c: float(np.mean(values(runs, "validation_loss"))) for c, runs in groups.items() if c.shape_loss
        },
        "picture": {c: score(runs, "true_2d_px_at_224").mean for c, runs in groups.items()},
        "space": {c: score(runs, "joints_mm_aligned").mean for c, runs in groups.items()},
    }
    for what, means in by.items():
        if means:
            best, worst = (pick(means, key=means.__getitem__) for pick in (min, max))
            found |= {f"best_by_{what}": best.title, f"best_{what}": means[best]}
            found |= {f"worst_by_{what}": worst.title, f"worst_{what}": means[worst]}
    speeds = printed_speeds_at(BATCH)
    return found | {"printed_speed_least": min(speeds), "printed_speed_most": max(speeds)}


def of_ranking(records: Records) -> dict[str, Any]:
    """Return how far the order by validation loss is the printed one (Komorowicz 2018, Table 7.1).

    In how many pairs of configurations the same one is ahead, and in words whether what the thesis concludes holds
    here: ResNet, pretrained, is best; an encoder that learns is ahead of the same one frozen, and a pretrained
    start of a random one.
    """
    groups = by_configuration(records)
    here = {c: float(np.mean(values(runs, "validation_loss"))) for c, runs in groups.items()}
    there = {c: p.value for c in groups if (p := printed(c, "validation_loss")) is not None}
    if len(there) < 2:
        return {}
    pairs = list(combinations(there, 2))
    same = sum((there[a] < there[b]) == (here[a] < here[b]) for a, b in pairs)
    best_here, best_there = (min(there, key=of.__getitem__) for of in (here, there))
    learned = [(a, b) for a in there for b in there if a.encoder == b.encoder and not a.frozen and b.frozen]
    started = [(a, b) for a in there for b in there if _differ_by_start(a, b)]
    return {
        "pairs": len(pairs),
        "pairs_in_the_same_order": same,
        "same_order": "the same order as there"
        if same == len(pairs)
        else f"{same} of {len(pairs)} pairs as there",
        "same_best": "The best is the same"
        if best_here == best_there
        else f"The best there is {best_there.title}",
        "learning_ahead_of_frozen": _holds(learned, here),
        "pretrained_ahead_of_random": _holds(started, here),
    }


def of_shape_loss(records: Records) -> dict[str, Any]:
    """Return the mean size of shape numbers with and without their loss, where the same network had both."""
    groups = by_configuration(records)
    for without, runs in groups.items():
        with_ = Configuration(without.encoder, without.start, without.frozen, True)
        if not without.shape_loss and with_ in groups:
            sizes = {"with": score(groups[with_], "shape_abs"), "without": score(runs, "shape_abs")}
            found = {f"shape_{name}_loss": size.said for name, size in sizes.items()}
            found["shape_ratio"] = sizes["without"].mean / max(sizes["with"].mean, 1e-9)
            for name, error in QUOTED.items():
                difference = change(runs, groups[with_], error)
                found[f"without_shape_loss_{name}"] = changed(difference, error)
            return found
    return {}


def of_repairs(records: Records) -> dict[str, Any]:
    """Return what each repair does to each error, in words, and which repair alone and which of all helps most."""
    groups = by_repair(records)
    found: dict[str, Any] = {}
    for repairs, runs in groups.items():
        key = "_".join(field.removesuffix("_weight") for field in repairs)
        for name, error in QUOTED.items() if repairs else ():
            found[f"{key}_{name}"] = changed(change(runs, groups[NO_REPAIR], error), error)
    for name, error in QUOTED.items() if groups else ():
        means = {repairs: score(runs, error).mean for repairs, runs in groups.items()}
        best = min(means, key=means.__getitem__)
        found[f"best_repair_{name}"] = repair_name(best)
        found[f"unrepaired_{name}"] = score(groups[NO_REPAIR], error).said
        found[f"repaired_{name}"] = score(groups[best], error).said
    return found


def changed(difference: Mapping[str, float], error: str) -> str:
    """Return a change of an error as a verb with its interval: falls, rises, or too little to tell from none."""
    if difference["n"] > 1 and not is_clear(difference):
        return f"changes by {_signed(difference, error)}, which may be none"
    return f"{'rises' if difference['mean'] > 0 else 'falls'} by {_size(difference, error)}"


def compared(difference: Mapping[str, float], error: str) -> str:
    """Return a difference to another's error in words: higher, lower, or too little to tell from none."""
    if difference["n"] > 1 and not is_clear(difference):
        return f"differs by {_signed(difference, error)}, which may be nothing"
    return f"is {_size(difference, error)} {'higher' if difference['mean'] > 0 else 'lower'}"


def _signed(difference: Mapping[str, float], error: str) -> str:
    """Return a difference that may be of either sign, with its interval."""
    quantity = ERRORS[error]
    mean, low, high = (
        f"{round(difference[end], quantity.decimals) + 0.0:+.{quantity.decimals}f}"  # no minus before zero
        for end in ("mean", "low", "high")
    )
    return f"{mean}{spaced(quantity)} [{low}, {high}]".replace("-", "−")


def _size(difference: Mapping[str, float], error: str) -> str:
    """Return a difference without its sign, with its interval where it has one."""
    quantity = ERRORS[error]
    ends = sorted(abs(difference[end]) for end in ("low", "high"))
    interval = f" [{ends[0]:.{quantity.decimals}f}, {ends[1]:.{quantity.decimals}f}]"
    shown = f"{abs(difference['mean']):.{quantity.decimals}f}{spaced(quantity)}"
    return shown + interval * (difference["n"] > 1)


def _differ_by_start(a: Configuration, b: Configuration) -> bool:
    """Return whether two configurations differ in how their encoder started alone, the first not at random."""
    alike = (a.encoder, a.frozen, a.shape_loss) == (b.encoder, b.frozen, b.shape_loss)
    return alike and a.start != "random" and b.start == "random"


def _holds(pairs: Sequence[tuple[Configuration, Configuration]], loss: Mapping[Configuration, float]) -> str:
    """Return in words in how many pairs the first has the lower loss."""
    if not pairs:
        return "not compared here"
    held = sum(loss[a] < loss[b] for a, b in pairs)
    if len(pairs) == 1:
        return "holds" if held else "does not hold"
    counts = {len(pairs): "holds for all of them", 0: "holds for none of them"}
    return counts.get(held, f"holds for {held} of {len(pairs)}")


def of_rendering(record: Record) -> dict[str, float]:
    """Return seconds of one picture by way, and how many times faster than the loop each is."""
    seconds = record["metrics"]["seconds"]
    found = {f"render_{name}": value for name, value in seconds.items()}
    return found | {
        f"render_{name}_faster": seconds["loop_normals"] / value for name, value in seconds.items()
    }
