"""The numbers that the sentences of chapter 3 quote, each computed from records."""

from collections.abc import Mapping, Sequence
from operator import ge
from statistics import correlation
from typing import Any

from pandas.io.formats.style import Styler

from thesislib.chapters.more_classes import EPOCH
from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures.tables import plain, values_over
from thesislib.published import comparison_table

S10 = "unseen_balanced_accuracy_s10_max_rule"
KANA = 10  # classes of KMNIST, the first ones of the stand-in
S25 = "unseen_balanced_accuracy_s25_max_rule"

GOALS = {S10: 95.0, S25: 97.0}  # percent, what the page asks of the stand-in's best system

Records = Sequence[Mapping[str, Any]]


def of_this_run(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of the page's own run; accuracies in percent."""
    metrics = record["metrics"]
    look = metrics["looking_inside"]
    numbers = {f"{name}_unseen": 100 * e[S10]["mean"] for name, e in metrics["embeddings"].items()}
    numbers |= {"alpha": metrics["thesis_alpha"], "beta": metrics["thesis_beta"]}
    numbers |= {f"n_draws_{group}": n for group, n in _draws_of(record).items()}
    numbers["pca_difference"] = look["seen_thesis_kernel_minus_plain_pca"]
    for components in (2, 10):
        for group in ("seen", "unseen"):
            accuracy = look[f"{group}_thesis_accuracy_5nn_on_{components}_kernel_components"]
            numbers[f"knn{components}_{group}"] = 100 * accuracy
    for name in ("thesis", "best"):
        steps = look[f"{name}_unseen_accuracy_s10_after_adversarial_steps"]
        numbers |= {
            f"steps_{name}_{which}": 100 * steps[i] for which, i in (("0", 0), ("1", 1), ("last", -1))
        }
        numbers["num_steps"] = len(steps) - 1
    numbers["adversarial_rate_grey"] = 255 * look["adversarial_rate"]
    return numbers


def of_stored_runs(drawn: Records, fixed: Records) -> dict[str, float]:
    """Return means over class splits, and paired differences with their interval, in percent and points."""
    numbers: dict[str, float] = {"n_drawn": len(drawn), "n_fixed": len(fixed)}
    numbers["images_per_class"] = fixed[0]["config"]["images_per_class"]
    draws = _draws_of(fixed[0])
    numbers |= {"n_draws_stored": draws["unseen"], "n_draws_stored_seen": draws["seen"]}
    for name in ("pixels", "thesis_features", "thesis_head", "best_embedding"):
        numbers[f"stored_{name}_s10"] = of_the_mean(values_over(drawn, name, S10))["mean"]
        numbers[f"stored_{name}_s25"] = of_the_mean(values_over(drawn, name, S25))["mean"]
    pairs = {
        "head_loss": ("thesis_features", "thesis_head"),
        "gain_pixels": ("best_embedding", "pixels"),
        "gain_features": ("best_embedding", "best_features"),
        "gain_recipe": ("best_features", "thesis_features"),
        "gain_place": ("best_spatial_features", "best_features"),
        "gain_views": ("best_embedding", "best_spatial_features"),
        "best_head_loss": ("best_features", "best_linear_head"),
    }
    for key, (high, low) in pairs.items():
        both = zip(values_over(drawn, high, S10), values_over(drawn, low, S10), strict=True)
        difference = of_the_mean([a - b for a, b in both])
        numbers |= {f"{key}_{part}": difference[part] for part in ("mean", "low", "high")}
    for name in ("thesis", "best"):
        seen = [100 * r["metrics"][f"{name}_classifier_seen_balanced_accuracy"] for r in drawn]
        numbers[f"stored_{name}_seen"] = of_the_mean(seen)["mean"]
    numbers |= of_kana(drawn)
    heads = values_over(fixed, "thesis_head", S10)
    numbers["head_seed_range"] = max(heads) - min(heads)
    goals = zip(*(values_over(drawn, "best_embedding", metric) for metric in GOALS), strict=True)
    numbers["n_goals_met"] = sum(all(map(ge, reached, GOALS.values())) for reached in goals)
    numbers["split_sd"] = of_the_mean(values_over(drawn, "best_embedding", S10))["sd"]
    numbers["seed_sd"] = of_the_mean(values_over(fixed, "best_embedding", S10))["sd"]
    return numbers


def of_kana(drawn: Records) -> dict[str, float]:
    """Return how the accuracy of the best recipe goes with the number of kana among the unseen classes.

    The stand-in's first classes are KMNIST's kana, the others kanji.
    """
    kana = [sum(c < KANA for c in record["split"]["unseen"]) for record in drawn]
    reached = values_over(drawn, "best_embedding", S10)
    fewest, most = min(kana), max(kana)
    of = {count: [a for a, k in zip(reached, kana, strict=True) if k == count] for count in (fewest, most)}
    return {
        "kana_correlation": correlation(kana, reached) if fewest < most else 0.0,
        "kana_fewest": fewest,
        "kana_fewest_s10": sum(of[fewest]) / len(of[fewest]),
        "kana_most": most,
        "kana_most_s10": sum(of[most]) / len(of[most]),
    }


def of_more_classes(kanji: Records, omniglot: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curve over training classes at its ends and where features and head are best, in percent.

    And what is quoted of Omniglot.
    """
    numbers: dict[str, Any] = {"more_unseen": len(kanji[0]["split"]["unseen"])}
    seen = [passes(record) for record in kanji]
    numbers |= {"more_least_passes": f"{min(seen):,}", "more_most_passes": f"{max(seen):,}"}
    equal_total = sorted(
        (r for r in kanji if r["config"]["total_images"]), key=lambda r: r["metrics"]["train_classes"]
    )
    best = max(equal_total, key=lambda r: r["metrics"]["embeddings"]["features"][S10]["mean"])
    head_best = max(equal_total, key=lambda r: r["metrics"]["embeddings"]["head_f10"][S10]["mean"])
    ends = {"few": equal_total[0], "best": best, "head_best": head_best, "many": equal_total[-1]}
    for end, record in ends.items():
        numbers[f"more_{end}_classes"] = record["metrics"]["train_classes"]
        for name in ("pixels", "features", "head_f10", "head_f64", "spatial_five_views"):
            numbers[f"more_{end}_{name}"] = 100 * record["metrics"]["embeddings"][name][S10]["mean"]
        for f in (10, 64):
            numbers[f"more_{end}_gap_f{f}"] = (
                numbers[f"more_{end}_features"] - numbers[f"more_{end}_head_f{f}"]
            )
    numbers["omniglot_train_classes"] = omniglot["metrics"]["train_classes"]
    numbers["omniglot_unseen"] = len(omniglot["split"]["unseen"])
    for shots in omniglot["config"]["shots"]:
        for name, value in omniglot["metrics"]["embeddings"].items():
            mean = value[f"unseen_balanced_accuracy_s{shots}_max_rule"]["mean"]
            numbers[f"omniglot_{name}_s{shots}"] = 100 * mean
    return numbers


def passes(record: Mapping[str, Any]) -> int:
    """Return how many images a classifier of `more_classes` saw in training, repetitions counted."""
    images = record["metrics"]["train_images"]
    epoch = images * max(EPOCH // images, 1)
    return epoch * max(round(record["config"]["image_passes"] / epoch), 1)


def of_other_encoders(record: Mapping[str, Any]) -> dict[str, float]:
    """Return how far apart the three encoders are, in points, and what each head loses to its features."""
    metrics, names = record["metrics"], ("thesis", "dual_path", "resnet18")

    def unseen(system: str) -> list[float]:
        return [100 * metrics["embeddings"][f"{name}_{system}"][S10]["mean"] for name in names]

    seen = [100 * metrics[f"{name}_classifier_seen_balanced_accuracy"] for name in names]
    features = unseen("features")
    losses = [a - b for a, b in zip(features, unseen("head"), strict=True)]
    return {
        "encoders_seen_range": max(seen) - min(seen),
        "encoders_features_range": max(features) - min(features),
        "encoders_least_loss": min(losses),
        "encoders_most_loss": max(losses),
    }


def _draws_of(record: Mapping[str, Any]) -> dict[str, int]:
    """Return how often prototypes were drawn, by what is asked about: the unseen or the seen classes."""
    pixels = record["metrics"]["embeddings"]["pixels"]
    return {group: pixels[f"{group}_balanced_accuracy_s10_max_rule"]["n"] for group in ("unseen", "seen")}


def of_the_benchmark(record: Mapping[str, Any]) -> dict[str, float]:
    """Return test accuracies of the classifiers of all classes, in percent."""
    systems = ("pixels_4nn", "thesis_classifier", "best_classifier", "best_classifier_five_views")
    return {f"benchmark_{name}": 100 * record["metrics"][name]["test_accuracy"] for name in systems}


def printed_and_measured(fixed: Records) -> Styler:
    """Return the thesis's printed numbers beside ours on the stand-in, fixed split, one value a seed."""

    def percent(metric: str) -> list[float]:
        return values_over(fixed, "thesis_head", f"{metric}_max_rule")

    measured = {
        "ignatiev2019_k49_classifier": [
            100 * record["metrics"]["thesis_classifier_seen_balanced_accuracy"] for record in fixed
        ],
        "ignatiev2019_k49_seen": percent("seen_balanced_accuracy_s25"),
        "ignatiev2019_k49_unseen_s10_f10": percent("unseen_balanced_accuracy_s10"),
        "ignatiev2019_k49_unseen_s25_f10": percent("unseen_balanced_accuracy_s25"),
    }
    protocol = "stand-in, fixed split, half width, one value a seed"
    rows = [(key, values, protocol, "not comparable") for key, values in measured.items()]
    return plain(comparison_table(rows), words=True)
