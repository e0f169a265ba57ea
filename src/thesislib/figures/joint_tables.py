"""Tables and curves of chapter 2, from records: networks side by side, decoders, real hands, speeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from thesislib.chapters import pose_speed
from thesislib.chapters.joint_choices import OURS, Config
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
NO_CHOICE = ("seed", "profile_name", "network", "real_sets")  # what does not make two trainings different
OURS_ALONE = ("width", "decoder_width", "depth", "stem_stride", "literal")  # a rival has no such choice

Records = Sequence[Mapping[str, Any]]


def reference(records: Records) -> Mapping[str, Any]:
    """Return the run that a page is about, and that tables compare all others with.

    It is a run of the thesis's network: of those with the most training hands the one whose configuration departs
    in the fewest fields from the profile full, and of its seeds the lowest. Raises ValueError where there is none.
    """
    ours = [record for record in records if record["config"]["network"] == OURS]
    if not ours:
        raise ValueError(f"no run of the thesis's network is among these {len(records)} records")
    usual = choices(Config.profile("full").as_dict())

    def rank(record: Mapping[str, Any]) -> tuple[int, int, int]:
        chosen = choices(record["config"])
        departures = sum(value != usual.get(name) for name, value in chosen.items())
        return -chosen["train_hands"], departures, record["config"]["seed"]

    return min(ours, key=rank)


def choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration that make its training another one, seeds and tests left out.

    A rival's usual loss is that of its kind of output, so it is no choice.
    """
    left_out = NO_CHOICE if config["network"] == OURS else NO_CHOICE + OURS_ALONE
    if config["network"] != OURS and config["loss"] == "default":
        left_out += ("loss",)
    return {name: value for name, value in config.items() if name not in left_out}


def equal_trainings(records: Records) -> list[Mapping[str, Any]]:
    """Return the runs of that number of hands and epochs which most networks have; none if it is one network."""
    of_size: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for record in records:
        size = record["config"]["train_hands"], record["config"]["epochs"]
        of_size.setdefault(size, []).append(record)

    def networks(runs: Records) -> int:
        return len({run["config"]["network"] for run in runs})

    most = max(of_size.values(), key=networks, default=[])
    return most if networks(most) > 1 else []


def label(record: Mapping[str, Any], against: Mapping[str, Any]) -> str:
    """Return a system's name and every choice in which its training differs from that of ``against``.

    What makes the thesis's network another one (its width, its stem) is told against the thesis's own, so that a
    narrower network is never called the thesis's alone.
    """
    full = Config.profile("full").as_dict()
    usual = against["config"] | {name: full[name] for name in OURS_ALONE}
    changed = [
        _told(name, value)
        for name, value in choices(record["config"]).items()
        if name not in usual or value != usual[name]
    ]
    return ", ".join([NAMES[record["config"]["network"]], *changed])


def by_seed(records: Records) -> list[Records]:
    """Return records that differ in nothing but the seed together, in the order of their first.

    Of two runs of one seed, which differ in the real hands they were tested on, the one with more of them stays.
    """
    groups: dict[str, dict[int, Mapping[str, Any]]] = {}
    for record in records:
        config = record["config"]
        group = groups.setdefault(_training(config), {})
        known = group.get(config["seed"])
        if known is None or len(config["real_sets"]) > len(known["config"]["real_sets"]):
            group[config["seed"]] = record
    return [[group[seed] for seed in sorted(group)] for group in groups.values()]


def seeds_of(record: Mapping[str, Any], records: Records) -> Records:
    """Return those of the records that differ from one of them in nothing but the seed, by seed."""
    training = _training(record["config"])
    return by_seed([other for other in records if _training(other["config"]) == training])[0]


def named(records: Records, against: Mapping[str, Any]) -> dict[str, Records]:
    """Return records by `label`, seeds together and those of ``against`` first.

    Raises ValueError where two different trainings have one label.
    """
    groups: dict[str, Records] = {}
    main = _training(against["config"])
    for group in sorted(by_seed(records), key=lambda group: _training(group[0]["config"]) != main):
        name = label(group[0], against)
        if name in groups:
            digests = [of[0].get("config_digest", "unknown") for of in (groups[name], group)]
            raise ValueError(f"two different trainings are both called {name!r}: {' and '.join(digests)}")
        groups[name] = group
    return groups


def main_scores(record: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the scores on unseen signers by the record's main decoder."""
    return record["metrics"][f"unseen_signers_{record['metrics']['decoder']}"]


def benchmark(records: Records, against: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return one row a system, seeds together: errors on hands of unseen signers, size, training.

    Rows tell in what they differ from ``against``, the first record if not given; the mean pose is its own.
    Raises ValueError where two different trainings would share a row.
    """
    against, rows = against or records[0], {}
    for name, group in named(records, against).items():
        scores, metrics = [main_scores(record) for record in group], group[0]["metrics"]
        rows[name] = {
            "n seeds": str(len(group)),
            "error, px at 256": _over_seeds(scores, "epe_px_at_256"),
            "visible": _over_seeds(scores, "epe_px_at_256_visible"),
            "hidden": _over_seeds(scores, "epe_px_at_256_occluded"),
            "AUC 0-30 px": _over_seeds(scores, "auc_0_30_px_at_256", digits=3),
            "within 2 px of 128, %": _over_seeds(scores, "share_within_2_px_at_128", scale=100),
            "parameters": f"{metrics['parameters']:,}",
            "multiply-adds": f"{metrics['multiply_adds'] / 1e6:.1f} M",
            "training, min": f"{np.mean([_training_minutes(record) for record in group]):.1f}",
        }
    guess = against["metrics"]["unseen_signers_mean_pose"]
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
    """Return one row a real test set: errors in parts of the longer side of the labelled joints' box.

    It is that of the run the page is about, `reference`, means over its seeds; a seed that was not tested on a set
    is left out of its row.
    """
    tested: dict[str, list[Mapping[str, Any]]] = {}
    for record in seeds_of(reference(records), records):
        for name, found in record["metrics"]["real"].items():
            tested.setdefault(name, []).append(found)
    rows = {}
    for name, found in tested.items():
        network = [of_seed["network"] for of_seed in found]
        of_set, _, box = name.removesuffix("_box").rpartition("_")
        rows[f"{of_set.replace('_', ' ')}, cut out by the {box} box"] = {
            "n": str(network[0]["n_images"]),
            "n seeds": str(len(network)),
            "network, mean": _over_seeds(network, "error_over_box", digits=3),
            "95 %, first seed": "{error_over_box_low:.3f} to {error_over_box_high:.3f}".format(**network[0]),
            "drawn again": f"{people} people" if (people := network[0].get("n_signers", 0)) > 1 else "images",
            "median": _over_seeds(network, "error_over_box_median", digits=3),
            "mean pose": f"{found[0]['mean_pose']['error_over_box']:.3f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def latencies(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a network and input size: median ms of one picture on one CPU thread, ratios to two peers."""
    rows = {}
    for name, system in record["metrics"]["systems"].items():
        runtime = "litert" if "latency_ms_litert" in system else "onnx"
        rows[timed_name(name)] = {
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


def timed_name(system: str) -> str:
    """Return what a page calls a system of `pose_speed`, such as "thesis_half_stem4_64"; its input has a column."""
    network, _, pixels = system.rpartition("_")
    of_ours = {"thesis_half": "half width", "thesis_half_stem4": "half width, stem of stride 4"}
    if network in of_ours:
        return f"{NAMES[OURS]}, {of_ours[network]}, {pixels} px"
    if network in NAMES:
        return f"{NAMES[network]}, {pixels} px"
    return system.replace("mediapipe_", "MediaPipe, ")


def shares_found(
    records: Records, against: Mapping[str, Any]
) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Return the curves of `hand_errors.pck_curves`: label -> (thresholds, shares of joints), means over seeds."""
    curves = {}
    for name, group in named(records, against).items():
        found = [record["metrics"]["unseen_signers_pck"] for record in group]
        curves[name] = (found[0]["px_at_256"], np.mean([pck["share"] for pck in found], axis=0).tolist())
    return curves


def latency_and_error(
    records: Records, speed: Mapping[str, Any], against: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    """Return the points of `hand_errors.error_against_latency`: label -> (ms, error in px at 256).

    Latency is the median of one picture on one CPU thread under ONNX Runtime in a record of `pose_speed`, error the
    mean over seeds. Systems that were trained but not timed, or timed but not trained, make no point.
    """
    systems, points = speed["metrics"]["systems"], {}
    for name, group in named(records, against).items():
        timed = systems.get(timed_as(group[0]["config"]))
        if timed is not None:
            points[name] = (timed["latency_ms_onnx"], float(np.mean(_errors(group))))
    return points


def timed_as(config: Mapping[str, Any]) -> str | None:
    """Return the name under which `pose_speed` times a configuration's network, None where it times none such."""
    if config["network"] != OURS:
        return f"{config['network']}_{config['size']}"
    usual = Config.profile("full").as_dict()
    asked = {name: config[name] for name in ("size", *OURS_ALONE)}
    for name, (size, options) in pose_speed.OURS.items():
        if asked == {field: usual[field] for field in OURS_ALONE} | options | {"size": size}:
            return name
    return None


def errors_by_train_hands(
    records: Records, against: Mapping[str, Any]
) -> dict[str, dict[int, Sequence[float]]]:
    """Return the curves of `hand_errors.learning_curve`: label -> {training hands: error of each seed}.

    Runs of one curve differ in nothing but the training hands; what has a single number of them makes no curve.
    """
    curves: dict[str, dict[int, Sequence[float]]] = {}
    hands = against["config"]["train_hands"]
    for group in named(records, against).values():
        config = group[0]["config"]
        name = label({"config": config | {"train_hands": hands}}, against)
        curves.setdefault(name, {})[config["train_hands"]] = _errors(group)
    return {name: dict(sorted(points.items())) for name, points in curves.items() if len(points) > 1}


def _training(config: Mapping[str, Any]) -> str:
    return digest({"network": config["network"], **choices(config)})


def _training_minutes(record: Mapping[str, Any]) -> float:
    """Return the median minutes of an epoch times their number: other work on the machine slows some of them."""
    return len(seconds := record["metrics"]["history"]["seconds"]) * float(np.median(seconds)) / 60


def _errors(group: Records) -> list[float]:
    return [main_scores(record)["epe_px_at_256"] for record in group]


def _told(name: str, value: Any) -> str:
    """Return a choice in a few words: `width 0.5`, `train hands 1,000`, `adamw optimizer`, `not literal`."""
    words = name.replace("_", " ")
    if value is None or isinstance(value, bool):
        return words if value else f"{'no' if value is None else 'not'} {words}"
    if isinstance(value, str):
        return f"{value.replace('_', ' ')} {words}"
    return f"{words} {value:,}" if isinstance(value, int) else f"{words} {value:g}"


def _over_seeds(
    scores: Sequence[Mapping[str, float]], key: str, *, digits: int = 1, scale: float = 1.0
) -> str:
    values = scale * np.array([score[key] for score in scores])
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"
