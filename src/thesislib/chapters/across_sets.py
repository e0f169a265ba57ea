"""Across sets: letters learned from some data sets and read on another, with other people, cameras and rooms.

A signer left out of a set still shares its camera and its room with the others. Ignatiev 2019, section 3.3, found
an embedding learned on one set no better than chance on another. Where ``invented`` signers are all it learns
from, no photograph of anybody has taught a letter: the strictest test of all.
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
from thesislib.chapters.letter_answers import Answers, described, reader_maker, run_folder, summary
from thesislib.chapters.letter_sets import FIRST_SIGNER, LetterSet, common_letters, joined, with_letters
from thesislib.chapters.letter_systems import (
    SYSTEMS,
    can_read,
    networks,
    require_known,
    same_weights,
    weights,
)
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets.letter_images import LetterImages
from thesislib.evaluation.signers import Split, require_strangers

EXPERIMENT = "across_sets"
PROTOCOL = "zero_shot"  # what it is to the signers who are asked, and where figures look for the scores


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sets of letters to learn from and another one to read, each by name: "invented" or a real one.

    ``thesis run across_sets -p train '["asl7", "massey"]' -p test asl_fingerspelling_a`` takes a CPU core a few
    minutes. Only letters that all of the sets have are learned and asked; they go by their names, so take sets of
    one alphabet.
    """

    train: tuple[str, ...] = (letter_sets.INVENTED,)
    test: str = "massey"
    signers: int = 32  # of the built-in set
    frames: int = 8  # of a letter's clip in the built-in set
    size: int = 64
    systems: tuple[str, ...] = (  # those that read a set's own joints are left out where a set has none
        *("pixels", "hog", "mediapipe", "keypoints", "angles", "pooled", "thesis", "cross_entropy"),
        *("spatial", "spatial_lda", "spatial_centred", "letters_pooled", "letters_thesis"),
        *("letters_spatial", "letters_lda", "letters_centred", "letters_together"),
    )
    head_views: int = 6
    head_epochs: int = 20

    profiles: ClassVar = {
        "smoke": dict(signers=2, frames=2, systems=("pixels", "thesis", "letters_centred"))
        | dict(head_views=1, head_epochs=1),
        "quick": dict(signers=8, frames=4, head_views=3, head_epochs=12),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known(self.systems)
        for name in (*self.train, self.test):
            if name not in letter_sets.NAMES:
                raise ConfigError(unknown("set of letters", name, letter_sets.NAMES))
        if not self.train or len(set(self.train)) != len(self.train):
            raise ConfigError(f"train must be one or more sets, each once, not {list(self.train)}")
        if self.test in self.train:
            raise ConfigError(
                f"{self.test!r} is learned from and tested; `across_signers` reads a single set"
            )


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    record = results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )
    return same_weights(record)


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{title(config).replace(' ', '-')}-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def title(config: Config) -> str:
    """Return which sets are learned from and which is read: "asl7 and massey to lsa16"."""
    return f"{' and '.join(config.train)} to {config.test}"


def sets_of(config: Config) -> dict[str, LetterSet]:
    """Return the sets of a configuration by name, the one that is read last."""
    people = range(FIRST_SIGNER, FIRST_SIGNER + config.signers)
    return {
        name: LetterSet(name, config.size, signers=people, frames=config.frames)
        for name in (*config.train, config.test)
    }


def data_sha256(config: Config, loaded: Mapping[str, LetterImages] | None = None) -> str | None:
    """Return the digest of all pictures and the networks' weights, None where a set is not here.

    Sets that are ``loaded``, by name, are not read again.
    """
    pictures = [part.sha256((loaded or {}).get(name)) for name, part in sets_of(config).items()]
    return letter_sets.digest(pictures, weights(config.seed))


def most_frequent(data: LetterImages, split: Split) -> np.ndarray:
    """Return the scores [Q, C] of the trivial predictor: every picture is the letter with most in train."""
    count = np.bincount(data.letter[split.train], minlength=len(data.letters))
    return np.tile(count.astype(np.float32), (len(split.test), 1))


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    found = networks(config.seed)
    loaded = {name: part.load() for name, part in sets_of(config).items()}
    letters, sha256 = common_letters(loaded), data_sha256(config, loaded)
    parts = {name: with_letters(part, letters) for name, part in loaded.items()}
    data = joined(parts)
    first = len(data) - len(parts[config.test])  # row of the set that is read
    split = require_strangers(Split(np.arange(first), np.arange(first, len(data))), data.signer)
    asked = np.unique(data.signer[split.test])

    def answers(scores: np.ndarray) -> list[Answers]:
        rows = [data.signer[split.test] == who for who in asked]
        return [Answers(who, split.test[own], scores[own], 0.0) for who, own in zip(asked, rows, strict=True)]

    trivial = answers(most_frequent(data, split))
    metrics: dict[str, Any] = {
        "letters": list(letters),
        "signers": [data.signers[who] for who in asked],
        "images": len(split.test),
        "images_by_signer": [int((data.signer == who).sum()) for who in asked],
        "train_images": {name: len(parts[name]) for name in config.train},
        "train_signers": {name: len(np.unique(parts[name].signer)) for name in config.train},
        "chance": 1 / len(letters),
        "most_frequent_letter": summary(trivial, data, config.seed),
        "protocols": {PROTOCOL: described(trivial, data)},
        "systems": {},
    }
    reader = reader_maker(
        data,
        found,
        views=config.head_views,
        epochs=config.head_epochs,
        folder=run_folder(record_path(config), __name__, sha256),
        seed=config.seed,
        teaching=first,
    )
    readable = [name for name in config.systems if all(can_read(SYSTEMS[name], p) for p in parts.values())]
    for name in tqdm(readable, desc="systems", unit=" systems"):
        reads = reader(name, SYSTEMS[name])
        x = reads.learned(split.train, "all").x
        metrics["systems"][name] = {PROTOCOL: summary(answers(reads.scores(x, split)), data, config.seed)}
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=_data_entry(config, loaded, sha256),
        split={
            "name": title(config),
            "learned_from": [data.signers[who] for who in np.unique(data.signer[split.train])],
            "read": metrics["signers"],
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def _data_entry(config: Config, loaded: dict[str, LetterImages], sha256: str) -> dict[str, Any]:
    of = {
        name: part.entry(part.sha256(loaded[name]), loaded[name].source)
        for name, part in sets_of(config).items()
    }
    return {
        "name": title(config),
        "title": "; ".join(entry["title"] for entry in of.values()),
        "version": sha256[:12],
        "sha256": sha256,
        "licence": "; ".join(f"{name}: {entry['licence']}" for name, entry in of.items()),
        "credit": "; ".join(entry["credit"] for entry in of.values()),
        "sets": of,
        "weights": weights(config.seed),
    }
