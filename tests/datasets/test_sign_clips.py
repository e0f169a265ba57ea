from dataclasses import replace

import numpy as np
import pytest

from thesislib.datasets.sign_clips import SignClips
from thesislib.datasets.sources import DataError

RANDOM = np.random.default_rng(0)


def arrays(n: int = 6, length: int = 4, size: int = 8) -> dict:
    """Two signers and one unknown, three words of which one has no clip."""
    return dict(
        frame=RANDOM.integers(0, 256, (n, length, 3, size, size), dtype=np.uint8),
        label=np.arange(n) % 2,
        signer=np.arange(n) // 2 - 1,
        begin=np.arange(n) % 2,
        end=np.full(n, length),
        words=("tree", "rain", "never shown"),
        source="made up",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("frame", np.zeros((6, 3, 8, 8), np.uint8), r"expected \[N, T, 3, S, S\]"),
        ("frame", np.zeros((6, 4, 8, 8, 3), np.uint8), r"expected \[N, T, 3, S, S\]"),
        ("frame", np.zeros((6, 0, 3, 8, 8), np.uint8), r"frame is \[6, 0, 3, 8, 8\]"),
        ("frame", np.zeros((6, 4, 3, 8, 9), np.uint8), r"expected \[N, T, 3, S, S\]"),
        ("frame", np.zeros((6, 4, 3, 8, 8), np.float32), "frame is float32"),
        ("label", np.zeros(5, np.int64), r"label is int64 \[5\], expected int64 \[6\]"),
        ("label", np.zeros(6, np.int32), "label is int32"),
        ("label", np.full(6, 3), "none of the 3 words"),
        ("label", np.arange(6) - 1, "none of the 3 words"),
        ("signer", np.arange(6) - 2, "below -1"),
        ("signer", np.zeros((6, 1), np.int64), "signer is int64"),
        ("begin", np.full(6, -1), "begin before it ends"),
        ("begin", np.full(6, 4), "begin before it ends"),
        ("end", np.full(6, 5), "within its 4 frames"),
        ("end", np.full(6, 4.0), "end is float64"),
        ("words", ["tree", "rain", "hail"], "must be a tuple"),
        ("words", ("tree", "rain", "tree"), "each once"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(name, value, message):
    with pytest.raises(DataError, match=message):
        SignClips(**arrays() | {name: value})


def test_selection_keeps_rows_together_and_words_as_they_are():
    whole = SignClips(**arrays())
    chosen = whole.of(whole.signer == 1)
    assert len(chosen) == 2 and chosen.label.tolist() == [0, 1] and chosen.words == whole.words
    assert (chosen.length, chosen.size) == (4, 8) and (chosen.frame == whole.frame[4:]).all()
    turned = whole.of(np.array([5, 0]))
    assert turned.begin.tolist() == [1, 0] and turned.signer.tolist() == [1, -1]
    assert len(whole.of(slice(0, 0))) == 0


def test_frames_stay_on_the_disk(tmp_path):
    """A set larger than memory can be held, and a part of it chosen by a slice."""
    np.save(tmp_path / "frame.npy", arrays()["frame"])
    mapped = np.load(tmp_path / "frame.npy", mmap_mode="r", allow_pickle=False)
    clips = SignClips(**arrays() | {"frame": mapped})
    assert isinstance(clips.frame, np.memmap) and np.shares_memory(clips.of(slice(2, 4)).frame, mapped)


def test_the_digest_knows_every_array_and_the_words():
    whole = SignClips(**arrays())
    assert whole.of(slice(None)).sha256 == whole.sha256
    others = [
        replace(whole, frame=whole.frame ^ 1),
        replace(whole, label=1 - whole.label),
        replace(whole, signer=whole.signer + 1),
        replace(whole, begin=0 * whole.begin),
        replace(whole, end=whole.end - 1),
        replace(whole, words=("tree", "rain", "shown")),
    ]
    assert len({whole.sha256, *(other.sha256 for other in others)}) == 7
