"""Tables and curves of chapter 2, from records: networks side by side, decoders, real hands, speeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from thesislib.chapters import pose_speed
from thesislib.chapters.joint_choices import OURS, Config
from thesislib.chapters.stored_pose import MEDIAPIPE
from thesislib.figures.joint_runs import (
    NAMES,
    OURS_ALONE,
    Records,
    main_scores,
    mean_error,
)
from thesislib.figures.tables import spread

Systems = Mapping[str, Records]  # a name and its seeds; see `joint_runs.named`

# Ways to read a point from a map, as records name them and as pages do.
DECODERS = {"argmax": "highest pixel", "soft_argmax": "centre of mass near it", "dark": "DARK"}
# Columns of ratios, and the system of `pose_speed` that they are ratios to.
PEERS = {"of ResNet-50 at 256": "resnet50_heatmaps_256", "of MediaPipe full": "mediapipe_full"}


def benchmark(systems: Systems, speed: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return one row a system, seeds together: errors on hands of unseen signers, size, training.

    With a record of `pose_speed` there is a column of latencies, one picture on one CPU thread under ONNX Runtime.
    Minutes are an epoch's median times the epochs, on the machine that a row was trained on. The mean pose of the
    training hands has the last row; it is that of the first system.
    """
    rows = {}
    for name, group in systems.items():
        scores, metrics = [main_scores(record) for record in group], group[0]["metrics"]
        rows[name] = {"seeds": str(len(group)), "error, px at 256": _over_seeds(scores, "epe_px_at_256")}
        if speed:
            timed = speed["metrics"]["systems"].get(timed_as(group[0]["config"]))
            rows[name]["latency, ms"] = f"{timed['latency_ms_onnx']:.2f}" if timed else "–"
        rows[name] |= {
            "median": _over_seeds(scores, "epe_median_px_at_256"),
            "visible": _over_seeds(scores, "epe_px_at_256_visible"),
            "hidden": _over_seeds(scores, "epe_px_at_256_occluded"),
            "AUC 0-30 px": _over_seeds(scores, "auc_0_30_px_at_256", digits=3),
            "within 2 px of 128, %": _over_seeds(scores, "share_within_2_px_at_128", scale=100),
            "parameters": f"{metrics['parameters']:,}",
            "multiply-adds": f"{metrics['multiply_adds'] / 1e6:.1f} M",
            "own machine's minutes": f"{np.mean([_training_minutes(record) for record in group]):.1f}",
        }
    guess = next(iter(systems.values()))[0]["metrics"]["unseen_signers_mean_pose"]
    rows["mean pose of the training hands"] = {
        "seeds": "–",
        "error, px at 256": f"{guess['epe_px_at_256']:.1f}",
        "median": f"{guess['epe_median_px_at_256']:.1f}",
        "visible": f"{guess['epe_px_at_256_visible']:.1f}",
        "hidden": f"{guess['epe_px_at_256_occluded']:.1f}",
        "AUC 0-30 px": f"{guess['auc_0_30_px_at_256']:.3f}",
        "within 2 px of 128, %": f"{100 * guess['share_within_2_px_at_128']:.1f}",
    }
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def protocols(runs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return one column a training, named as in ``runs``, one row a choice of how it was made and tested."""
    columns = {}
    for name, record in runs.items():
        config = record["config"]
        steps = max(config["train_hands"] // config["batch_size"], 1) * config["epochs"]
        columns[name] = {
            "training hands": f"{config['train_hands']:,} by {config['train_signers']:,} people",
            "test hands": f"{config['test_hands']:,} by {config['test_signers']:,} others",
            "rays to a pixel's side": str(config["supersample"]),
            "augmentation": config["augmentation"],
            "width, stem's stride": f"{config['width']:.0%}, {config['stem_stride']}",
            "loss": config["loss"].replace("_", " "),
            "peak's radius, px of the input": f"{config['radius']:g}",
            "optimiser, weight decay": f"{config['optimizer']}, {config['weight_decay']:g}",
            "rate": f"{config['schedule'].replace('_', ' ')}, {config['lr_max']:g} to {config['lr_min']:g}",
            "epochs of batches": f"{config['epochs']} of {config['batch_size']}, {steps:,} steps",
            "precision": config["precision"],
        }
    return pd.DataFrame(columns)


def decoders(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a way to read a point from a heatmap: the same network, errors on unseen signers."""
    rows = {}
    for key, name in DECODERS.items():
        if scores := record["metrics"].get(f"unseen_signers_{key}"):
            rows[name] = {
                "mean error, px at 256": f"{scores['epe_px_at_256']:.2f}",
                "median": f"{scores['epe_median_px_at_256']:.2f}",
                "AUC 0-30 px": f"{scores['auc_0_30_px_at_256']:.3f}",
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_decoder(systems: Systems) -> dict[str, dict[str, float]]:
    """Return {system: {way to read a map: mean error in px at 256, over seeds}} of those that answer with maps."""
    return {
        name: {
            decoder: float(np.mean([of["metrics"][f"unseen_signers_{key}"]["epe_px_at_256"] for of in group]))
            for key, decoder in DECODERS.items()
        }
        for name, group in systems.items()
        if f"unseen_signers_{next(iter(DECODERS))}" in group[0]["metrics"]
    }


def decoders_of(systems: Systems) -> pd.DataFrame:
    """Return one row a system that answers with maps, one column a way to read them: errors on unseen signers."""
    table = pd.DataFrame.from_dict(by_decoder(systems), orient="index")
    return table.map("{:.1f} px".format)


def nearest_first(systems: Systems) -> dict[str, Records]:
    """Return systems by their error on unseen signers, means over seeds."""
    return dict(sorted(systems.items(), key=lambda item: mean_error(item[1])))


def real_hands(systems: Systems) -> pd.DataFrame:
    """Return one row a real test set: errors in parts of the longer side of the labelled joints' box.

    Columns are the first system's, means over its seeds, where a seed that was not tested on a set is left out of
    its row; each other system has a last column of means.
    """
    ours, *others = ((system, tested(group)) for system, group in systems.items())
    rows = {}
    for name, found in ours[1].items():
        network = [of_seed["network"] for of_seed in found]
        rows[real_set(name)] = {
            "n": str(network[0]["n_images"]),
            "mean": _over_seeds(network, "error_over_box", digits=3),
            "95 %, first seed": "{error_over_box_low:.3f} to {error_over_box_high:.3f}".format(**network[0]),
            "median": _over_seeds(network, "error_over_box_median", digits=3),
            "mean pose": f"{found[0]['mean_pose']['error_over_box']:.3f}",
            **{
                other: _over_seeds(
                    [seed["network"] for seed in theirs.get(name, [])], "error_over_box", digits=3
                )
                for other, theirs in others
            },
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def real_set(row: str) -> str:
    """Return what a page calls a row of a record's real hands, such as "asl7_given_box"."""
    of_set, _, box = row.removesuffix("_box").rpartition("_")
    return f"{of_set.replace('_', ' ')} ({box} box)"


def tested(group: Records) -> dict[str, list[Mapping[str, Any]]]:
    """Return {row of real hands: what each seed that was tested on it has found}."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for record in group:
        for name, found in record["metrics"]["real"].items():
            rows.setdefault(name, []).append(found)
    return rows


def latencies(record: Mapping[str, Any], trained: Records | None = None) -> pd.DataFrame:
    """Return one row a network and input size: median ms of one picture on one CPU thread, ratios to two peers.

    With runs of `trained`, rows are those of networks which have a training among them, and of the two peers.
    """
    systems = record["metrics"]["systems"]
    if trained is not None:
        kept = {timed_as(run["config"]) for run in trained} | set(PEERS.values())
        systems = {name: system for name, system in systems.items() if name in kept}
    rows = {}
    for name, system in systems.items():
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
                for title, peer in PEERS.items()
                if f"latency_ratio_to_{peer}_{runtime}" in system
            },
            "ms, PyTorch": _number(system.get("latency_ms_pytorch"), 2),
            "pictures a second, 16 at once, PyTorch": _number(system.get("images_per_second_b16_pytorch"), 0),
        }
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def of_bits(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a network and precision of `eight_bits`: its file, its latency beside two peers, its error."""
    latency, rows = record["metrics"]["latency"], {}
    for network, found in record["metrics"]["networks"].items():
        for precision, bits in (("fp32", "32 bits"), ("int8", "8 bits")):
            system = f"{network}_{precision}"
            rows[f"{network.replace('_', ' ')}, {bits}"] = {
                "file, kB": f"{found['bytes'][precision] / 1000:,.0f}",
                "ms": f"{latency[f'{network}_fp32'][system]['median_ms']:.2f}",
                "of its 32 bits": _ratio(latency, system, f"{network}_fp32") if precision == "int8" else "–",
                "of MediaPipe full": _ratio(latency, system, MEDIAPIPE),
                "error, px at 256": f"{found[f'unseen_signers_{precision}']['epe_px_at_256']:.2f}",
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def _ratio(latency: Mapping[str, Any], system: str, peer: str) -> str:
    if peer not in latency:
        return "–"
    row = latency[peer][system]
    return f"{row[f'ratio_to_{peer}']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"


def timed_name(system: str) -> str:
    """Return what a page calls a system of `pose_speed`, such as "thesis_half_stem4_64"; its input has a column."""
    network, _, pixels = system.rpartition("_")
    of_ours = {"thesis_half": "half width", "thesis_half_stem4": "half width, stem of stride 4"}
    if network in of_ours:
        return f"{NAMES[OURS]}, {of_ours[network]}, {pixels} px"
    if network in NAMES:
        return f"{NAMES[network]}, {pixels} px"
    return system.replace("mediapipe_", "MediaPipe, ")


def errors_by_joint(systems: Systems) -> dict[str, np.ndarray]:
    """Return what `hand_errors.error_by_joint` draws: label -> error of each joint [21], px at 256, over seeds."""
    key = "unseen_signers_error_px_at_256_by_joint"
    return {name: np.mean([of["metrics"][key] for of in group], axis=0) for name, group in systems.items()}


def kinds_of_answer(systems: Systems) -> dict[str, str]:
    """Return {label: what a network answers a joint with}, a map of the picture or two numbers."""
    maps = ("heatmaps", "stages")
    return {
        name: "heatmaps" if group[0]["metrics"]["output"] in maps else "coordinates"
        for name, group in systems.items()
    }


def shares_found(systems: Systems) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Return the curves of `hand_errors.pck_curves`: label -> (thresholds, shares of joints), means over seeds."""
    curves = {}
    for name, group in systems.items():
        found = [record["metrics"]["unseen_signers_pck"] for record in group]
        curves[name] = (found[0]["px_at_256"], np.mean([pck["share"] for pck in found], axis=0).tolist())
    return curves


def histories(systems: Systems) -> dict[str, list[dict[str, float]]]:
    """Return the rows of `hand_errors.training_curves`: label -> one row an epoch, means over seeds.

    The share of joints within 2 px of 128 is in percent, as a table shows it.
    """
    curves = {}
    for name, group in systems.items():
        found = [record["metrics"]["history"] for record in group]
        rows = [
            {key: float(np.mean([history[key][epoch] for history in found])) for key in found[0]}
            for epoch in range(len(found[0]["epoch"]))
        ]
        curves[name] = [
            row | {"share_within_2_px_at_128": 100 * row["share_within_2_px_at_128"]} for row in rows
        ]
    return curves


def latency_and_error(systems: Systems, speed: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the points of `hand_errors.error_against_latency`: label -> (ms, error in px at 256).

    Latency is the median of one picture on one CPU thread under ONNX Runtime in a record of `pose_speed`, error the
    mean over seeds. Systems that were trained but not timed, or timed but not trained, make no point.
    """
    latencies, points = speed["metrics"]["systems"], {}
    for name, group in systems.items():
        timed = latencies.get(timed_as(group[0]["config"]))
        if timed is not None:
            points[name] = (timed["latency_ms_onnx"], mean_error(group))
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


def _training_minutes(record: Mapping[str, Any]) -> float:
    """Return the median minutes of an epoch times their number: other work on the machine slows some of them."""
    return len(seconds := record["metrics"]["history"]["seconds"]) * float(np.median(seconds)) / 60


def _over_seeds(
    scores: Sequence[Mapping[str, float]], key: str, *, digits: int = 1, scale: float = 1.0
) -> str:
    return spread([scale * score[key] for score in scores], digits)
