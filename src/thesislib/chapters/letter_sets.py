"""The sets of fingerspelled letters that chapter 4 reads: by name, invented or real, and how several become one."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thesislib import paths
from thesislib.chapters import hand_sets
from thesislib.datasets import fingerspelling, spelled_hands
from thesislib.datasets.hand_sources import find_hand_source
from thesislib.datasets.letter_images import ARRAYS, LetterImages
from thesislib.datasets.sources import DataError

INVENTED = "invented"
NAMES = (INVENTED, *fingerspelling.NAMES)
FIRST_SIGNER = 3_000_000  # of the built-in set, far from those that any network has learned from


@dataclass(frozen=True)
class LetterSet:
    """A set by name (one of NAMES) in pictures of ``size`` pixels, or a folder of your own in its place.

    Of the built-in set it is so many invented ``signers`` by number, clips of a letter and frames of a clip.
    """

    name: str
    size: int = 64
    folder: str = ""
    signers: range = range(FIRST_SIGNER, FIRST_SIGNER + 5)
    clips: int = 1
    frames: int = 16

    @property
    def is_invented(self) -> bool:
        """Whether its pictures are made here, of nobody."""
        return self.name == INVENTED and not self.folder

    def load(self) -> LetterImages:
        """Return the pictures; DataError says what is wrong with a folder or how to get a set."""
        if self.folder:
            return fingerspelling.load_folder(Path(self.folder).expanduser(), size=self.size)
        if self.is_invented:
            drawn = spelled_hands.invented(
                self.signers, clips_per_letter=self.clips, frames_per_clip=self.frames, size=self.size
            )
            # The joints it was drawn with would be read as if somebody had found them in the pictures.
            return replace(drawn, keypoints=np.full_like(drawn.keypoints, np.nan))
        return fingerspelling.load(self.name, paths.raw_data(), size=self.size)

    def sha256(self, loaded: LetterImages | None = None) -> str | None:
        """Return the digest of the pictures, None where they are not here; DataError for a broken folder of yours.

        Invented pictures are named by the tables and numbers that draw them, so nothing is rendered; others that
        are ``loaded`` are not read again.
        """
        if self.is_invented:
            numbers = (self.signers.start, len(self.signers), self.clips, self.frames, self.size)
            return hashlib.sha256(repr((hand_sets.digest(), *numbers)).encode()).hexdigest()
        try:
            return (loaded or self.load()).sha256
        except DataError:
            if self.folder:  # what is wrong with it counts for more than a record of how it was
                raise
            return None

    def entry(self, sha256: str, title: str) -> dict[str, Any]:
        """Return what a record says of the set: its name, title, digest, licence and whom to thank."""
        entry = {"name": self.name, "title": title, "version": sha256[:12], "sha256": sha256}
        if self.folder:
            return entry | {"name": "own", "licence": "your own", "credit": "you"}
        if self.is_invented:
            drawn_by = {"name": INVENTED, "generator": spelled_hands.generator_hash()}
            return hand_sets.data_entry(sha256, title) | drawn_by
        source = find_hand_source(self.name)
        return entry | {"title": source.title, "licence": source.licence, "credit": source.credit}


def digest(pictures: Sequence[str | None], weights: Mapping[str, str]) -> str | None:
    """Return one digest of several sets' digests and of files of weights by name, None where a set is not here."""
    if None in pictures:
        return None
    return hashlib.sha256(repr((list(pictures), sorted(weights.items()))).encode()).hexdigest()


def with_letters(data: LetterImages, letters: tuple[str, ...]) -> LetterImages:
    """Return the pictures of these letters alone, numbered in this order."""
    place = np.array([letters.index(name) if name in letters else -1 for name in data.letters], np.int64)
    kept = data.of(place[data.letter] >= 0)
    return replace(kept, letter=place[kept.letter], letters=letters)


def common_letters(sets: Mapping[str, LetterImages]) -> tuple[str, ...]:
    """Return the letters of which every set has a picture, as the first set orders them.

    Raises DataError for fewer than two: there is nothing to tell apart.
    """
    there = {name: [data.letters[index] for index in np.unique(data.letter)] for name, data in sets.items()}
    first, *others = there.values()
    letters = tuple(letter for letter in first if all(letter in other for other in others))
    if len(letters) < 2:
        has = "; ".join(f"{name} has {', '.join(found)}" for name, found in there.items())
        raise DataError(f"{len(letters)} letters are in every set, and it takes two: {has}")
    return letters


def joined(sets: Mapping[str, LetterImages]) -> LetterImages:
    """Return sets with the same letters as one, set after set; a signer is called `set/signer`.

    Clips of different sets stay apart. Raises DataError where letters or sizes differ.
    """
    parts = tuple(sets.values())
    if len({(part.letters, part.size) for part in parts}) != 1:
        raise DataError(f"{', '.join(sets)} differ in their letters or in the size of their pictures")
    signers = [(part.signer, len(part.signers)) for part in parts]
    clips = [np.unique(part.clip, return_inverse=True) for part in parts]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    arrays |= {
        "signer": _counted_on(signers),
        "clip": _counted_on([(place, len(numbers)) for numbers, place in clips]),
    }
    return LetterImages(
        **arrays,
        letters=parts[0].letters,
        signers=tuple(f"{name}/{signer}" for name, part in sets.items() for signer in part.signers),
        source=" and ".join(part.source for part in parts),
    )


def _counted_on(parts: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    """Return numbers of several sets as one, each set's after those that the sets before it could have."""
    before = np.cumsum([0, *(count for _, count in parts)])
    return np.concatenate([numbers + start for (numbers, _), start in zip(parts, before, strict=False)])
