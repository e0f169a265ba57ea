"""What chapter 4 reads letters with: a feature of the picture, maybe a head that learns, and a reader.

Each row of the chapter's tables is one `System`. The thesis's (Ignatiev 2019, section 3.3) is the frozen pose
network's features averaged over the picture, a dual-path head, and the nearest prototype.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thesislib import hand_features, heatmaps, pose_model, results, runtime
from thesislib.chapters import joint_choices, letter_network
from thesislib.chapters.letter_heads import new_classifier, new_head, outputs, train_head
from thesislib.config import ConfigError, unknown
from thesislib.datasets.letter_images import LetterImages
from thesislib.hand_features import Density, Feature
from thesislib.losses.metric import metric_loss
from thesislib.losses.pairwise import PairwiseCosineLoss


@dataclass(frozen=True)
class System:
    """A feature by name, a head that learns it or none, a reader by name, and whether a signer's mean is taken off.

    ``head`` is 'pairwise' (the thesis's loss), 'cross_entropy' (a classifier's embedding), or a name of
    `losses.metric`; ``f`` is the size of the embedding that it makes, ``depth`` its dual-path layers, ``dropout``
    whether it has the thesis's, ``standardised`` whether each feature comes to it with mean 0 and spread 1. The
    mean that ``centred`` takes off is that of all pictures of a signer: it needs no label, but more than one
    picture.
    """

    feature: str
    reader: str = "max"
    head: str | None = None
    f: int = 10
    depth: int = 8
    dropout: bool = True
    standardised: bool = False
    centred: bool = False


def linear(feature: str, head: str, **options: Any) -> System:
    """Return a system whose head is one linear layer to 128 numbers on standardised features."""
    return System(feature, head=head, f=128, depth=0, standardised=True, **options)


THESIS = System("pooled", head="pairwise")

SYSTEMS: dict[str, System] = {
    # what needs no network of ours
    "pixels": System("pixels"),
    "hog": System("hog"),
    "mediapipe": System("mediapipe"),
    "mediapipe_angles_lda": System("mediapipe_angles", "shrunk_lda"),
    # the pose network, frozen
    "keypoints": System("keypoints"),
    "angles": System("angles"),
    "pooled": System("pooled"),
    "thesis": THESIS,
    "thesis_plain": System("pooled", head="pairwise", dropout=False, standardised=True),
    "cross_entropy": System("pooled", "prototype_mean", head="cross_entropy"),
    "heatmaps": System("heatmaps"),
    "spatial": System("spatial"),
    "spatial_mean": System("spatial", "prototype_mean"),
    "spatial_lda": System("spatial", "shrunk_lda"),
    "spatial_ridge": System("spatial", "ridge"),
    "spatial_centred": System("spatial", centred=True),
    "spatial_adapted": System("spatial_adapted"),
    "spatial_views": System("spatial_views"),
    "spatial_pairwise": linear("spatial", "pairwise"),
    "spatial_supcon": linear("spatial", "supcon"),
    "spatial_proxy_anchor": linear("spatial", "proxy_anchor"),
    "spatial_cosface": linear("spatial", "cosface"),
    # the letter network: the same encoder, taught the letters of invented signers
    "letters_pooled": System("letters_pooled"),
    "letters_thesis": System("letters_pooled", head="pairwise"),
    "letters_spatial": System("letters_spatial"),
    "letters_lda": System("letters_spatial", "shrunk_lda"),
    "letters_centred": System("letters_spatial", centred=True),
    "letters_views": System("letters_views"),
    "letters_cosface": linear("letters_spatial", "cosface"),
    "letters_together": System("letters_views", "shrunk_lda", centred=True),
}
NEEDS_KEYPOINTS = {"mediapipe", "mediapipe_angles"}  # features of a set's own keypoints


@dataclass(frozen=True)
class Networks:
    """The frozen networks that features come from, and what the pose network's heatmaps mean."""

    pose: nn.Module
    density: Density
    letters: nn.Module


def require_known(names: Iterable[str]) -> None:
    """Raise ConfigError for a name that is no system's."""
    for name in names:
        if name not in SYSTEMS:
            raise ConfigError(unknown("system", name, SYSTEMS))


def letters_config(seed: int) -> letter_network.Config:
    """Return the configuration of the committed letter network of a seed; RecordError says how to make it.

    A run's seed names all that is random in it, and so the letter network too.
    """
    config = replace(letter_network.stored(), seed=seed)
    if not letter_network.record_path(config).exists():
        raise results.RecordError(
            f"no letter network of seed {seed} is stored, and a run reads letters with that of its own seed; make "
            f"it with `thesis run letter_network --profile full -p seed {seed}`"
        )
    return config


def networks(seed: int) -> Networks:
    """Return the committed networks: chapter 2's, and the one taught letters with this seed.

    Raises ModelError and RecordError where they are not stored.
    """
    model = pose_model.load(pose_model.default_model())
    density = heatmaps.spatial_softmax if joint_choices.spatial(model.config) else torch.sigmoid
    letters = letter_network.load(letters_config(seed))
    return Networks(model.network.to(runtime.best_device()), density, letters)


def weights(seed: int) -> dict[str, str]:
    """Return the name of each committed file of weights that `networks` reads, with its sha256."""
    files = (pose_model.default_model(), letter_network.weights_path(letters_config(seed)))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def same_weights(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record; RecordError where it was measured with other networks than are here now.

    `results.cached` compares pictures and networks together, which it cannot where the pictures are not here.
    """
    measured, now = record["data"]["weights"], weights(record["config"]["seed"])
    if measured != now:
        raise results.RecordError(
            f"the record of {record['data']['name']} was measured with other networks ({', '.join(measured)}) than "
            f"are here now ({', '.join(now)}), or with other weights under the same name; run it again where the "
            "pictures are, or restore the weights"
        )
    return record


def feature_of_pictures(name: str, found: Networks) -> Feature:
    """Return a feature by name as a function of pictures uint8 [N, 3, S, S] alone, to float32 [N, D]."""
    pose, density, letters = found.pose, found.density, found.letters

    def keypoints(image: np.ndarray) -> np.ndarray:
        return hand_features.predicted_keypoints(pose, image, density=density)

    def views(network: nn.Module) -> Feature:
        return lambda image: hand_features.mean_over_views(lambda x: hand_features.spatial(network, x), image)

    return {
        "pixels": hand_features.pixels,
        "hog": hand_features.hog,
        "keypoints": lambda image: hand_features.keypoint_vector(keypoints(image)),
        "angles": lambda image: hand_features.angle_vector(keypoints(image)),
        "heatmaps": lambda image: hand_features.heatmap_features(pose, image, density=density),
        "pooled": lambda image: hand_features.pooled(pose, image),
        "spatial": lambda image: hand_features.spatial(pose, image),
        "spatial_views": views(pose),
        "letters_pooled": lambda image: hand_features.pooled(letters, image),
        "letters_spatial": lambda image: hand_features.spatial(letters, image),
        "letters_views": views(letters),
    }[name]


def features(name: str, data: LetterImages, found: Networks) -> np.ndarray:
    """Return a feature by name of a set's pictures, all seen as right hands: float32 [N, D]."""
    image = hand_features.as_right_hands(data.image, data.left)
    if name in NEEDS_KEYPOINTS:
        points = data.keypoints.copy()
        points[data.left, :, 0] = data.size - points[data.left, :, 0]
        vector = {"mediapipe": hand_features.keypoint_vector, "mediapipe_angles": hand_features.angle_vector}
        return vector[name](points)
    if name == "spatial_adapted":  # each signer's pictures by their own batch statistics
        order = np.argsort(data.signer, kind="stable")
        _, first = np.unique(data.signer[order], return_index=True)
        people = np.split(image[order], first[1:])
        x = [hand_features.spatial(hand_features.adapted(found.pose, own), own) for own in people]
        return np.concatenate(x)[np.argsort(order)]
    return feature_of_pictures(name, found)(image)


def can_read(system: System, data: LetterImages) -> bool:
    """Tell whether a set has what a system needs: some features are made of the set's own keypoints."""
    return system.feature not in NEEDS_KEYPOINTS or bool(np.isfinite(data.keypoints).any())


@dataclass(frozen=True)
class Learned:
    """A set's pictures as a system sees them once its head has learned from some: x [N, D], and the history."""

    x: np.ndarray
    history: list[dict[str, float]]


def learn(
    system: System,
    x: np.ndarray,
    views: np.ndarray,
    letter: np.ndarray,
    train: np.ndarray,
    *,
    num_letters: int,
    epochs: int,
    folder: Path,
    seed: int,
) -> Learned:
    """Return what a system's head, trained on some rows, makes of all pictures; without a head, the features.

    ``x`` [N, D] are features, ``views`` [V, N, D] those of augmented copies, ``train`` the rows to learn from.
    """
    if system.head is None:
        return Learned(x, [])
    options: dict[str, Any] = {"seed": seed, "depth": system.depth, "standardised": system.standardised}
    if not system.dropout:
        options |= {"layer_dropout": 0.0, "last_dropout": 0.0}
    if system.head == "cross_entropy":
        network: nn.Module = new_classifier(x.shape[1], num_letters, system.f, **options)
        loss: nn.Module = nn.CrossEntropyLoss()
    else:
        network = new_head(x.shape[1], system.f, **options)
        pairwise = system.head == "pairwise"
        loss = PairwiseCosineLoss() if pairwise else metric_loss(system.head, num_letters, system.f)
    history = train_head(
        views[:, train], letter[train], network, loss, epochs=epochs, folder=folder, seed=seed
    )
    embedding = network.head if system.head == "cross_entropy" else network
    return Learned(outputs(embedding, x), history)
