"""The numbers that the sentences of chapter 2 quote, and its comparison with print, each from records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pandas.io.formats.style import Styler

from thesislib.figures.joint_tables import main_scores
from thesislib.figures.tables import plain
from thesislib.published import comparison_table
from thesislib.transforms.hands import MEAN, STD

GOAL = 0.10  # of the box: what the page asks of a network that saw synthetic hands alone

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
    }


def of_stored_runs(stored: Records, speeds: Records) -> dict[str, Any]:
    """Return how many runs are stored, the ratios of latencies, and whether the goal on real hands is met."""
    systems = speeds[-1]["metrics"]["systems"]

    def ratio(system: str, peer: str) -> float:
        return systems[system][f"latency_ratio_to_{peer}_onnx"]

    numbers: dict[str, Any] = {
        "n_stored": len(stored),
        "ratio_resnet50": ratio("thesis_64", "resnet50_heatmaps_256"),
        "ratio_mediapipe": ratio("thesis_64", "mediapipe_full"),
        "ratio_half_resnet50": ratio("thesis_half_64", "resnet50_heatmaps_256"),
        "ratio_half_mediapipe": ratio("thesis_half_64", "mediapipe_full"),
        "ratio_at_256": ratio("thesis_256", "resnet50_heatmaps_256"),
    }
    real = next(record["metrics"]["real"] for record in stored if record["metrics"]["real"])
    errors = {name: found["network"]["error_over_box"] for name, found in real.items()}
    missed = [name for name, error in errors.items() if error > GOAL]
    numbers["real_verdict"] = (
        "it is met by all of them"
        if not missed
        else f"it is missed by {len(missed)} of the {len(errors)} rows"
    )
    return numbers


def as_pictures(inputs: np.ndarray) -> np.ndarray:
    """Return normalised network inputs [N, 3, S, S] as pictures uint8 again, clipped where they left the range."""
    mean, std = (np.array(part, np.float32)[:, None, None] for part in (MEAN, STD))
    return (255 * np.clip(inputs.astype(np.float32) * std + mean, 0, 1)).round().astype(np.uint8)


def best_and_worst(arrays: Mapping[str, np.ndarray], part: str, count: int = 6) -> np.ndarray:
    """Return what the best and then the worst hands of a test have of a part, ``count`` of each."""
    return np.concatenate([arrays[f"best_{part}"][:count], arrays[f"worst_{part}"][:count]])


def printed_and_measured(stored: Records) -> Styler:
    """Return the thesis's printed error beside ours, one value a stored run of its network."""
    ours = [record for record in stored if record["config"]["network"] == "thesis"]
    values = [main_scores(record)["epe_px_at_256"] for record in ours]
    protocol = "synthetic hands of unseen signers, 64 px input, all joints"
    rows = [("ignatiev2019_pose_error", values, protocol, "not comparable")]
    return plain(comparison_table(rows), words=True)
