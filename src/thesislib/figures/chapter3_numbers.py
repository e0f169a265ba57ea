"""The numbers that the sentences of chapter 3 quote, each computed from records."""

from collections.abc import Mapping, Sequence
from typing import Any

from pandas.io.formats.style import Styler

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures.tables import plain, values_over
from thesislib.published import comparison_table

S10 = "unseen_balanced_accuracy_s10_max_rule"
S25 = "unseen_balanced_accuracy_s25_max_rule"

Records = Sequence[Mapping[str, Any]]


def of_this_run(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of the page's own run; accuracies in percent."""
    metrics = record["metrics"]
    look = metrics["looking_inside"]
    numbers = {f"{name}_unseen": 100 * e[S10]["mean"] for name, e in metrics["embeddings"].items()}
    numbers |= {"alpha": metrics["thesis_alpha"], "beta": metrics["thesis_beta"]}
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
    for name in ("pixels", "thesis_features", "thesis_head", "best_embedding"):
        numbers[f"stored_{name}_s10"] = of_the_mean(values_over(drawn, name, S10))["mean"]
        numbers[f"stored_{name}_s25"] = of_the_mean(values_over(drawn, name, S25))["mean"]
    pairs = {
        "head_loss": ("thesis_features", "thesis_head"),
        "gain_pixels": ("best_embedding", "pixels"),
        "gain_features": ("best_embedding", "best_features"),
        "gain_recipe": ("best_features", "thesis_features"),
    }
    for key, (high, low) in pairs.items():
        both = zip(values_over(drawn, high, S10), values_over(drawn, low, S10), strict=True)
        difference = of_the_mean([a - b for a, b in both])
        numbers |= {f"{key}_{part}": difference[part] for part in ("mean", "low", "high")}
    numbers["split_sd"] = of_the_mean(values_over(drawn, "best_embedding", S10))["sd"]
    numbers["seed_sd"] = of_the_mean(values_over(fixed, "best_embedding", S10))["sd"]
    return numbers


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
