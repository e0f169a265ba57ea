"""The built-in set of fingerspelling: invented signers who hold each letter in front of a camera.

It needs no download. Who signs is known, every signer has every letter equally often, and pictures come in
clips, as real sets do (Pugeault and Bowden 2011 filmed one clip of each letter a signer).
"""

import hashlib
from functools import cache
from importlib.resources import files

import numpy as np
import torch

from thesislib import paths, results
from thesislib.datasets.letter_images import LetterImages
from thesislib.datasets.rendered_hands import rendered
from thesislib.synthetic import clips
from thesislib.synthetic.handshapes import TABLE
from thesislib.synthetic.scene import Difficulty, check_size


def invented(
    signers: range,
    *,
    kind: str = "letters",
    clips_per_letter: int = 1,
    frames_per_clip: int = 24,
    size: int = 64,
    supersample: int = 1,
    difficulty: Difficulty = clips.USUAL,
    seed: int = 0,
) -> LetterImages:
    """Return every frame of every clip of every static letter by every one of these signers, in this order.

    kind: "letters" (24 American), "german" (30) or "digits" (10); signers: their numbers, from 0; size: pixels
    to a side; supersample: rays to a pixel's side. Frames of a clip follow each other in time; one clip of each
    letter makes a session, with one background, lamp and sleeve. Pictures are rendered once and kept, signer
    by signer, so that a set of more signers starts from what is there. Raises ValueError for a request that
    cannot be met, DataError for a full disk.
    """
    check_size(size, supersample)
    letters = clips.labels(kind)
    rows = len(letters) * clips_per_letter * frames_per_clip  # of one signer
    which = clips.places(
        kind,
        torch.arange(max(1, len(signers) * rows)),
        signers=signers,
        clips_per_letter=clips_per_letter,
        frames=frames_per_clip,
    )
    people = [
        rendered(
            kind,
            seed,
            rows,
            folder=paths.CACHE / "spelled" / name,
            generate=clips.spelled,
            size=size,
            code=generator_hash(),
            frames=frames_per_clip,
            clips_per_letter=clips_per_letter,
            signers=range(number, number + 1),
            difficulty=difficulty,
            supersample=supersample,
        )
        for number, name in zip(signers, signer_names(signers), strict=True)
    ]
    count = len(signers) * rows
    return LetterImages(
        image=np.concatenate([person.image for person in people]),
        letter=which["label"].numpy(),
        signer=np.arange(count) // rows,
        clip=np.arange(count) // frames_per_clip,
        frame=which["frame"].numpy(),
        keypoints=np.concatenate([person.keypoints for person in people]),
        left=np.concatenate([person.left for person in people]),
        letters=letters,
        signers=signer_names(signers),
        source=f"{len(signers)} invented signers, {kind}, seed {seed}",
    )


def signer_names(signers: range) -> tuple[str, ...]:
    """Return the names of invented signers by their numbers."""
    return tuple(f"invented-{number:04d}" for number in signers)


@cache
def generator_hash() -> str:
    """Return the hash of the code and the table of handshapes that draw clips: others draw other sets."""
    table = files("thesislib.synthetic").joinpath(TABLE).read_bytes()
    return hashlib.sha256(results.source_hash("thesislib.synthetic.clips").encode() + table).hexdigest()[:16]
