"""Left hands: what becomes of a stranger who spells with the other hand, and whether it helps to teach both.

Elsewhere in chapter 4 every picture is shown as a right hand's, because each set says whose hand is which. Here
nobody says. The mirror image of a right hand is a left one, so that the same strangers are asked twice, as they
are and as if they were left-handed, and what differs is the hand alone. Ignatiev 2019, section 3.3, does not speak
of handedness; its pose network learned from left hands (GANerated) and read right ones.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.chapters import letter_sets
from thesislib.chapters.letter_answers import Answers, described, summary
from thesislib.chapters.letter_sets import FIRST_SIGNER, LetterSet
from thesislib.chapters.letter_systems import (
    NEEDS_KEYPOINTS,
    SYSTEMS,
    System,
    feature_of_pictures,
    networks,
    require_known,
    same_weights,
    weights,
)
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets.letter_images import LetterImages
from thesislib.evaluation import signers as protocols
from thesislib.evaluation.readers import READERS
from thesislib.hand_features import as_right_hands, centred

EXPERIMENT = "left_hands"
NOT_OF_A_PICTURE = {*NEEDS_KEYPOINTS, "spatial_adapted"}
PROTOCOLS = tuple(
    f"{taught}_taught_{asked}_asked" for taught in ("right", "both") for asked in ("right", "left")
)


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One set of letters, read zero-shot by systems without a head: right hands, and the same seen as left ones.

    ``thesis run left_hands --profile full`` takes a CPU core about two minutes and needs the asl7 photographs.
    """

    dataset: str = "asl7"  # or another name of letter_sets.NAMES
    signers: int = 5  # of the built-in set
    frames: int = 16  # of a letter's clip in the built-in set
    size: int = 64
    systems: tuple[str, ...] = (  # whose features are of the picture alone, and that learn by prototypes
        *("pixels", "hog", "keypoints", "pooled", "spatial", "spatial_lda"),
        *("letters_spatial", "letters_lda", "letters_together"),
    )

    profiles: ClassVar = {
        "smoke": dict(dataset="invented", signers=2, frames=2, systems=("pixels", "letters_together")),
        "quick": dict(dataset="invented", signers=4, frames=8, systems=("hog", "spatial", "letters_lda")),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known(self.systems)
        if self.dataset not in letter_sets.NAMES:
            raise ConfigError(unknown("set of letters", self.dataset, letter_sets.NAMES))
        for name in self.systems:
            if SYSTEMS[name].head is not None or SYSTEMS[name].feature in NOT_OF_A_PICTURE:
                raise ConfigError(
                    f"{name!r} learns a head or needs more than a picture; only a picture is mirrored"
                )


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    record = results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )
    return same_weights(record)


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.dataset}-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def letter_set(config: Config) -> LetterSet:
    """Return the set that a configuration reads."""
    people = range(FIRST_SIGNER, FIRST_SIGNER + config.signers)
    return LetterSet(config.dataset, config.size, signers=people, frames=config.frames)


def data_sha256(config: Config, loaded: LetterImages | None = None) -> str | None:
    """Return the digest of the pictures and the networks' weights, None where the pictures are not here."""
    return letter_sets.digest([letter_set(config).sha256(loaded)], weights(config.seed))


def answers(
    system: System, right: np.ndarray, left: np.ndarray, data: LetterImages
) -> Mapping[str, list[Answers]]:
    """Return a system's answers to each signer left out, by protocol: which hands taught and which are asked.

    ``right`` and ``left`` [N, D] are the feature of the pictures as right hands and of their mirror images. What
    is centred is centred by signer, right and left apart: nobody signs with both.
    """
    if system.centred:
        right, left = centred(right, data.signer), centred(left, data.signer)
    read, found = READERS[system.reader], {name: [] for name in PROTOCOLS}
    for who in np.unique(data.signer):
        split = protocols.zero_shot(data.signer, who)
        taught = {"right": (right,), "both": (right, left)}
        asked = {"right": right, "left": left}
        for name in PROTOCOLS:
            teaching, _, of, _ = name.split("_")
            x = np.concatenate([hand[split.train] for hand in taught[teaching]])
            letter = np.tile(data.letter[split.train], len(taught[teaching]))
            scores = read(x, letter, asked[of][split.test], len(data.letters))
            found[name].append(Answers(who, split.test, scores, 0.0))
    return found


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    found, data = networks(config.seed), letter_set(config).load()
    sha256 = data_sha256(config, data)
    image = as_right_hands(data.image, data.left)
    metrics: dict[str, Any] = {
        "letters": list(data.letters),
        "signers": list(data.signers),
        "images": len(data),
        "chance": 1 / len(np.unique(data.letter)),
        "protocols": {},
        "systems": {},
    }
    x: dict[str, list[np.ndarray]] = {}
    for name in tqdm(config.systems, desc="systems", unit=" systems"):
        system = SYSTEMS[name]
        if system.feature not in x:
            feature = feature_of_pictures(system.feature, found)
            x[system.feature] = [feature(image), feature(np.ascontiguousarray(image[..., ::-1]))]
        given = answers(system, *x[system.feature], data)
        metrics["systems"][name] = {
            protocol: summary(of, data, config.seed) for protocol, of in given.items()
        }
        metrics["protocols"] |= {protocol: described(of, data) for protocol, of in given.items()}
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=letter_set(config).entry(sha256, data.source) | {"weights": weights(config.seed)},
        split={"left_out": [[data.signers[who]] for who in np.unique(data.signer)]},
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
