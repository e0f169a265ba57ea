"""The synthetic hands that chapters train and test on: who signs, what is shown, rendered once and kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from thesislib import paths, results
from thesislib.datasets.hand_images import UNKNOWN, HandImages
from thesislib.datasets.rendered_hands import rendered
from thesislib.synthetic import scene
from thesislib.synthetic.handshapes import TABLE

# Where the signers of each part begin, far enough apart that nobody is ever in two: a test asks about strangers.
FIRST_SIGNER = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
SEEDS = {"train": 0, "validation": 1, "test": 2}

# What is shown: free poses as in GANerated Hands, letters and digits, and flat hands as in 11k Hands.
MIX = {"random": 0.45, "letters": 0.3, "german": 0.1, "digits": 0.05, "flat": 0.1}


@dataclass(frozen=True)
class HandSet:
    """So many hands by so many signers of a part (train, validation or test), pictures of ``size`` pixels.

    ``supersample`` is the number of rays to a pixel's side: 2 takes longer and leaves no jagged outline.
    """

    part: str
    hands: int
    signers: int
    size: int
    supersample: int = 1

    @property
    def signer_range(self) -> range:
        first = FIRST_SIGNER[self.part]
        return range(first, first + self.signers)

    def load(self) -> HandImages:
        """Return the hands in memory, a share of each kind; what is not rendered yet is rendered and kept.

        The letter is that of the American alphabet, -1 for other kinds: places in other alphabets would collide.
        """
        ends = np.round(np.cumsum([0.0, *MIX.values()]) * self.hands).astype(int)
        sets = {
            kind: rendered(
                kind,
                SEEDS[self.part],
                int(stop - start),
                folder=paths.CACHE / "hands",
                generate=scene.generate,
                size=self.size,
                code=generator_hash(),
                signers=self.signer_range,
                supersample=self.supersample,
            )
            for kind, start, stop in zip(MIX, ends[:-1], ends[1:], strict=True)
            if stop > start
        }
        arrays = ("image", "keypoints", "visible", "left", "signer")
        joined = {name: np.concatenate([getattr(part, name) for part in sets.values()]) for name in arrays}
        letter = np.concatenate(
            [
                part.letter if kind == "letters" else np.full_like(part.letter, UNKNOWN)
                for kind, part in sets.items()
            ]
        )
        return HandImages(**joined, letter=letter, source=f"synthetic hands, {self.part}")


def generator_hash() -> str:
    """Return the hash of the code and the table of handshapes that draw hands: others draw other pictures."""
    code = results.source_hash("thesislib.synthetic.scene").encode()
    return hashlib.sha256(code + _table()).hexdigest()[:16]


def digest(sets: Sequence[HandSet] = (), real: Sequence[HandImages] = ()) -> str:
    """Return a sha256 that names synthetic hands by table, seeds, signers, mix and numbers, real ones by arrays.

    Without sets it names what all of them share. The code that draws is not in it: a record's source hash tells
    when that has changed, and the record stays readable.
    """
    shared = (hashlib.sha256(_table()).hexdigest(), FIRST_SIGNER, SEEDS)
    named = (*shared, [(MIX, asked) for asked in sets], [hands.sha256 for hands in real])
    return hashlib.sha256(repr(named).encode()).hexdigest()


def data_entry(sha256: str, note: str, **more: Any) -> dict[str, Any]:
    """Return what a record says of the synthetic hands it was measured on, named by `digest`."""
    return {
        "name": "synthetic_hands",
        "title": "Synthetic hands",
        "version": sha256[:12],
        "sha256": sha256,
        "generator": generator_hash(),
        "licence": "CC BY 4.0",
        "credit": "this project",
        "note": note,
        **more,
    }


def _table() -> bytes:
    return files("thesislib.synthetic").joinpath(TABLE).read_bytes()
