from dataclasses import replace

import numpy as np
import pytest

from thesislib.datasets.letter_images import LetterImages
from thesislib.datasets.sources import DataError

RANDOM = np.random.default_rng(0)


def arrays(size: int = 8) -> dict:
    """Two signers, two letters, clips of two frames: eight pictures."""
    n = 8
    return dict(
        image=RANDOM.integers(0, 256, (n, 3, size, size), dtype=np.uint8),
        letter=np.arange(n) // 2 % 2,
        signer=np.arange(n) // 4,
        clip=np.arange(n) // 2,
        frame=np.arange(n) % 2,
        keypoints=np.full((n, 21, 2), np.nan, np.float32),
        left=np.zeros(n, bool),
        letters=("a", "b"),
        signers=("one", "other"),
        source="made up",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image", np.zeros((8, 8, 8, 3), np.uint8), "expected .N, 3, S, S."),
        ("image", np.zeros((8, 3, 8, 8), np.float32), "image is float32"),
        ("letter", np.zeros(8, np.int32), "letter is int32"),
        ("letter", np.zeros(7, np.int64), r"letter is int64 \[7\]"),
        ("signer", np.arange(8) - 1, "a signer is none of the 2"),
        ("letter", np.full(8, 2), "a letter is none of the 2"),
        ("letters", ("a", "a"), "each once"),
        ("signers", ["one", "other"], "must be a tuple"),
        ("clip", np.arange(8) // 4, "more than one letter or signer"),
        ("clip", np.array([0, 0, 1, 1, 0, 0, 3, 3]), "more than one letter or signer"),
        ("frame", np.zeros(8, np.int64), "same frame number"),
        ("keypoints", np.zeros((8, 20, 2), np.float32), "keypoints"),
        ("keypoints", np.tile(np.float32([np.nan, 1]), (8, 21, 1)), "only one coordinate"),
        ("keypoints", np.full((8, 21, 2), np.inf, np.float32), "infinite"),
        ("left", np.zeros(8, np.int64), "left is int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(name, value, message):
    with pytest.raises(DataError, match=message):
        LetterImages(**arrays() | {name: value})


def test_selection_keeps_rows_together_and_names_as_they_are():
    whole = LetterImages(**arrays())
    chosen = whole.of(whole.signer == 1)
    assert len(chosen) == 4 and chosen.letter.tolist() == [0, 0, 1, 1] and chosen.size == 8
    assert chosen.signers == ("one", "other") and (chosen.image == whole.image[4:]).all()
    assert whole.of(np.array([6, 0])).clip.tolist() == [3, 0] and len(whole.of(slice(0, 0))) == 0


def test_the_digest_knows_every_array_and_both_names():
    whole = LetterImages(**arrays())
    assert whole.of(slice(None)).sha256 == whole.sha256
    others = [
        replace(whole, image=whole.image ^ 1),
        replace(whole, letter=1 - whole.letter),
        replace(whole, signer=1 - whole.signer),
        replace(whole, clip=whole.clip + 1),
        replace(whole, frame=1 - whole.frame),
        replace(whole, keypoints=np.zeros_like(whole.keypoints)),
        replace(whole, left=~whole.left),
        replace(whole, letters=("a", "c")),
        replace(whole, signers=("one", "another")),
    ]
    assert len({whole.sha256, *(other.sha256 for other in others)}) == 10
