"""More signers or more pictures: what a lab should collect so that its reader understands a stranger.

The thesis had five signers and thousands of pictures of each (Ignatiev 2019, section 3.3). Invented signers come
in any number, so here the strangers who are asked stay the same while one thing grows: the number of people who
taught the letters, the pictures of a letter that each gave in a row, or the occasions on which each gave one. The
networks behind the features have met other invented signers before; what is counted is who teaches the reader.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.chapters import hand_sets, letter_sets
from thesislib.chapters.letter_answers import Reader, reader_maker, run_folder
from thesislib.chapters.letter_sets import INVENTED, LetterSet, joined
from thesislib.chapters.letter_systems import SYSTEMS, networks, require_known, weights
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.evaluation.signers import Split, accuracy, require_strangers

EXPERIMENT = "more_signers"
FIRST_SIGNER = {"train": 4_000_000, "test": 5_000_000}  # far from those of every other set
ROUNDS = 1000  # of the bootstrap


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Accuracy on strangers against training signers, pictures in a row, and pictures on different occasions.

    ``thesis run more_signers --profile full`` takes a CPU core about eight minutes. The thesis prints no number.
    """

    training_signers: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    frames: int = 4  # pictures a letter from each of them, spread over one clip, and from each stranger
    test_signers: int = 16
    pictures: tuple[int, ...] = (1, 2, 4, 8, 16)  # a letter and signer
    few: int = 4  # signers who give these, as many as teach when one of the thesis's five is left out
    few_of: int = 8  # people among whom the few are drawn
    draws: int = 3  # of who teaches
    size: int = 64
    systems: tuple[str, ...] = ("pooled", "thesis", "spatial", "spatial_lda", "letters_spatial")
    head_views: int = 2
    head_epochs: int = 10

    profiles: ClassVar = {
        "smoke": dict(training_signers=(1, 2), frames=1, test_signers=2, pictures=(1, 2), few=1, few_of=1)
        | dict(draws=2, systems=("thesis", "spatial_lda"), head_epochs=1),
        "quick": dict(training_signers=(1, 2, 4, 8), frames=2, test_signers=4, pictures=(1, 2, 4))
        | dict(few=2, few_of=3, draws=2, head_epochs=6),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known(self.systems)
        for name in ("training_signers", "frames", "test_signers", "pictures", "few", "draws"):
            value = getattr(self, name)
            if np.size(value) == 0 or np.min(value) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {value}")
        if self.head_views < 2:
            raise ConfigError(
                "head_views must be 2 or more: a head compares pictures, and a letter may have one"
            )
        if self.few > self.few_of:
            raise ConfigError(f"few={self.few} signers cannot be drawn among few_of={self.few_of}")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{max(config.training_signers)}-signers-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def sets_of(config: Config) -> dict[str, LetterSet]:
    """Return the sets of pictures by what they are for; the strangers' is the last."""

    def people(part: str, count: int) -> range:
        return range(FIRST_SIGNER[part], FIRST_SIGNER[part] + count)

    many, few = people("train", max(config.training_signers)), people("train", config.few_of)
    most, size = max(config.pictures), config.size
    return {
        "training_signers": LetterSet(INVENTED, size, signers=many, frames=config.frames),
        "pictures_in_a_row": LetterSet(INVENTED, size, signers=few, frames=most),
        "pictures_on_occasions": LetterSet(INVENTED, size, signers=few, clips=most, frames=1),
        "test": LetterSet(INVENTED, size, signers=people("test", config.test_signers), frames=config.frames),
    }


def data_sha256(config: Config) -> str:
    """Return the digest of the pictures, by the tables and numbers that draw them, and the networks' weights."""
    return letter_sets.digest([part.sha256() for part in sets_of(config).values()], weights(config.seed))


@dataclass(frozen=True)
class Lesson:
    """One point of a curve and one draw of who teaches: the rows of their pictures, int64 [N]."""

    curve: str
    count: int
    draw: int
    rows: np.ndarray


def teachers(people: int, count: int, draws: int, seed: int) -> list[np.ndarray]:
    """Return draws of ``count`` among so many people, int64 [count] each: nobody twice until all had a turn.

    Where they are all the people, there is one draw to make.
    """
    at_once = people // count
    found = []
    for turn in range(-(-draws // at_once)):
        order = np.random.RandomState([seed, count, turn]).permutation(people)
        found += np.split(order[: at_once * count], at_once)
    return found[: draws if count < people else 1]


def lessons(config: Config, pictures_of: dict[str, np.ndarray]) -> Iterator[Lesson]:
    """Yield every draw of every point: ``pictures_of`` has, for a curve, the rows [people, letters, pictures].

    Pictures are in the order they were taken, and where they are counted the first ones teach.
    """
    for curve, counts in (
        ("training_signers", config.training_signers),
        ("pictures_in_a_row", config.pictures),
        ("pictures_on_occasions", config.pictures),
    ):
        rows = pictures_of[curve]
        for count in counts:
            signers, shown = (count, rows.shape[2]) if curve == "training_signers" else (config.few, count)
            for draw, who in enumerate(teachers(len(rows), signers, config.draws, config.seed)):
                yield Lesson(curve, count, draw, np.sort(rows[who, :, :shown], axis=None))


def accuracies(reader: Reader, lesson: Lesson, test: np.ndarray) -> list[float]:
    """Return the accuracy on each stranger (rows ``test``), letters alike, after a lesson."""
    data = reader.data
    split = require_strangers(Split(lesson.rows, test), data.signer)
    x = reader.learned(lesson.rows, f"{lesson.curve}-{lesson.count}-{lesson.draw}").x
    scores, signer = reader.scores(x, split), data.signer[test]
    return [
        accuracy(scores[signer == who], data.letter[test][signer == who])["top1_macro"]
        for who in np.unique(signer)
    ]


def over_draws_and_signers(values: np.ndarray, seed: int) -> dict[str, Any]:
    """Return mean, low, high of accuracies [draws, signers], and these as ``by_draw``.

    The interval holds 95 % of the means of resampled draws of who teaches and resampled strangers, each with
    replacement. One draw, where all teach, has no spread: the interval is over strangers alone.
    """
    random = np.random.RandomState(seed)
    draws, signers = values.shape
    means = values[
        random.randint(draws, size=(ROUNDS, draws, 1)), random.randint(signers, size=(ROUNDS, 1, signers))
    ].mean(axis=(1, 2))
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "by_draw": values.tolist(),
    }


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    found, sha256 = networks(config.seed), data_sha256(config)
    sets = {name: part.load() for name, part in sets_of(config).items()}
    data = joined(sets)
    ends = np.cumsum([len(part) for part in sets.values()])
    rows = dict(zip(sets, np.split(np.arange(len(data)), ends[:-1]), strict=True))
    # A set is in the order signer, letter, clip, frame, and complete.
    pictures_of = {
        name: rows[name].reshape(len(part.signers), len(part.letters), -1) for name, part in sets.items()
    }
    reader = reader_maker(
        data,
        found,
        views=config.head_views,
        epochs=config.head_epochs,
        folder=run_folder(record_path(config), __name__, sha256),
        seed=config.seed,
        teaching=int(rows["test"][0]),
    )
    curves: dict[str, dict[str, dict[str, Any]]] = {}
    for name in tqdm(config.systems, desc="systems", unit=" systems"):
        reads, measured = reader(name, SYSTEMS[name]), {}
        for lesson in lessons(config, pictures_of):
            point = measured.setdefault((lesson.curve, lesson.count), [])
            point.append(accuracies(reads, lesson, rows["test"]))
        for (curve, count), values in measured.items():
            of_system = curves.setdefault(curve, {}).setdefault(name, {})
            of_system[str(count)] = over_draws_and_signers(np.array(values), config.seed)
    metrics = {
        "letters": list(data.letters),
        "signers": list(sets["test"].signers),
        "images": len(rows["test"]),
        "chance": 1 / len(data.letters),
        "curves": curves,
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=hand_sets.data_entry(
            sha256, "letters spelled by invented signers", weights=weights(config.seed)
        ),
        split={
            name: {"signers": [part.signers.start, part.signers.stop], "hands": len(rows[name])}
            for name, part in sets_of(config).items()
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
