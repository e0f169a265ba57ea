"""The numbers that the sentences of chapter 2 quote, and its comparison with print, each from records."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pandas.io.formats.style import Styler

from thesislib.chapters.eight_bits import TRAINED, WHOLE
from thesislib.chapters.joint_choices import OURS
from thesislib.chapters.stored_pose import MEDIAPIPE
from thesislib.config import digest
from thesislib.figures.joint_runs import (
    NAMES,
    SIZE,
    StoredRuns,
    by_seed,
    choices,
    main_scores,
    pictures_seen,
    reference,
    seeds_of,
)
from thesislib.figures.joint_tables import Change, Systems, errors_by_train_hands, luck
from thesislib.figures.tables import listed, missing, plain
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
    real = main["metrics"]["real"]
    numbers: dict[str, Any] = {
        "stored_seeds": f"{len(group)} seed{'s' * (len(group) > 1)}",
        "stored_train_hands": f"{main['config']['train_hands']:,}",
        "stored_train_signers": f"{main['config']['train_signers']:,}",
        "stored_test_hands": f"{main['config']['test_hands']:,}",
        "stored_test_signers": main["config"]["test_signers"],
        "stored_augmentation": AUGMENTATIONS[main["config"]["augmentation"]],
        "stored_loss": LOSSES[main["config"]["loss"]],
        "stored_schedule": SCHEDULES[main["config"]["schedule"]],
        "stored_batch_size": main["config"]["batch_size"],
        "stored_epochs": main["config"]["epochs"],
        "stored_width": f"{main['config']['width']:.0%}",
        "stored_error": _mean(scores, "epe_px_at_256"),
        "stored_error_median": _mean(scores, "epe_median_px_at_256"),
        "stored_auc": _mean(scores, "auc_0_30_px_at_256"),
        "stored_error_mean_pose": _mean(mean_pose, "epe_px_at_256"),
        "real_goal": f"{GOAL:.0%}",
        "real_verdict": real_verdict(group),
        "real_no_better": real_no_better(group),
        "real_people": max((found["network"].get("n_signers", 0) for found in real.values()), default=0),
    }
    numbers |= {f"stored_{name}": finger for name, finger in best_and_worst_finger(group).items()}
    return numbers | speed_ups(speeds[-1])


def of_networks(systems: Systems) -> str:
    """Return the paragraph on networks that were trained on the same hands, equally often; '' of fewer than two.

    The first system is the thesis's network.
    """
    if len(systems) < 2:
        return ""
    ours = next(iter(systems.values()))[0]
    scores = {name: [main_scores(r) for r in group] for name, group in systems.items()}
    errors = {name: _mean(of, "epe_px_at_256") for name, of in scores.items()}
    areas = {name: _mean(of, "auc_0_30_px_at_256") for name, of in scores.items()}
    best, nearest = min(errors, key=errors.__getitem__), max(areas, key=areas.__getitem__)
    first, lowest = (
        [score["epe_px_at_256"] for score in scores[name]] for name in (next(iter(scores)), best)
    )
    apart = ""
    if len(first) > 1 and lowest != first:
        reach = luck(first, lowest)
        verdict = "may be luck" if np.mean(first) - np.mean(lowest) <= reach else "is more than luck"
        apart = (
            f" With so few seeds, luck alone may take two such rows {reach:.1f} px apart, so that {verdict}."
        )
    mean_pose = ours["metrics"]["unseen_signers_mean_pose"]["epe_px_at_256"]
    config = ours["config"]
    return (
        f"Each has seen {config['train_hands']:,} hands {config['epochs']} times. "
        f"Lowest is {best} with {errors[best]:.1f} px; {next(iter(errors))} has "
        f"{next(iter(errors.values())):.1f} px, the mean pose {mean_pose:.1f} px.{apart} By AUC, the mean share of "
        "joints found over all distances up to 30 px, which a few large errors cannot spoil, the highest is "
        f"{nearest} with {areas[nearest]:.3f}. " + _seeds_told([len(group) for group in systems.values()])
    )


def of_longer_training(small: Systems, large: Systems) -> str:
    """Return what networks that have both trainings gain from the large one; '' where none has both.

    A network's two trainings are alike in all but their size and precision.
    """

    def by_training(systems: Systems) -> dict[str, tuple[str, Records]]:
        found = {}
        for name, group in systems.items():
            config = group[0]["config"]
            alike = {of: value for of, value in choices(config).items() if of not in (*SIZE, "precision")}
            found[digest({"network": config["network"], **alike})] = (name, group)
        return found

    after = by_training(large)
    both = {
        name: (group, after[training][1])
        for training, (name, group) in by_training(small).items()
        if training in after
    }
    if not both:
        return ""
    gains = [f"{name} from {_mean_error(a):.1f} to {_mean_error(b):.1f} px" for name, (a, b) in both.items()]
    lower = sum(_mean_error(b) < _mean_error(a) for a, b in both.values())
    one, other = next(iter(both.values()))
    times = pictures_seen(other[0]) / pictures_seen(one[0])
    return (
        f"The large training above, of {other[0]['config']['train_hands']:,} hands, shows {times:.3g} times as "
        f"many pictures, and takes {listed(gains)}: {lower} of {len(both)} end{'s' * (lower == 1)} lower, so the "
        "order here is that of networks which have not learned all they can."
    )


def of_error_and_latency(points: Mapping[str, tuple[float, float]]) -> str:
    """Return which networks of ours are faster than each other system and at least as near; '' where there is none.

    ``points`` are those of `joint_tables.latency_and_error`: name -> (ms, error in px at 256); as near is what is
    as it is shown.
    """
    shown = {name: (round(ms, 1), round(error, 1)) for name, (ms, error) in points.items()}
    ours = {name: point for name, point in shown.items() if name.startswith(NAMES[OURS])}
    told = []
    for rival, (ms, error) in shown.items():
        if rival not in ours:
            better = [
                name for name, (its_ms, its_error) in ours.items() if its_ms < ms and its_error <= error
            ]
            named = [f"{name} ({ours[name][1]} px, {ours[name][0]} ms)" for name in better]
            told.append(
                f"At least as near as {rival} ({error} px, {ms} ms), and faster, is {listed(named or ['none'])}."
            )
    return " ".join(told)


def of_changes(changes: Mapping[str, Change]) -> str:
    """Return the paragraph on what single changes of the training do; '' without any."""
    if not changes:
        return ""
    told = []
    for verdict in ("better", "worse", "within luck"):
        names = [f"`{name}`" for name, change in changes.items() if change.verdict == verdict]
        listing = "" if verdict == "within luck" else f": {'; '.join(names)}"
        if names:
            told.append(f"{len(names)} {'is' if len(names) == 1 else 'are'} {verdict}{listing}")
    said = f"Of {len(changes)} change{'s' * (len(changes) > 1)}, {'. '.join(told)}."
    failed = [f"`{name}`" for name, change in changes.items() if change.error >= change.mean_pose]
    if failed:
        mean_pose = next(iter(changes.values())).mean_pose
        verb = "ends" if len(failed) == 1 else "end"
        said += f" {listed(failed)} {verb} no better than the mean pose, which is {mean_pose:.1f} px away."
    return said


def of_more_hands(runs: StoredRuns) -> str:
    """Return the paragraph on trainings that saw as many pictures of fewer or of more hands; '' without any."""
    if not runs.hands:
        return ""
    errors = errors_by_train_hands(runs.hands)
    told = [f"{hands:,} hands {np.mean(of_seeds):.1f} px" for hands, of_seeds in errors.items()]
    usual = errors[runs.usual["config"]["train_hands"]]
    said = f"All have seen {pictures_seen(runs.usual):,} pictures: {listed(told)}."
    if len(usual) < 2:
        return said
    most = max(abs(np.mean(of_seeds) - np.mean(usual)) for of_seeds in errors.values())
    verdict = "so none of them can be told from it" if most <= luck(usual) else "and some differ by more"
    return f"{said} Luck alone may move a single run by ± {luck(usual):.1f} px, {verdict}."


def _seeds_told(seeds: Sequence[int]) -> str:
    if max(seeds) == 1:
        return "With one seed each, small differences tell nothing."
    several = sum(n > 1 for n in seeds)
    return (
        f"{several} of the {len(seeds)} rows {'has' if several == 1 else 'have'} more than one seed, whose spread "
        "says how much is luck."
    )


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


def of_bits(record: Mapping[str, Any] | None) -> str:
    """Return the paragraph on what eight bits save and cost, from a record of `eight_bits`."""
    if record is None:
        return missing("eight bits", "thesis run eight_bits --profile full")
    m, latency = record["metrics"], record["metrics"]["latency"]
    before, after = (m[f"unseen_signers_{precision}"]["epe_px_at_256"] for precision in ("fp32", "int8"))
    faster = {
        network: 1 / latency[f"{network}_fp32"][f"{network}_int8"][f"ratio_to_{network}_fp32"]
        for network in (TRAINED, WHOLE)
    }
    said = (
        f"The trained network's mean error is {after:.2f} px in eight bits and was {before:.2f} px; joints move "
        f"by {m['unseen_signers_int8_from_fp32_median_px_at_256']:.1f} px of 256 (median). "
    )
    if m["real"]:
        moved = {
            name: abs(both["int8"]["error_over_box"] - both["fp32"]["error_over_box"])
            for name, both in m["real"].items()
        }
        worst = max(moved, key=moved.__getitem__)
        most = math.ceil(1000 * moved[worst]) / 1000  # a bound is not rounded down
        said += (
            f"On no set of real hands does its error change by more than {most:.3f} of the box, that much on the "
            f"{m['real'][worst]['int8']['n_images']} pictures of {_set_of(worst)}. "
        )
    said += f"It is {faster[TRAINED]:.1f} times as fast as before, and the whole width {faster[WHOLE]:.1f} times. "
    if MEDIAPIPE in latency:
        goal = SPEED_GOALS["mediapipe"]
        whole = {p: 1 / latency[MEDIAPIPE][f"{WHOLE}_{p}"][f"ratio_to_{MEDIAPIPE}"] for p in ("fp32", "int8")}
        met = "met" if whole["int8"] >= goal else "missed"
        said += (
            f"Beside MediaPipe's full landmark model, as published and under LiteRT, in turns on that machine, the "
            f"whole width is {whole['int8']:.1f} times as fast in eight bits and {whole['fp32']:.1f} times in 32: "
            f"in eight bits the goal of {goal} is {met}, for the speed alone, because its "
            "weights are random here."
        )
    return said.strip()


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


def real_no_better(group: Records) -> str:
    """Return in words on which real test sets the mean pose is in the network's interval, or below; first seed."""
    inside, below = [], []
    for name, found in group[0]["metrics"]["real"].items():
        network, mean_pose = found["network"], found["mean_pose"]["error_over_box"]
        if mean_pose <= network["error_over_box_high"]:
            where = below if mean_pose < network["error_over_box_low"] else inside
            where.append(_set_of(name))
    # a set may stand in two rows, with a box of each kind
    told = [f"On {listed(dict.fromkeys(below))} that is better than the network"] if below else []
    if inside:
        sets = listed(dict.fromkeys(inside))
        told.append(f"On {sets} that is inside the network's interval, so nothing is shown there")
    return ". ".join(told) or "On no row is that as good as the network"


def _set_of(row: str) -> str:
    """Return the set of real hands that a row of a record is of: "rhd" of "rhd_samples_keypoints_box"."""
    return row.rsplit("_", 2)[0].removesuffix("_samples")


def as_pictures(inputs: np.ndarray) -> np.ndarray:
    """Return normalised network inputs [N, 3, S, S] as pictures uint8 again, clipped where they left the range."""
    mean, std = (np.array(part, np.float32)[:, None, None] for part in (MEAN, STD))
    return (255 * np.clip(inputs.astype(np.float32) * std + mean, 0, 1)).round().astype(np.uint8)


def best_and_worst(arrays: Mapping[str, np.ndarray], part: str, count: int = 6) -> np.ndarray:
    """Return what the best and then the worst hands of a test have of a part, ``count`` of each."""
    return np.concatenate([arrays[f"best_{part}"][:count], arrays[f"worst_{part}"][:count]])


def printed_and_measured(stored: Records) -> Styler:
    """Return the thesis's printed error beside those of its network here, one row a width, one value a seed."""
    ours = by_seed([record for record in stored if record["config"]["network"] == OURS])
    rows = []
    for group in ours:
        width = f"{group[0]['config']['width']:.0%} of the width"
        protocol = f"{width}, synthetic hands of unseen signers, 64 px input, all joints"
        values = [main_scores(record)["epe_px_at_256"] for record in group]
        rows.append(("ignatiev2019_pose_error", values, protocol, "not comparable"))
    return plain(comparison_table(rows), words=True)


def _mean(scores: Sequence[Mapping[str, float]], key: str) -> float:
    return float(np.mean([score[key] for score in scores]))


def _mean_error(group: Records) -> float:
    return _mean([main_scores(record) for record in group], "epe_px_at_256")
