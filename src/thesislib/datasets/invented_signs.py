"""The built-in set of signs: invented signers who sign the words of an invented vocabulary, one a clip.

It needs no download. There are two vocabularies, as in transfer from a big set of gestures to a small one of
signs; who signs is known, and every signer has every word equally often.
"""

import hashlib
from functools import cache
from importlib.resources import files

import torch

from thesislib import paths, results
from thesislib.datasets.rendered_hands import rendered
from thesislib.datasets.sign_clips import SignClips
from thesislib.synthetic import signs
from thesislib.synthetic.clips import USUAL
from thesislib.synthetic.handshapes import TABLE
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.sign_words import word_names


def invented(
    vocabulary: str,
    signers: range,
    *,
    words: int,
    takes: int = 1,
    frames: int = 16,
    size: int = 64,
    supersample: int = 1,
    difficulty: Difficulty = USUAL,
    seed: int = 0,
) -> SignClips:
    """Return every take of the first words of a vocabulary by every one of these signers.

    vocabulary: "signs" (up to 40 words) or "gestures" (up to 200); signers: their numbers, from 0: another number
    is another person; frames: of a clip, from 8; size: pixels to a side. Clips stand in the order of signers,
    then words, then takes. Frames are rendered once, kept under data/cache and mapped, not loaded; a killed run
    goes on where it stopped. Raises ValueError for a request that cannot be met, DataError for a full disk.
    """
    signs.check_request(seed, size, supersample)
    names = word_names(vocabulary, words)
    clips = len(signers) * words * takes
    first = torch.arange(max(1, clips)) * frames
    which = signs.places(first, words=words, frames=frames, signers=signers, takes=takes)
    del which["frame"]
    hands = rendered(
        vocabulary,
        seed,
        clips * frames,
        folder=paths.CACHE / "signs",
        generate=signs.draw,
        size=size,
        code=generator_hash(),
        words=words,
        frames=frames,
        signers=signers,
        takes=takes,
        supersample=supersample,
        difficulty=difficulty,
    )
    begin, end = signs.span(vocabulary, seed, **which, frames=frames, difficulty=difficulty)
    return SignClips(
        frame=hands.image.reshape(clips, frames, *hands.image.shape[1:]),
        label=which["word"].numpy(),
        signer=which["signer"].numpy(),
        begin=begin.numpy(),
        end=end.numpy(),
        words=names,
        source=f"{len(signers)} invented signers, {words} {vocabulary}, seed {seed}",
    )


@cache
def generator_hash() -> str:
    """Return the hash of the code and the table of handshapes that draw clips: others draw other sets."""
    table = files("thesislib.synthetic").joinpath(TABLE).read_bytes()
    return hashlib.sha256(results.source_hash("thesislib.synthetic.signs").encode() + table).hexdigest()[:16]
