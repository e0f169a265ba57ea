"""A hand model from one picture: a trained network asked about people it never saw, in 2D and in 3D.

Komorowicz 2018, chapter 7, had joints that a detector found and nothing else, so it could judge the third dimension
by eye only. Invented hands have a truth. Every row of the chapter's tables is one run of this experiment.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thesislib import results, runtime
from thesislib.chapters import hand_mesh, hand_regression
from thesislib.chapters.hand_regression import Config, estimates, labels_of, loss_of
from thesislib.chapters.hand_sets import data_entry, digest
from thesislib.datasets import eleven_k_hands
from thesislib.datasets.invented_hands import FIRST_SUBJECT, SEEDS
from thesislib.datasets.mano import load_mano
from thesislib.datasets.modelled_hands import ModelledHands
from thesislib.evaluation import hand_meshes
from thesislib.hand_model import HandModel
from thesislib.networks.blocks import count_parameters
from thesislib.networks.hand_mesh_recovery import HandMeshRecovery, mean_parameters
from thesislib.transforms.hands import to_input

EXPERIMENT = "hand_from_picture"
SHOWN = 12  # hands of the figures
TIMED_STEPS = 3  # of training, for images a second
__all__ = ["Config", "arrays_path", "record_path", "run"]


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; full ones of invented hands are committed."""
    name = results.record_name(config, config.label)
    committed = config.profile_name == "full" and not config.photographs and not config.mano
    return results.record_path(EXPERIMENT, name, committed=committed)


def arrays_path(config: Config) -> Path:
    """Return where the arrays of the figures lie, beside the record."""
    return record_path(config).with_suffix(".npz")


def sets(config: Config) -> tuple[ModelledHands, ModelledHands]:
    """Return the hands to learn from and those of other people to ask about: invented ones, or photographs.

    Raises DataError where photographs, detections or decisions are missing or broken.
    """
    if not config.photographs:
        return hand_regression.invented(config, "train"), hand_regression.invented(config, "validation")
    decisions = Path(config.decisions) if config.decisions else None
    photographs = eleven_k_hands.load(
        Path(config.photographs), Path(config.detections), decisions, size=config.size
    )
    return eleven_k_hands.split(photographs)


def model_of(config: Config) -> HandModel:
    """Return the hand model of a configuration: this project's own, or MANO from its official file."""
    return load_mano(Path(config.mano)) if config.mano else hand_mesh.load_model()


def data_sha256(config: Config) -> str:
    """Return the digest of what is learned from and with: hands, hand model, the encoder's start.

    Invented hands are named by their numbers, so that nothing is rendered to compare; photographs by their arrays.
    """
    parts: list[Any] = [hand_regression.start_digest(config), digest()]
    parts.append(
        hashlib.sha256(Path(config.mano).read_bytes()).hexdigest()
        if config.mano
        else hand_mesh.model_sha256()
    )
    if config.photographs:
        parts += [hands.sha256 for hands in sets(config)]
    else:
        parts += [(FIRST_SUBJECT, SEEDS, config.train_pictures, config.train_subjects, config.size)]
        parts += [(config.validation_pictures, config.validation_subjects, config.drawn_hands)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    model = model_of(config)
    known, asked = sets(config)
    learned = hand_regression.with_drawn_hands(config, known, model)
    network, history = hand_regression.trained(config, model, learned, record_path(config))
    thetas = estimates(network, asked.image)  # [T, N, 61]
    thetas = torch.cat([mean_parameters().expand(1, len(asked), -1), thetas])  # the start is an estimate too
    vertices = None if config.mano else hand_meshes.true_vertices(model, asked)
    errors = hand_meshes.errors(model, thetas[-1], asked, vertices)
    in_2d = "detected_2d_px_at_224" if asked.truth is None else "true_2d_px_at_224"
    by_iteration = [float(np.mean(hand_meshes.errors(model, theta, asked)[in_2d])) for theta in thetas]
    few_known = known.of(slice(0, len(asked)))
    metrics = {
        "history": {name: [row[name] for row in history] for name in history[0]},
        "images_seen": _images_seen(config, len(learned)),
        "train_loss": _loss(config, model, estimates(network, few_known.image), few_known),
        "validation_loss": _loss(config, model, thetas[1:], asked),
        "validation_loss_last_iteration": _loss(config, model, thetas[-1:], asked),
        "errors": hand_meshes.summary(errors, asked.subject, seed=config.seed),
        f"{in_2d}_by_iteration": by_iteration,
        "parameters": {
            "encoder": count_parameters(network.encoder),
            "regressor": count_parameters(network.regressor),
        },
        "images_per_second": _images_per_second(config, model, network, asked),
    }
    if asked.truth is not None:
        mean = hand_meshes.errors(model, hand_meshes.mean_hand(model, asked), asked, vertices)
        metrics["trivial"] = hand_meshes.summary(mean, asked.subject, seed=config.seed)
    few = _spread(asked, errors[in_2d])
    arrays = {
        "image": np.ascontiguousarray(asked.image[few]),
        "keypoints": asked.keypoints[few],
        "certainty": asked.certainty[few],
        "thetas": thetas[:, few].numpy(),
    }
    if asked.truth is not None:
        arrays |= {"true_joints": asked.truth.joints[few], "true_keypoints": asked.truth.keypoints[few]}
    if vertices is not None:
        arrays["true_vertices"] = vertices[few].astype(np.float16)
    results.write_arrays(arrays_path(config), arrays)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=_data(config),
        split={
            part: {"subjects": np.unique(hands.subject).tolist(), "hands": len(hands)}
            for part, hands in (("train", known), ("validation", asked))
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def _data(config: Config) -> dict[str, Any]:
    sha256 = data_sha256(config)
    if not config.photographs:
        return data_entry(sha256, "flat hands, joints as a detector would find them")
    title = {
        "name": "11k_hands",
        "title": "Your photographs in the layout of 11k Hands",
        "version": sha256[:12],
    }
    return title | {"sha256": sha256, "licence": "the owner's", "credit": "the owner"}


@torch.inference_mode()
def _loss(config: Config, model: HandModel, thetas: Tensor, modelled: ModelledHands) -> float:
    """Return the loss of equation 6.1 over all these hands at once, the repairs left out: one measure for all."""
    plain = Config(
        **{**config.as_dict(), **dict.fromkeys(_REPAIRS, 0.0), "fingertips": False, "drawn_hands": 0}
    )
    return float(loss_of(plain, model)(thetas, labels_of(modelled.untold())))


_REPAIRS = ("limits_weight", "person_weight", "truth_weight", "silhouette_weight")


def _images_seen(config: Config, count: int) -> int:
    batch = min(config.batch_size, count)
    return config.epochs * (count // batch) * batch


def _images_per_second(
    config: Config, model: HandModel, network: HandMeshRecovery, asked: ModelledHands
) -> float:
    """Return how many pictures a second training takes in, the frozen encoder's pass included."""
    device = next(network.parameters()).device
    rows = slice(0, min(config.batch_size, len(asked)))
    x = to_input(torch.from_numpy(np.ascontiguousarray(asked.image[rows])).to(device))
    x = x.contiguous(memory_format=torch.channels_last)
    labels, loss = (
        labels_of(asked.of(rows).untold()).to(device),
        loss_of(config, model.to(device)),
    )
    network.train()
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        loss(network(x), labels).backward()
        seconds.append(time.perf_counter() - start)
        network.zero_grad(set_to_none=True)
    network.eval()
    return len(x) / min(seconds)


def _spread(asked: ModelledHands, error: np.ndarray) -> np.ndarray:
    """Return a few hands from the best to the worst, so that a figure shows no chosen ones."""
    order = np.argsort(error, kind="stable")
    return order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)]
