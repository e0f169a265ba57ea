"""The numbers that the sentences of chapter 2 quote, and its comparison with print, each from records."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pandas.io.formats.style import Styler

from thesislib import results
from thesislib.chapters.finding_joints import arrays_path
from thesislib.chapters.hand_sets import MIX
from thesislib.chapters.joint_choices import OURS, Config
from thesislib.figures.joint_runs import (
    BY_ADAMW,
    RECIPES,
    THE_REPORTS_WAY,
    Records,
    StoredRuns,
    by_seed,
    departures,
    main_errors,
    main_scores,
    mean_error,
    reference,
    seeds_of,
)
from thesislib.figures.joint_tables import tested
from thesislib.figures.tables import listed, plain
from thesislib.published import comparison_table
from thesislib.synthetic.hand import FINGERS, JOINTS
from thesislib.transforms.hands import MEAN, STD

GOAL = 0.10  # of the box: what the page asks of a network that saw synthetic hands alone
SPEED_GOALS = {"resnet50": 10, "mediapipe": 3}  # how many times as fast the thesis's network should be
MEAN_DISTANCE_TO_CENTRE = (math.sqrt(2) + math.asinh(1)) / 6  # of a square's points, in its sides
LOSSES = {
    "default": "the squared error of heatmaps",
    "l2": "the squared error of heatmaps",
    "cross_entropy": "the cross entropy of each pixel",
    "spatial_cross_entropy": "the cross entropy over a map's pixels",
}
SCHEDULES = {
    "sgdr": "a rate that falls along cosine arcs and restarts",
    "one_cycle": "a rate that rises once and falls",
    "constant": "a constant rate",
}
KINDS = {  # of synthetic hands, by their names in `hand_sets.MIX`
    "random": "in free poses",
    "letters": "letters of the American alphabet",
    "german": "of the German one",
    "digits": "digits",
    "flat": "flat hands",
}
# What a page says of the pictures that train, after "they are"; see transforms.hands.
AUGMENTATIONS = {
    "thesis": "blurred and recoloured, with noise and an erased square, and neither turned nor shifted",
    "report": "cut out tightly about the hand, and three in ten are also turned, sheared, mirrored, recoloured "
    "or spotted",
    "strong": "turned, scaled, sheared, shifted and mirrored, then recoloured and blurred, with noise and an "
    "erased square",
}


def of_this_run(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the page's own run, errors in pixels of 256."""
    config, metrics, scores = record["config"], record["metrics"], main_scores(record)
    gain = metrics["unseen_signers_mean_pose"]["epe_px_at_256"] - scores["epe_px_at_256"]
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
        "against_mean_pose": f"{abs(gain):.1f} pixels {'better' if gain > 0 else 'worse'} than the mean pose",
        "loss_used": LOSSES[config["loss"]],
        "schedule": SCHEDULES[config["schedule"]],
        "hand_mix": listed(f"{share:.0%} {KINDS[kind]}" for kind, share in MIX.items()),
        "epochs": config["epochs"],
        "batch_size": config["batch_size"],
        "radius": f"{config['radius']:g}",
        "map_size": (side := 2 * config["size"] // config["stem_stride"]),  # the decoder enlarges 16 times
        "argmax_floor": MEAN_DISTANCE_TO_CENTRE * 256 / side,
        **best_and_worst_finger([record]),
    }


def of_stored_runs(stored: Records, speeds: Records) -> dict[str, Any]:
    """Return the numbers of the stored run that the page is about, means over its seeds, and of the speeds.

    That run is `joint_runs.reference`; ValueError where none is stored. Speed-ups are factors, above 1 where
    the thesis's network is the faster.
    """
    main = reference(stored)
    group = seeds_of(main, stored)
    scores = [main_scores(record) for record in group]
    mean_pose = [record["metrics"]["unseen_signers_mean_pose"] for record in group]
    numbers: dict[str, Any] = {
        "stored_seeds": f"{len(group)} seed{'s' * (len(group) > 1)}",
        "stored_augmentation": AUGMENTATIONS[main["config"]["augmentation"]],
        "rivals_rate": f"{RECIPES[BY_ADAMW]['lr_max']:g}",
        "reports_rate": f"{RECIPES[THE_REPORTS_WAY]['lr_max']:g}",
        "reports_batch_size": RECIPES[THE_REPORTS_WAY]["batch_size"],
        "stored_width": f"{main['config']['width']:.0%}",
        "stored_error": mean_of(scores, "epe_px_at_256"),
        "stored_error_median": mean_of(scores, "epe_median_px_at_256"),
        "stored_auc": mean_of(scores, "auc_0_30_px_at_256"),
        "stored_error_mean_pose": mean_of(mean_pose, "epe_px_at_256"),
    }
    numbers |= {f"stored_{name}": finger for name, finger in best_and_worst_finger(group).items()}
    return numbers | speed_ups(speeds[-1])


def of_nearest(name: str, group: Records) -> dict[str, Any]:
    """Return what is said of the system of the lowest error, from its seeds; ``name`` is its row's."""
    real = group[0]["metrics"]["real"].values()
    return {
        "nearest_name": name,
        "nearest_error": mean_error(group),
        "real_goal": f"{GOAL:.0%}",
        "real_verdict": real_verdict(group),
        "real_no_better": real_no_better(group),
        "real_people": max((found["network"].get("n_signers", 0) for found in real), default=0),
    }


def speed_ups(speed: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many times as fast as its peers the thesis's network is under ONNX Runtime, and if goals are met.

    One ratio, named so, is under PyTorch. MediaPipe's models run under LiteRT throughout.
    """
    systems = speed["metrics"]["systems"]

    def ratio(system: str, peer: str, runtime: str = "onnx") -> float:
        return systems[system][f"latency_ratio_to_{peer}_{runtime}"]

    ratios = {
        "resnet50": ratio("thesis_64", "resnet50_heatmaps_256"),
        "mediapipe": ratio("thesis_64", "mediapipe_full"),
        "half_resnet50": ratio("thesis_half_64", "resnet50_heatmaps_256"),
        "half_mediapipe": ratio("thesis_half_64", "mediapipe_full"),
        "at_256": ratio("thesis_256", "resnet50_heatmaps_256"),
        "resnet50_64": systems["thesis_64"]["latency_ms_onnx"]
        / systems["resnet50_heatmaps_64"]["latency_ms_onnx"],
        "resnet50_pytorch": ratio("thesis_64", "resnet50_heatmaps_256", "pytorch"),
        "of_resnet50s_input": systems["resnet50_heatmaps_64"]["latency_ms_onnx"]
        / systems["resnet50_heatmaps_256"]["latency_ms_onnx"],
    }
    found: dict[str, Any] = {f"speedup_{name}": 1 / value for name, value in ratios.items()}
    verdicts = []
    for peer, spoken in (("resnet50", "ResNet-50 at 256"), ("mediapipe", "MediaPipe")):
        whole, half = found[f"speedup_{peer}"], found[f"speedup_half_{peer}"]
        goal = SPEED_GOALS[peer]
        met = "met" if whole >= goal else "met at half width only" if half >= goal else "missed"
        verdicts.append(f"{goal:g} times as fast as {spoken} is {met}")
    return found | {"speed_verdict": " and ".join(verdicts), "speed_rounds": speed["config"]["rounds"]}


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
    found = tested(group).values()
    errors = [mean_of([seed["network"] for seed in of_seeds], "error_over_box") for of_seeds in found]
    missed = sum(error > GOAL for error in errors)
    if not errors:
        return "no real hands were there when it was measured"
    return f"it is missed by {missed} of the {len(errors)} rows" if missed else "it is met by all of them"


def real_no_better(group: Records) -> str:
    """Return in words on which real test sets the mean pose is in the network's interval, or below; first seed."""
    inside, below = [], []
    for name, found in group[0]["metrics"]["real"].items():
        network, mean_pose = found["network"], found["mean_pose"]["error_over_box"]
        if mean_pose <= network["error_over_box_high"]:
            where = below if mean_pose < network["error_over_box_low"] else inside
            where.append(set_of(name))
    # a set may stand in two rows, with a box of each kind
    told = [f"On {listed(dict.fromkeys(below))} that is better than the network"] if below else []
    if inside:
        sets = listed(dict.fromkeys(inside))
        told.append(f"On {sets} that is inside the network's interval, so nothing is shown there")
    return ". ".join(told) or "On no row is that as good as the network"


def set_of(row: str) -> str:
    """Return the set of real hands that a row of a record is of: "rhd" of "rhd_samples_keypoints_box"."""
    return row.rsplit("_", 2)[0].removesuffix("_samples")


def as_pictures(inputs: np.ndarray) -> np.ndarray:
    """Return normalised network inputs [N, 3, S, S] as pictures uint8 again, clipped where they left the range."""
    mean, std = (np.array(part, np.float32)[:, None, None] for part in (MEAN, STD))
    return (255 * np.clip(inputs.astype(np.float32) * std + mean, 0, 1)).round().astype(np.uint8)


def best_and_worst(arrays: Mapping[str, np.ndarray], part: str, count: int = 6) -> np.ndarray:
    """Return what the best and then the worst hands of a test have of a part, ``count`` of each."""
    return np.concatenate([arrays[f"best_{part}"][:count], arrays[f"worst_{part}"][:count]])


def arrays_of_nearest(stored: Records) -> dict[str, np.ndarray]:
    """Return the arrays of the run with the lowest error, of those with heatmaps whose arrays are stored.

    Raises `results.RecordError` where none has any.
    """
    places = {
        arrays_path(Config(**run["config"])): run for run in stored if run["metrics"]["output"] == "heatmaps"
    }
    there = {place: main_errors([run]) for place, run in places.items() if place.exists()}
    if not there:
        raise results.RecordError(f"of {len(stored)} runs none has stored its heatmaps: train one again")
    return results.read_arrays(min(there, key=there.__getitem__))


def printed_and_measured(runs: StoredRuns, speed: Mapping[str, Any]) -> Styler:
    """Return the thesis's printed numbers beside those of its network here, one value a seed."""
    rows = []
    for group in by_seed([record for record in runs.large if record["config"]["network"] == OURS]):
        config = group[0]["config"]
        width = f"{config['width']:.0%} of the width"
        protocol = f"{width}, synthetic hands of unseen signers, 64 px input, all joints"
        errors = main_errors(group)
        rows.append(("ignatiev2019_pose_error", errors, protocol, "not comparable"))
        minutes = [float(np.median(record["metrics"]["history"]["seconds"])) / 60 for record in group]
        device = group[0]["environment"]["device"]
        hands = f"{config['train_hands']:,} hands an epoch and validation"
        protocol = f"{width}, {hands}, {config['precision']}, {device}"
        rows.append(("ignatiev2019_pose_epoch_time", minutes, protocol, "not comparable"))
    narrow = [record for record in runs.changes if departures(record, runs.usual) == {"radius": 1.0}]
    if narrow:
        errors = main_errors(narrow)
        protocol = f"the small training, {narrow[0]['config']['width']:.0%} of the width"
        rows.append(("ignatiev2019_pose_error_radius_1", errors, protocol, "not comparable"))
    latency = speed["metrics"]["systems"]["thesis_64"]["latency_ms_onnx"]
    protocol = "whole width, one picture on one CPU thread, ONNX Runtime"
    rows.append(("ignatiev2019_pose_latency", [latency], protocol, "not comparable"))
    return plain(comparison_table(rows), words=True)


def mean_of(scores: Sequence[Mapping[str, float]], key: str) -> float:
    """Return the mean of one score over several records."""
    return float(np.mean([score[key] for score in scores]))
