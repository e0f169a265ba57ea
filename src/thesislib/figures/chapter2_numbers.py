"""The numbers that the sentences of chapter 2 quote, and its comparison with print, each from records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pandas.io.formats.style import Styler

from thesislib.figures.joint_tables import main_scores, reference, seeds_of
from thesislib.figures.tables import plain
from thesislib.published import comparison_table
from thesislib.synthetic.hand import FINGERS, JOINTS
from thesislib.transforms.hands import MEAN, STD

GOAL = 0.10  # of the box: what the page asks of a network that saw synthetic hands alone
# What a page says of the pictures that train, after "they are"; see transforms.hands.
AUGMENTATIONS = {
    "thesis": "blurred and recoloured, with noise and an erased square, and neither turned nor shifted",
    "report": "cut out tightly about the hand, and three in ten are also turned, sheared, mirrored, recoloured "
    "or spotted",
    "strong": "turned, scaled, sheared, shifted and mirrored, then recoloured and blurred, with noise and an "
    "erased square",
}

Records = Sequence[Mapping[str, Any]]


def of_this_run(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the page's own run, errors in pixels of 256."""
    config, metrics, scores = record["config"], record["metrics"], main_scores(record)
    return {
        "train_hands": f"{config['train_hands']:,}",
        "train_signers": f"{config['train_signers']:,}",
        "test_hands": f"{config['test_hands']:,}",
        "test_signers": config["test_signers"],
        "width": f"{config['width']:.0%}",
        "stem_stride": config["stem_stride"],
        "parameters": f"{metrics['parameters']:,}",
        "multiply_adds": f"{metrics['multiply_adds'] / 1e6:.1f}",
        "error": scores["epe_px_at_256"],
        "error_median": scores["epe_median_px_at_256"],
        "error_visible": scores["epe_px_at_256_visible"],
        "error_hidden": scores["epe_px_at_256_occluded"],
        "error_mean_pose": metrics["unseen_signers_mean_pose"]["epe_px_at_256"],
        "augmentation": AUGMENTATIONS[config["augmentation"]],
        **best_and_worst_finger([record]),
    }


def of_stored_runs(stored: Records, speeds: Records) -> dict[str, Any]:
    """Return the numbers of the stored run that the page is about, means over its seeds, and of the speeds.

    That run is `joint_tables.reference`; ValueError where none is stored. Speed-ups are factors, above 1 where
    the thesis's network is the faster.
    """
    main = reference(stored)
    group = seeds_of(main, stored)
    scores = [main_scores(record) for record in group]
    mean_pose = [record["metrics"]["unseen_signers_mean_pose"] for record in group]
    numbers: dict[str, Any] = {
        "n_stored": len(stored),
        "stored_seeds": len(group),
        "stored_train_hands": f"{main['config']['train_hands']:,}",
        "stored_width": f"{main['config']['width']:.0%}",
        "stored_error": _mean(scores, "epe_px_at_256"),
        "stored_error_median": _mean(scores, "epe_median_px_at_256"),
        "stored_auc": _mean(scores, "auc_0_30_px_at_256"),
        "stored_error_mean_pose": _mean(mean_pose, "epe_px_at_256"),
        "real_verdict": real_verdict(group),
    }
    numbers |= {f"stored_{name}": finger for name, finger in best_and_worst_finger(group).items()}
    return numbers | speed_ups(speeds[-1])


def speed_ups(speed: Mapping[str, Any]) -> dict[str, float]:
    """Return how many times as fast as its peers the thesis's network is under ONNX Runtime."""
    systems = speed["metrics"]["systems"]

    def ratio(system: str, peer: str) -> float:
        return systems[system][f"latency_ratio_to_{peer}_onnx"]

    ratios = {
        "resnet50": ratio("thesis_64", "resnet50_heatmaps_256"),
        "mediapipe": ratio("thesis_64", "mediapipe_full"),
        "half_resnet50": ratio("thesis_half_64", "resnet50_heatmaps_256"),
        "half_mediapipe": ratio("thesis_half_64", "mediapipe_full"),
        "at_256": ratio("thesis_256", "resnet50_heatmaps_256"),
        "resnet50_64": systems["thesis_64"]["latency_ms_onnx"]
        / systems["resnet50_heatmaps_64"]["latency_ms_onnx"],
    }
    return {f"speedup_{name}": 1 / value for name, value in ratios.items()}


def best_and_worst_finger(group: Records) -> dict[str, str]:
    """Return the fingers with the smallest and the largest mean error of their four joints, over all seeds."""
    by_joint = np.mean([r["metrics"]["unseen_signers_error_px_at_256_by_joint"] for r in group], axis=0)
    error = {
        finger: np.mean([e for joint, e in zip(JOINTS, by_joint, strict=True) if joint.startswith(finger)])
        for finger in FINGERS
    }
    names = {finger: finger if finger == "thumb" else f"{finger} finger" for finger in FINGERS}
    return {
        "best_finger": names[min(error, key=error.__getitem__)],
        "worst_finger": names[max(error, key=error.__getitem__)],
    }


def real_verdict(group: Records) -> str:
    """Return in words how many real test sets, each with each of its boxes, miss the goal, means over seeds."""
    errors: dict[str, list[float]] = {}
    for record in group:
        for name, found in record["metrics"]["real"].items():
            errors.setdefault(name, []).append(found["network"]["error_over_box"])
    missed = sum(np.mean(of_seeds) > GOAL for of_seeds in errors.values())
    if not errors:
        return "no real hands were there when it was measured"
    return f"it is missed by {missed} of the {len(errors)} rows" if missed else "it is met by all of them"


def as_pictures(inputs: np.ndarray) -> np.ndarray:
    """Return normalised network inputs [N, 3, S, S] as pictures uint8 again, clipped where they left the range."""
    mean, std = (np.array(part, np.float32)[:, None, None] for part in (MEAN, STD))
    return (255 * np.clip(inputs.astype(np.float32) * std + mean, 0, 1)).round().astype(np.uint8)


def best_and_worst(arrays: Mapping[str, np.ndarray], part: str, count: int = 6) -> np.ndarray:
    """Return what the best and then the worst hands of a test have of a part, ``count`` of each."""
    return np.concatenate([arrays[f"best_{part}"][:count], arrays[f"worst_{part}"][:count]])


def printed_and_measured(stored: Records) -> Styler:
    """Return the thesis's printed error beside that of the stored run the page is about, one value a seed."""
    values = [main_scores(record)["epe_px_at_256"] for record in seeds_of(reference(stored), stored)]
    protocol = "synthetic hands of unseen signers, 64 px input, all joints"
    rows = [("ignatiev2019_pose_error", values, protocol, "not comparable")]
    return plain(comparison_table(rows), words=True)


def _mean(scores: Sequence[Mapping[str, float]], key: str) -> float:
    return float(np.mean([score[key] for score in scores]))
