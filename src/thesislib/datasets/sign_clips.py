"""Clips of signs by known signers, in one form for invented and real sets.

What `datasets.letter_images.LetterImages` is for fingerspelling, this is for signs in motion: every clip has as
many frames, shows one word by one signer, and knows where in it the sign begins and ends.
"""

from dataclasses import dataclass, replace

import numpy as np

from thesislib.datasets.arrays import array_digest
from thesislib.datasets.hand_images import UNKNOWN
from thesislib.datasets.sources import DataError

ARRAYS = ("frame", "label", "signer", "begin", "end")


@dataclass(frozen=True)
class SignClips:
    """N clips of T square frames, one sign each; DataError for arrays that do not fit together.

    frame: uint8 [N,T,3,S,S], may be memory-mapped; label: int64 [N], index into `words`; signer: int64 [N], -1
    where not known; begin and end: int64 [N], the sign's first frame within its clip and one past its last: 0 and
    T where not known. `source` says which set it is and how its frames were cut out. Not every word needs a clip.
    """

    frame: np.ndarray
    label: np.ndarray
    signer: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    words: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        n, shape = len(self.frame), self.frame.shape
        if self.frame.ndim != 5 or shape[1] < 1 or shape[2] != 3 or shape[3] != shape[4]:
            raise DataError(f"{self.source}: frame is {list(shape)}, expected [N, T, 3, S, S]")
        for name, dtype, wanted in (
            ("frame", np.uint8, shape),
            *((name, np.int64, (n,)) for name in ARRAYS[1:]),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != wanted:
                found, expected = f"{array.dtype} {list(array.shape)}", f"{np.dtype(dtype)} {list(wanted)}"
                raise DataError(f"{self.source}: {name} is {found}, expected {expected}")
        if not isinstance(self.words, tuple) or len(set(self.words)) != len(self.words):
            raise DataError(f"{self.source}: words must be a tuple, each once: {self.words}")
        if n and not 0 <= self.label.min() <= self.label.max() < len(self.words):
            raise DataError(f"{self.source}: a label is none of the {len(self.words)} words")
        if n and self.signer.min() < UNKNOWN:
            raise DataError(f"{self.source}: a signer is below -1, which means unknown")
        if not ((self.begin >= 0) & (self.begin < self.end) & (self.end <= self.length)).all():
            raise DataError(
                f"{self.source}: a sign must begin before it ends, within its {self.length} frames"
            )

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def length(self) -> int:
        """The number T of frames of each clip."""
        return self.frame.shape[1]

    @property
    def size(self) -> int:
        """The side S of the frames in pixels."""
        return self.frame.shape[-1]

    @property
    def sha256(self) -> str:
        """The digest of all arrays and words in use, so after any selection."""
        return array_digest(*(getattr(self, name) for name in ARRAYS), np.array(self.words, np.str_))

    def of(self, rows: np.ndarray | slice) -> "SignClips":
        """Return the clips of these rows (indices, a boolean mask [N] or a slice); words stay as they are."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})
