"""A system at work on a set of letters: what it learns, what it answers about whom, and how right that is."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thesislib import paths, results
from thesislib.chapters.letter_heads import feature_views
from thesislib.chapters.letter_systems import Learned, Networks, System, feature_of_pictures, features, learn
from thesislib.datasets.letter_images import LetterImages
from thesislib.evaluation import signers as protocols
from thesislib.evaluation.readers import READERS
from thesislib.hand_features import as_right_hands, centred

METRICS = ("top1_macro", "top1_micro", "top2_macro", "top2_micro")


@dataclass(frozen=True)
class Answers:
    """What a system said to one signer in one protocol: rows asked, scores [Q, C], and the share of prototypes."""

    signer: int
    test: np.ndarray
    scores: np.ndarray
    share_of_prototypes: float


@dataclass(frozen=True)
class Reader:
    """A system at work on a set: features are computed once, a head is trained once a set of training rows."""

    name: str
    system: System
    data: LetterImages
    x: np.ndarray  # [N, D]
    views: np.ndarray  # [V, M, D], of augmented copies of the first M pictures; all that teach are among them
    epochs: int
    folder: Path
    seed: int

    def learned(self, train: np.ndarray, what: str) -> Learned:
        """Return all pictures as the system sees them once it has learned from some rows."""
        found = learn(
            self.system,
            self.x,
            self.views,
            self.data.letter,
            train,
            num_letters=len(self.data.letters),
            epochs=self.epochs,
            folder=self.folder / self.name / what,
            seed=self.seed,
        )
        return replace(found, x=centred(found.x, self.data.signer)) if self.system.centred else found

    def scores(self, x: np.ndarray, split: protocols.Split) -> np.ndarray:
        """Return scores [Q, C] of the split's test rows, by prototypes from its train rows."""
        read = READERS[self.system.reader]
        letter = self.data.letter[split.train]
        return read(x[split.train], letter, x[split.test], len(self.data.letters))


def run_folder(record: Path, module: str, sha256: str) -> Path:
    """Return where the heads of a run are kept: by its record's path, its code and its data."""
    name = f"{record.stem}-{results.source_hash(module)[:8]}-{sha256[:8]}"
    return paths.RUNS / record.parent.name / name


def reader_maker(
    data: LetterImages,
    found: Networks,
    *,
    views: int,
    epochs: int,
    folder: Path,
    seed: int,
    teaching: int | None = None,
) -> Callable[[str, System], Reader]:
    """Return what makes a reader from a name and a system; each feature is computed once for all of them.

    ``teaching``: only so many pictures, the first, will ever teach a head, so that only these need ``views``.
    """
    image = as_right_hands(data.image, data.left)
    x: dict[str, np.ndarray] = {}
    augmented: dict[str, np.ndarray] = {}

    def reader(name: str, system: System) -> Reader:
        feature = system.feature
        if feature not in x:
            x[feature] = features(feature, data, found)
        if system.head is not None and feature not in augmented:
            of_pictures = feature_of_pictures(feature, found)
            augmented[feature] = feature_views(of_pictures, image[:teaching], count=views, seed=seed)
        seen = augmented[feature] if system.head is not None else x[feature][None]
        return Reader(name, system, data, x[feature], seen, epochs, folder, seed)

    return reader


def zero_shot(reader: Reader) -> Iterator[Answers]:
    """Yield the answers to each signer, of whom nothing is known."""
    data = reader.data
    for who in np.unique(data.signer):
        split = protocols.zero_shot(data.signer, who)
        x = reader.learned(split.train, f"without-{who}").x
        yield Answers(who, split.test, reader.scores(x, split), 0.0)


def k_shot(reader: Reader, shots: int, *, draws: int, gap: int, joined: bool = False) -> Iterator[Answers]:
    """Yield the answers to each signer of whom a few pictures are known, draw by draw.

    Prototypes are the new signer's pictures alone or, ``joined``, the other signers' as well. Signers with too
    few pictures of a letter are left out.
    """
    data = reader.data
    arrays = (data.letter, data.signer, data.clip, data.frame)
    for who in np.unique(data.signer):
        others = protocols.zero_shot(data.signer, who).train
        x = None
        for draw in range(draws):
            try:
                split = protocols.k_shot(*arrays, who, shots, gap=gap, seed=draw)
            except ValueError:
                break
            if x is None:
                x = reader.learned(others, f"without-{who}").x
            share = len(split.train) / (data.signer == who).sum()
            if joined:
                split = protocols.Split(np.concatenate([others, split.train]), split.test)
            yield Answers(who, split.test, reader.scores(x, split), share)


def halves(reader: Reader, split_of: Callable[[int], protocols.Split], what: str) -> Iterator[Answers]:
    """Yield the answers to each signer about half of their pictures, learned from the other half of everybody's.

    Signers with too few pictures of a letter to halve are left out.
    """
    splits = {}
    for who in np.unique(reader.data.signer):
        with suppress(ValueError):  # a letter with a single picture, or none left beyond the gap
            splits[who] = split_of(who)
    if not splits:
        return
    train = np.concatenate([split.train for split in splits.values()])
    x = reader.learned(train, what).x
    for who, split in splits.items():
        share = len(split.train) / (reader.data.signer == who).sum()
        yield Answers(who, split.test, reader.scores(x, protocols.Split(train, split.test)), share)


def summary(answers: list[Answers], data: LetterImages, seed: int) -> dict[str, Any]:
    """Return each metric by signer, with its mean and 95 % interval over signers and their clips."""
    asked = sorted({answer.signer for answer in answers})
    letter, signer, clip = (
        np.concatenate([array[answer.test] for answer in answers])
        for array in (data.letter, data.signer, data.clip)
    )
    scores = np.concatenate([answer.scores for answer in answers])
    found: dict[str, Any] = {}
    for name in METRICS:
        by_signer = [
            float(
                np.mean(
                    [
                        protocols.accuracy(a.scores, data.letter[a.test])[name]
                        for a in answers
                        if a.signer == who
                    ]
                )
            )
            for who in asked
        ]
        hits = protocols.hits(scores, letter, k=int(name[3]))
        macro = letter if name.endswith("macro") else None
        low, high = protocols.bootstrap(hits, signer, clip, seed=seed, letter=macro)
        found[name] = {"by_signer": by_signer, "mean": float(np.mean(by_signer)), "low": low, "high": high}
    return found


def described(answers: list[Answers], data: LetterImages) -> dict[str, Any]:
    """Return what a protocol asked: who, in how many draws, how much, and what share the prototypes were."""
    asked = sorted({answer.signer for answer in answers})
    return {
        "signers": [data.signers[who] for who in asked],
        "draws": len(answers) // len(asked),
        "queries": int(sum(len(answer.test) for answer in answers)),
        "share_of_prototypes": float(np.mean([answer.share_of_prototypes for answer in answers])),
    }


def confusion(answers: list[Answers], data: LetterImages) -> np.ndarray:
    """Return how often each letter was read as which, over all answers: int64 [C, C], rows are the truth."""
    counts = np.zeros((len(data.letters), len(data.letters)), np.int64)
    for answer in answers:
        np.add.at(counts, (data.letter[answer.test], answer.scores.argmax(axis=1)), 1)
    return counts
