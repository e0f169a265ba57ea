"""Tables of chapter 2, from records: networks side by side, decoders, real hands."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from thesislib.config import digest

NAMES = {
    "thesis": "the thesis's network",
    "simcc": "its encoder, SimCC head",
    "cpm": "convolutional pose machine",
    "vgg": "VGG of figure 2.2",
    "resnet50_heatmaps": "ResNet-50, heatmaps",
    "resnet34": "ResNet-34, no pooling",
    "resnet34_stock": "ResNet-34, stock",
    "resnet34_leaky": "ResNet-34, leaky ReLU",
    "resnet34_preactivation": "ResNet-34, pre-activation",
    "resnet34_bottleneck": "ResNet-34, bottleneck",
    "resnet68_deepercut": "68 layers, DeeperCut",
    "inception_v3": "Inception-v3",
    "inception_resnet_v2": "Inception-ResNet-v2",
}
CHOICES = ("width", "decoder_width", "depth", "stem_stride", "literal", "loss", "augmentation", "optimizer")
CHOICES += ("schedule", "precision", "lr_min", "batch_size", "radius", "last_radius", "size")

Records = Sequence[Mapping[str, Any]]


def label(record: Mapping[str, Any], reference: Mapping[str, Any] | None = None) -> str:
    """Return a system's name, and what its configuration changes of a reference of the same network."""
    config = record["config"]
    name = NAMES[config["network"]]
    if reference is None or reference["config"]["network"] != config["network"]:
        return name
    changed = [
        f"{choice.replace('_', ' ')} {config[choice]}"
        for choice in CHOICES
        if config[choice] != reference["config"][choice]
    ]
    return f"{name}, {', '.join(changed)}" if changed else name


def by_seed(records: Records) -> list[Records]:
    """Return records that differ in nothing but the seed together, in the order of their first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        rest = {k: v for k, v in record["config"].items() if k not in ("seed", "profile_name")}
        groups.setdefault(digest(rest), []).append(record)
    return list(groups.values())


def main_scores(record: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the scores on unseen signers by the record's main decoder."""
    return record["metrics"][f"unseen_signers_{record['metrics']['decoder']}"]


def benchmark(records: Records, reference: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return one row a system, seeds together: errors on hands of unseen signers, size, training."""
    rows = {}
    for group in by_seed(records):
        scores, metrics = [main_scores(record) for record in group], group[0]["metrics"]
        rows[label(group[0], reference)] = {
            "n seeds": str(len(group)),
            "error, px at 256": _over_seeds(scores, "epe_px_at_256"),
            "visible": _over_seeds(scores, "epe_px_at_256_visible"),
            "hidden": _over_seeds(scores, "epe_px_at_256_occluded"),
            "AUC 0-30 px": _over_seeds(scores, "auc_0_30_px_at_256", digits=3),
            "within 2 px of 128, %": _over_seeds(scores, "share_within_2_px_at_128", scale=100),
            "parameters": f"{metrics['parameters']:,}",
            "multiply-adds": f"{metrics['multiply_adds'] / 1e6:.1f} M",
            "training, min": f"{np.mean([r['metrics']['training_seconds'] for r in group]) / 60:.1f}",
        }
    guess = records[0]["metrics"]["unseen_signers_mean_pose"]
    rows["mean pose of the training hands"] = {
        "n seeds": "–",
        "error, px at 256": f"{guess['epe_px_at_256']:.1f}",
        "visible": f"{guess['epe_px_at_256_visible']:.1f}",
        "hidden": f"{guess['epe_px_at_256_occluded']:.1f}",
        "AUC 0-30 px": f"{guess['auc_0_30_px_at_256']:.3f}",
        "within 2 px of 128, %": f"{100 * guess['share_within_2_px_at_128']:.1f}",
        **dict.fromkeys(("parameters", "multiply-adds", "training, min"), "–"),
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def decoders(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a way to read a point from a heatmap: the same network, errors on unseen signers."""
    names = {"argmax": "highest pixel", "soft_argmax": "centre of mass near it", "dark": "DARK"}
    rows = {}
    for key, name in names.items():
        if scores := record["metrics"].get(f"unseen_signers_{key}"):
            rows[name] = {
                "mean error, px at 256": f"{scores['epe_px_at_256']:.2f}",
                "median": f"{scores['epe_median_px_at_256']:.2f}",
                "AUC 0-30 px": f"{scores['auc_0_30_px_at_256']:.3f}",
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def real_hands(records: Records) -> pd.DataFrame:
    """Return one row a real test set: errors in parts of the longer side of the labelled joints' box."""
    rows = {}
    for name, found in records[0]["metrics"]["real"].items():
        network = [record["metrics"]["real"][name]["network"] for record in records]
        of_set, _, box = name.removesuffix("_box").rpartition("_")
        rows[f"{of_set.replace('_', ' ')}, cut out by the {box} box"] = {
            "n": str(found["network"]["n_images"]),
            "network, mean": _over_seeds(network, "error_over_box", digits=3),
            "95 % over images, first seed": "{error_over_box_low:.3f} to {error_over_box_high:.3f}".format(
                **network[0]
            ),
            "median": _over_seeds(network, "error_over_box_median", digits=3),
            "mean pose": f"{found['mean_pose']['error_over_box']:.3f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def latencies(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a network and input size: median ms of one picture on one CPU thread, ratios to two peers."""
    rows = {}
    for name, system in record["metrics"]["systems"].items():
        runtime = "litert" if "latency_ms_litert" in system else "onnx"
        rows[name.replace("_", " ")] = {
            "input, px": str(system["input_px"]),
            "parameters": f"{system['parameters']:,}" if "parameters" in system else "–",
            "multiply-adds, M": f"{system['multiply_adds'] / 1e6:,.1f}" if "multiply_adds" in system else "–",
            "ms": f"{system[f'latency_ms_{runtime}']:.2f}",
            **{
                title: "{:.3f} [{:.3f}, {:.3f}]".format(
                    *(system[f"latency_ratio_to_{peer}{end}_{runtime}"] for end in ("", "_low", "_high"))
                )
                for title, peer in (
                    ("of ResNet-50 at 256", "resnet50_heatmaps_256"),
                    ("of MediaPipe full", "mediapipe_full"),
                )
                if f"latency_ratio_to_{peer}_{runtime}" in system
            },
        }
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def _over_seeds(
    scores: Sequence[Mapping[str, float]], key: str, *, digits: int = 1, scale: float = 1.0
) -> str:
    values = scale * np.array([score[key] for score in scores])
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"
