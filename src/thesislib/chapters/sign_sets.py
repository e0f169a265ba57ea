"""The sets of signs of chapter 6: invented vocabularies, films, who is in which part, and who is asked.

Two vocabularies are invented: *gestures*, the big one, in place of ChaLearn's, and *signs*, the small one, in place
of LedaSila's. They share how hands are shaped and moved, and no word. Films of real signs come in a folder a word.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any

import numpy as np

from thesislib import paths
from thesislib.chapters import hand_sets
from thesislib.datasets import invented_signs, sign_videos
from thesislib.datasets.sign_clips import SignClips
from thesislib.datasets.sources import DataError
from thesislib.evaluation.signers import Split
from thesislib.synthetic.sign_words import word_names

GESTURES, SIGNS = "gestures", "signs"
INVENTED = "invented"
FOLDERS = {  # films that a reader brings, by the name of their folder beside the other data
    "croatian_signs": {
        "title": "Croatian signs, nine colours by one person",
        "licence": "not stated: nothing of it is passed on",
        "credit": "Dokicasilenovsky, CroatianSignLanguageDataSet, GitHub",
    }
}
NAMES = (INVENTED, *FOLDERS)
FIRST_SIGNER = 20_000_000  # far from those that the pose network has learned from
DRAW = 3_000_000  # the stream of random numbers that picks clips


@dataclass(frozen=True)
class InventedSigns:
    """Clips of the first ``words`` words of a vocabulary: each by each signer, ``takes`` times."""

    vocabulary: str
    words: int
    signers: range
    takes: int = 1
    frames: int = 20
    size: int = 64

    def __len__(self) -> int:
        return self.words * len(self.signers) * self.takes

    def load(self) -> SignClips:
        """Return the clips; what is not rendered yet is rendered and kept."""
        return invented_signs.invented(
            self.vocabulary,
            self.signers,
            words=self.words,
            takes=self.takes,
            frames=self.frames,
            size=self.size,
        )

    def sha256(self) -> str:
        """Return the digest of the tables, words and numbers that draw the clips: nothing is rendered."""
        named = (hand_sets.digest(), word_names(self.vocabulary, self.words), self)
        return hashlib.sha256(repr(named).encode()).hexdigest()


@dataclass(frozen=True)
class FilmedSigns:
    """Films of signs, word/*.mp4: a set of FOLDERS by name among the reader's data, or a folder of your own."""

    name: str
    folder: str = ""
    frames: int = 20
    size: int = 64

    def load(self) -> SignClips:
        """Return the clips; DataError says what is wrong with the folder, or how to get the set."""
        place = Path(self.folder).expanduser() if self.folder else paths.raw_data() / self.name
        if not place.is_dir():
            known = FOLDERS.get(self.name, {}).get("credit", "your own films")
            raise DataError(f"there is no folder {place}: put {known} there, one folder a word")
        return sign_videos.load_folder(place, length=self.frames, size=self.size)

    def sha256(self) -> str | None:
        """Return the digest of the films' frames, None where a set of FOLDERS is not here."""
        try:
            return self.load().sha256
        except DataError:
            if self.folder:  # what is wrong with your own counts for more than a record of how it was
                raise
            return None

    def entry(self, sha256: str) -> dict[str, Any]:
        """Return what a record says of the films."""
        own = {"title": "your own films", "licence": "your own", "credit": "you"}
        said = own if self.folder else FOLDERS[self.name]
        return {"name": "own" if self.folder else self.name, "version": sha256[:12], "sha256": sha256} | said


# Who is in which part -----------------------------------------------------------------------------------


def people(**counts: int) -> dict[str, range]:
    """Return the signers of parts by their numbers, one part after the other, so that nobody is in two.

    They follow each other closely because a signer's handshapes are solved sixteen people at a time.
    """
    ends = list(accumulate(counts.values(), initial=FIRST_SIGNER))
    return {name: range(*pair) for name, pair in zip(counts, zip(ends, ends[1:], strict=False), strict=True)}


def require_strangers(parts: Mapping[str, InventedSigns]) -> None:
    """Raise DataError where a signer is in two parts."""
    for (one, first), (other, second) in combinations(parts.items(), 2):
        if both := set(first.signers) & set(second.signers):
            raise DataError(f"signers {sorted(both)} are in {one} and in {other}")


def proof(parts: Mapping[str, InventedSigns]) -> dict[str, int]:
    """Return how many signers the parts have, all together, and how many are in more than one of them."""
    everybody = [signer for part in parts.values() for signer in part.signers]
    return {
        **{name: len(part.signers) for name, part in parts.items()},
        "union": len(set(everybody)),
        "in_two_parts": len(everybody) - len(set(everybody)),
    }


def split_entry(parts: Mapping[str, InventedSigns]) -> dict[str, dict[str, Any]]:
    """Return what a record says of parts: vocabulary, words, first signer and one past the last, clips."""
    return {
        name: {
            "vocabulary": part.vocabulary,
            "words": part.words,
            "signers": [part.signers.start, part.signers.stop],
            "clips": len(part),
        }
        for name, part in parts.items()
    }


def digest(parts: Mapping[str, InventedSigns | FilmedSigns], *more: str) -> str | None:
    """Return one digest of parts and of what else is named, None where the films of one are not here."""
    found = {name: part.sha256() for name, part in parts.items()}
    if None in found.values():
        return None
    return hashlib.sha256(repr((sorted(found.items()), more)).encode()).hexdigest()


def data_entry(sha256: str, note: str, **more: Any) -> dict[str, Any]:
    """Return what a record says of invented signs, named by `digest`."""
    named = {"name": "invented_signs", "title": "Invented signs"}
    return hand_sets.data_entry(sha256, note, **more) | named | {"generator": invented_signs.generator_hash()}


# What is learned from, and who is asked -----------------------------------------------------------------


@dataclass(frozen=True)
class Lesson:
    """The clips to learn from and those asked afterwards, as rows int64; ValueError where they meet.

    ``clips`` is how many of a word there are to learn from; ``asked`` has rows by protocol.
    """

    clips: int
    seed: int
    train: np.ndarray
    asked: Mapping[str, np.ndarray]
    fold: int = 0

    def __post_init__(self) -> None:
        for rows in self.asked.values():
            Split(self.train, rows)  # proves itself


def random_clips(
    label: np.ndarray, clips: tuple[int, ...], seed: int
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Return rows to learn from by their number a word, and as random a rest: a split that does not ask who signs.

    For each word the clips [N] are put in an order drawn from the seed; the first ``n`` teach, so that a larger
    training set holds the smaller ones, and what is left after the largest is the rest. Raises ValueError where a
    word leaves none.
    """
    lines = [
        np.random.RandomState([seed, DRAW, word]).permutation(np.flatnonzero(label == word))
        for word in np.unique(label)
    ]
    most, least = max(clips), min(map(len, lines))
    if least <= most:
        raise ValueError(f"a word has {least} clips: too few to learn from {most} and to ask about others")
    rest = np.sort(np.concatenate([line[most:] for line in lines]))
    return {n: np.sort(np.concatenate([line[:n] for line in lines])) for n in clips}, rest


def without_one_take(label: np.ndarray, seed: int) -> Iterator[Lesson]:
    """Yield lessons that each leave out one clip of every word, until each clip was left out once.

    For clips [N] of one person, in the order they were taken: the nth of every word is left out together. Words
    with fewer clips than others are asked in fewer lessons. Raises DataError where a word has a single clip.
    """
    place = np.empty(len(label), np.int64)
    for word in np.unique(label):
        rows = np.flatnonzero(label == word)
        if len(rows) < 2:
            raise DataError(f"word {word} has a single clip: it cannot be left out and learned from")
        place[rows] = np.arange(len(rows))
    for take in range(place.max() + 1):
        train = np.flatnonzero(place != take)
        least = int(np.bincount(label[train])[np.unique(label)].min())
        yield Lesson(least, seed, train, {"left_out_take": np.flatnonzero(place == take)}, take)
