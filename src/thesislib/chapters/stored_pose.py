"""The stored pose networks, and the hands that experiments ask them about without training anything."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thesislib import paths, pose_model
from thesislib.chapters import finding_joints
from thesislib.chapters.hand_sets import HandSet, data_entry, digest
from thesislib.chapters.joint_choices import hand_sets, real_crops, real_hands
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets import hands
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError

HALF, WHOLE = "half_width", "whole_width"  # of the thesis's network; chapters 4 to 6 build on the half
MEDIAPIPE = "mediapipe_full"  # of peers.mediapipe_landmark_models: what stands beside it
WIDTHS = {HALF: 0.5, WHOLE: 1.0}  # in parts of the printed one
REAL_SETS = (
    "asl7",
    *(f"{name}_samples" for name in ("freihand", "onehand10k", "panoptic", "rhd", "interhand")),
)


@dataclass(frozen=True, kw_only=True)
class Asked(ExperimentConfig):
    """Which hands the stored networks are asked about."""

    test_hands: int | None = None  # None: the test hands of the networks' own records
    real_sets: tuple[str, ...] = ()  # names of datasets.hands.NAMES; fetched, or named by THESIS_DATA

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.real_sets:
            if name not in hands.NAMES:
                raise ConfigError(unknown("set of real hands", name, hands.NAMES))
        if self.test_hands is not None and self.test_hands < 1:
            raise ConfigError(f"test_hands must be positive, not {self.test_hands}")


def weights_path(width: str) -> Path:
    """Return the file of half the width or of the whole; `pose_model.ModelError` where there is none."""
    return pose_model.default_model() if width == HALF else largest()


def largest() -> Path:
    """Return the file of the whole width, for `thesis predict`; `pose_model.ModelError` where there is none."""
    found = sorted(paths.WEIGHTS.glob("whole-width-pose-*.safetensors"))
    if len(found) != 1:
        raise pose_model.ModelError(
            f"{paths.WEIGHTS} holds {len(found)} files whole-width-pose-*.safetensors and should hold one: check "
            "data/weights out again, or name with --weights the folder of a run of `thesis run finding_joints`"
        )
    return found[0]


def stored() -> dict[str, pose_model.PoseModel]:
    """Return the networks of data/weights by their width; `pose_model.ModelError` where one is missing.

    They have the widths that their files' names say, have learned from the same hands and are asked about the same,
    or there is a ModelError, too.
    """
    models = {width: pose_model.load(weights_path(width)) for width in WIDTHS}
    for width, model in models.items():
        if model.config.width != WIDTHS[width]:
            raise pose_model.ModelError(
                f"{weights_path(width)} holds {model.config.width:.0%} of the network's width and should hold "
                f"{WIDTHS[width]:.0%}: check data/weights out again"
            )
    if hand_sets(models[HALF].config) != hand_sets(models[WHOLE].config):
        raise pose_model.ModelError(f"the networks of {paths.WEIGHTS} have learned from different hands")
    return models


def trained() -> finding_joints.Config:
    """Return how the stored networks were trained, the half width's; both have the same hands."""
    return stored()[HALF].config


def test_set(config: Asked, trained: finding_joints.Config) -> HandSet:
    """Return the hands of unseen signers that the networks' own records were tested on, or as many as are asked."""
    test = hand_sets(trained)["test"]
    return test if config.test_hands is None else replace(test, hands=config.test_hands)


def real_sets(config: Asked, size: int) -> dict[str, HandImages]:
    """Return the real hands by their rows in a record, as "asl7_given_box"; DataError where a set is not here."""
    return {f"{name}_{box}_box": real_hands(name, box, size) for name, box in real_crops(config)}


def sha256_of(sets: Mapping[str, HandSet], real: Mapping[str, HandImages]) -> str:
    """Return a digest of hands and of the stored networks; nothing is rendered."""
    of_hands = digest(list(sets.values()), list(real.values()))
    weights = b"".join(weights_path(width).read_bytes() for width in WIDTHS)
    return hashlib.sha256(of_hands.encode() + weights).hexdigest()


def sha256_here(config: Asked, sets: Mapping[str, HandSet], size: int) -> str | None:
    """Return `sha256_of` what is here, None where a real set is not."""
    try:
        return sha256_of(sets, real_sets(config, size))
    except DataError:
        return None


def described(
    sets: Mapping[str, HandSet], real: Mapping[str, HandImages], note: str
) -> dict[str, dict[str, Any]]:
    """Return the parts "data" and "split" of a record."""
    rows = {row: len(of_set) for row, of_set in real.items()}
    return {
        "data": data_entry(sha256_of(sets, real), note, real_sets=rows),
        "split": {
            name: {"signers": [part.signer_range.start, part.signer_range.stop], "hands": part.hands}
            for name, part in sets.items()
        },
    }
