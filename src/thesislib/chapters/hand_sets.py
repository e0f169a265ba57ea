"""The synthetic hands that chapters train and test on: who signs, what is shown, rendered once and kept."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from thesislib import paths, results
from thesislib.datasets.hand_images import HandImages
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
        """Return the hands in memory, a share of each kind; what is not rendered yet is rendered and kept."""
        ends = np.round(np.cumsum([0.0, *MIX.values()]) * self.hands).astype(int)
        sets = [
            rendered(
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
        ]
        arrays = ("image", "keypoints", "visible", "left", "signer", "letter")
        joined = {name: np.concatenate([getattr(part, name) for part in sets]) for name in arrays}
        return HandImages(**joined, source=f"synthetic hands, {self.part}")


def generator_hash() -> str:
    """Return the hash of the code and the table of handshapes that draw hands: others draw other sets."""
    table = files("thesislib.synthetic").joinpath(TABLE).read_bytes()
    return hashlib.sha256(results.source_hash("thesislib.synthetic.scene").encode() + table).hexdigest()[:16]


def digest(sets: list[HandSet], real: list[HandImages]) -> str:
    """Return a sha256 that names synthetic sets by their generator and numbers, and real ones by their arrays."""
    named = (generator_hash(), FIRST_SIGNER, SEEDS, MIX, sets, [hands.sha256 for hands in real])
    return hashlib.sha256(repr(named).encode()).hexdigest()
