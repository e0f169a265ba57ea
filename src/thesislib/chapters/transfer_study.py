"""What the study of transfer can be asked, what it learns from, and its networks: taught gestures, then signs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from tqdm.auto import tqdm

from thesislib import paths, results
from thesislib.chapters import sign_sets
from thesislib.chapters.frame_features import encoder_digest, frame_features
from thesislib.chapters.lstm_starts import (
    SCRATCH,
    STARTS,
    VARIANTS,
    Clips,
    Start,
    Trained,
    Training,
    bag_of_frames,
    build,
    train,
)
from thesislib.chapters.sign_sets import GESTURES, INVENTED, SIGNS, FilmedSigns, InventedSigns, Lesson
from thesislib.chapters.transfer_scores import Outcome, outcome, outcome_without_training
from thesislib.config import ConfigError, ExperimentConfig, digest, unknown
from thesislib.networks.frame_lstm import FrameLSTM
from thesislib.synthetic.sign_words import VOCABULARIES
from thesislib.synthetic.signs import LEAST_FRAMES

EXPERIMENT = "frames_to_lstm"
CHOICE = 1000  # added to the seed of the lesson that rates are chosen with
NETWORKS = STARTS | VARIANTS
BAGS = {"bag_of_frames": slice(None), "first_frame": slice(1)}  # moments that readers without order see


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Invented signs, or films of signs, learned from scratch and after gestures.

    ``thesis run frames_to_lstm --profile full`` takes a laptop's core about 25 minutes. ``-p dataset
    croatian_signs`` reads films of nine words by one person; ``-p data_folder PATH`` your own, word/*.mp4.
    """

    dataset: str = INVENTED  # or a name of sign_sets.FOLDERS
    data_folder: str = ""  # of your own films; takes the place of the data set
    feature: Literal["pose", "inception_v3"] = "pose"
    frames: int = 20  # of a clip, however long it is
    size: int = 64
    film_size: int = 128  # of films, where a hand is a small part of the picture
    gesture_words: int = 100
    gesture_signers: int = 12  # who show every gesture once
    gesture_epochs: int = 30
    gesture_rate: float = 1e-3
    words: int = 20
    signers: int = 10
    takes: int = 3  # of a word by each signer
    validation_signers: int = 3
    test_signers: int = 10
    test_takes: int = 2
    clips: tuple[int, ...] = (1, 2, 5, 10, 20)  # of a word, to learn from
    variant_clips: int = 20  # that variants of the network learn from, and rates are chosen with
    hidden: int = 128
    dropout: float = 0.5
    epochs: int = 12
    steps: int = 20  # of an epoch, however many clips there are
    batch_size: int = 32
    rates: tuple[float, ...] = (1e-3, 3e-3)  # to choose from by validation; of films the first
    seeds: int = 5  # of networks and of which clips teach, from `seed` on

    profiles: ClassVar = {
        "smoke": dict(gesture_words=4, gesture_signers=2, gesture_epochs=1, words=3, signers=2, takes=2)
        | dict(validation_signers=1, test_signers=1, test_takes=1, clips=(1, 2), variant_clips=2, frames=8)
        | dict(hidden=8, epochs=1, steps=2, rates=(1e-3,), seeds=2, film_size=64),
        "quick": dict(gesture_words=12, gesture_signers=6, gesture_epochs=20, words=8, signers=3, takes=3)
        | dict(validation_signers=1, test_signers=4, test_takes=1, clips=(2, 5), variant_clips=5, frames=10)
        | dict(hidden=64, epochs=10, steps=10, rates=(3e-3,), seeds=3, film_size=64),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset not in sign_sets.NAMES:
            raise ConfigError(unknown("set of signs", self.dataset, sign_sets.NAMES))
        least = {"gesture_words": 2, "words": 2, "frames": LEAST_FRAMES, "clips": 1, "rates": 1e-9}
        ones = ("gesture_signers", "signers", "takes", "validation_signers", "test_signers", "test_takes")
        least |= dict.fromkeys((*ones, "gesture_epochs", "epochs", "steps", "batch_size", "seeds"), 1)
        for name, bound in least.items():
            value = getattr(self, name)
            if np.size(value) == 0 or np.min(value) < bound:
                raise ConfigError(f"{name} must be {bound:g} or more, got {value}")
        for name, vocabulary in (("gesture_words", GESTURES), ("words", SIGNS)):
            if getattr(self, name) > VOCABULARIES[vocabulary]:
                raise ConfigError(f"{name} must be {VOCABULARIES[vocabulary]} or less: there are no more")
        for name in ("size", "film_size"):
            if getattr(self, name) < 32 or getattr(self, name) % 16:
                raise ConfigError(f"{name} must be a multiple of 16 from 32, got {getattr(self, name)}")
        if self.variant_clips not in self.clips:
            raise ConfigError(f"variant_clips={self.variant_clips} is none of clips={self.clips}")
        if self.signers * self.takes <= max(self.clips):
            raise ConfigError(
                f"{self.signers} signers x {self.takes} takes leave no clip of a word to ask about beside the "
                f"{max(self.clips)} to learn from"
            )

    @property
    def films(self) -> FilmedSigns | None:
        """The films to learn from, None where signs are invented."""
        if self.data_folder or self.dataset != INVENTED:
            return FilmedSigns(self.dataset, self.data_folder, self.frames, self.film_size)
        return None


# What is learned from -----------------------------------------------------------------------------------


def parts_of(config: Config) -> dict[str, InventedSigns]:
    """Return the invented sets by what they are for; nobody is in two of them. With films, gestures alone."""
    who = sign_sets.people(
        gestures=config.gesture_signers,
        gesture_validation=config.validation_signers,
        signs=config.signers,
        validation=config.validation_signers,
        test=config.test_signers,
    )
    takes = {"signs": config.takes, "test": config.test_takes}
    parts = {}
    for name, signers in who.items():
        if name.startswith("gesture"):
            parts[name] = InventedSigns(
                GESTURES, config.gesture_words, signers, 1, config.frames, config.size
            )
        elif config.films is None:
            takes_of = takes.get(name, 1)
            parts[name] = InventedSigns(SIGNS, config.words, signers, takes_of, config.frames, config.size)
    sign_sets.require_strangers(parts)
    return parts


def data_sha256(config: Config) -> str | None:
    """Return the digest of clips, by what draws or films them, and of the frozen encoder."""
    films = {} if config.films is None else {"films": config.films}
    return sign_sets.digest(parts_of(config) | films, encoder_digest(config.feature))


def clips_of(parts: Sequence[InventedSigns | FilmedSigns], feature: str) -> Clips:
    """Return sets of the same words as one, part after part, their frames as features."""
    loaded = [part.load() for part in parts]
    return Clips(
        x=np.concatenate([frame_features(clips, feature) for clips in loaded]),
        label=np.concatenate([clips.label for clips in loaded]),
        signer=np.concatenate([clips.signer for clips in loaded]),
        words=loaded[0].words,
    )


def lessons_of(config: Config, data: Clips, ends: Sequence[int], seed: int) -> list[list[Lesson]]:
    """Return the lessons of one seed: of each number of clips a word, or, of films, with each take left out.

    Invented clips are signs, validation and test, divided at ``ends``. Those asked are *strangers*, who are in no
    other part; *same_people*, other clips of the training people, as in a random split; and *validation*, strangers
    too. The lessons of a list belong together: each film is asked in one of them.
    """
    if config.films is not None:
        return [list(sign_sets.without_one_take(data.label, seed))]
    teaching, validation, strangers = np.split(np.arange(len(data.label)), ends)
    chosen, others = sign_sets.random_clips(data.label[teaching], config.clips, seed)
    asked = {"strangers": strangers, "same_people": others, "validation": validation}
    return [[Lesson(count, seed, rows, asked)] for count, rows in chosen.items()]


# Networks -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """Gestures and signs as features, and the folder in which networks are kept while they learn."""

    config: Config
    gestures: Clips
    gesture_ends: Sequence[int]
    signs: Clips
    ends: Sequence[int]
    folder: Path

    @property
    def main(self) -> str:
        """The protocol that answers the question."""
        return "strangers" if self.config.films is None else "left_out_take"

    @property
    def watched(self) -> str:
        """The protocol of the validation curves; films have nobody else to validate with."""
        return "validation" if self.config.films is None else self.main

    def asked(self) -> np.ndarray:
        """Return the rows that are asked under the main protocol, int64 [n]: the same with every seed."""
        first = lessons_of(self.config, self.signs, self.ends, self.config.seed)[0]
        return np.sort(np.concatenate([lesson.asked[self.main] for lesson in first]))

    def gestures_taught(self, seed: int) -> Trained:
        """Return a network that has learned the gestures, and its validation by strangers."""
        config, data = self.config, self.gestures
        teaching, validation = np.split(np.arange(len(data.label)), self.gesture_ends)
        lesson = Lesson(config.gesture_signers, seed, teaching, {"validation": validation})
        training = Training(
            epochs=config.gesture_epochs,
            steps=-(-len(teaching) // config.batch_size),
            batch_size=config.batch_size,
            rate=config.gesture_rate,
        )
        where = paths.RUNS / EXPERIMENT / f"gestures-{_gesture_digest(config)}-seed{seed}"
        network = self._new(STARTS[SCRATCH], data, seed, None)
        return train(
            network,
            data,
            lesson,
            training,
            watched="validation",
            folder=where,
            title=f"gestures, seed {seed}",
        )

    def learned(self, name: str, lesson: Lesson, rate: float, source: FrameLSTM) -> Trained:
        """Return a network of a start or a variant that has learned a lesson in signs, at this rate of Adam."""
        config = self.config
        network = self._new(NETWORKS[name], self.signs, lesson.seed, source)
        training = Training(epochs=config.epochs, steps=config.steps, batch_size=config.batch_size, rate=rate)
        label = f"{name}-{lesson.clips}-clips-seed{lesson.seed}-fold{lesson.fold}-rate{rate:g}"
        where = self.folder / label
        return train(network, self.signs, lesson, training, watched=self.watched, folder=where, title=label)

    def _new(self, start: Start, data: Clips, seed: int, source: FrameLSTM | None) -> FrameLSTM:
        how = {"hidden": self.config.hidden, "dropout": self.config.dropout}
        return build(start, data.x.shape[2], len(data.words), seed=seed, source=source, **how)


def study_of(config: Config, folder: Path) -> Study:
    """Return what a configuration studies; frames that have no features yet are rendered or read, and encoded.

    ``folder`` is where networks are kept while they learn, so that a killed run goes on.
    """
    parts = parts_of(config)
    of_gestures = [part for name, part in parts.items() if name.startswith("gesture")]
    of_signs = [part for part in parts.values() if part not in of_gestures] or [config.films]
    return Study(
        config,
        clips_of(of_gestures, config.feature),
        _ends(of_gestures),
        clips_of(of_signs, config.feature),
        _ends(of_signs) if config.films is None else (),
        folder,
    )


def chosen_rates(study: Study, source: FrameLSTM) -> dict[str, dict[str, Any]]:
    """Return for each start and variant the rate that is best by validation after one lesson that counts nowhere.

    Films have nobody to validate with: the first rate is taken.
    """
    rates, found = study.config.rates, {}
    if study.config.films is not None or len(rates) == 1:
        return {name: {"rate": rates[0], "validation_accuracy": {}} for name in NETWORKS}
    lessons = lessons_of(study.config, study.signs, study.ends, study.config.seed + CHOICE)
    (lesson,) = (first for first, *_ in lessons if first.clips == study.config.variant_clips)
    for name in tqdm(NETWORKS, desc="choosing rates", unit=" networks"):
        reached = {
            rate: study.learned(name, lesson, rate, source).history[-1]["validation_accuracy"]
            for rate in rates
        }
        told = {f"{rate:g}": value for rate, value in reached.items()}
        found[name] = {"rate": max(reached, key=reached.get), "validation_accuracy": told}
    return found


def _ends(parts: Sequence[InventedSigns]) -> tuple[int, ...]:
    return tuple(np.cumsum([len(part) for part in parts])[:-1].tolist())


def _gesture_digest(config: Config) -> str:
    """Return eight hex digits of all that a network taught gestures depends on, so that studies can share it."""
    shared = ("feature", "frames", "size", "validation_signers", "hidden", "dropout", "batch_size")
    named = {k: v for k, v in config.as_dict().items() if k in shared or k.startswith("gesture")}
    parts = {name: part for name, part in parts_of(config).items() if name.startswith("gesture")}
    named["data"] = sign_sets.digest(parts, encoder_digest(config.feature))
    return digest(named | {"code": results.source_hash("thesislib.chapters.lstm_starts")})


def outcomes_of(
    study: Study, sources: Mapping[int, FrameLSTM], rates: Mapping[str, Mapping[str, Any]]
) -> Iterator[Outcome]:
    """Yield what comes of every lesson of every seed for every start, and for readers that know no order."""
    config, data, main = study.config, study.signs, study.main
    for seed in tqdm(sources, desc="seeds", unit=" seeds"):
        for lessons in lessons_of(config, data, study.ends, seed):
            varied = config.films is None and lessons[0].clips == config.variant_clips
            for name in NETWORKS if varied else STARTS:
                rate = rates[name]["rate"]
                trained = [study.learned(name, lesson, rate, sources[seed]) for lesson in lessons]
                yield outcome(name, data, lessons, trained, main)
            for name, moments in BAGS.items():
                said = [bag_of_frames(data, lesson, lesson.asked[main], moments) for lesson in lessons]
                yield outcome_without_training(name, data, lessons, said, main)
