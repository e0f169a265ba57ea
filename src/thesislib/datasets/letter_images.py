"""Pictures of fingerspelled letters by known signers, in one form for invented and real sets.

What `datasets.hand_images.HandImages` is for joints, this is for letters: who signs what, and which pictures were
taken one after another, so that a protocol can keep near-duplicates on one side of a split.
"""

from dataclasses import dataclass, replace

import numpy as np

from thesislib.datasets.arrays import array_digest
from thesislib.datasets.hand_images import NUM_JOINTS
from thesislib.datasets.sources import DataError


@dataclass(frozen=True)
class LetterImages:
    """N square pictures of one hand each, by letter and signer; DataError for arrays that do not fit together.

    image: uint8 [N,3,S,S], may be memory-mapped; letter: int64 [N], index into `letters`; signer: int64 [N], index
    into `signers`; clip: int64 [N], pictures of one clip were taken one after another, by one signer, of one
    letter; frame: int64 [N], order within the clip, each number once; keypoints: float32 [N,21,2], x and y in
    pixels as in HandImages, NaN where the set gives none; left: bool [N], the hand looks like a left one.
    `source` says which set it is and how its hands were cut out. Not every letter or signer named needs a picture.
    """

    image: np.ndarray
    letter: np.ndarray
    signer: np.ndarray
    clip: np.ndarray
    frame: np.ndarray
    keypoints: np.ndarray
    left: np.ndarray
    letters: tuple[str, ...]
    signers: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        n = len(self.image)
        if self.image.ndim != 4 or self.image.shape[1] != 3 or self.image.shape[2] != self.image.shape[3]:
            raise DataError(f"{self.source}: image is {list(self.image.shape)}, expected [N, 3, S, S]")
        for name, dtype, shape in (
            ("image", np.uint8, self.image.shape),
            ("letter", np.int64, (n,)),
            ("signer", np.int64, (n,)),
            ("clip", np.int64, (n,)),
            ("frame", np.int64, (n,)),
            ("keypoints", np.float32, (n, NUM_JOINTS, 2)),
            ("left", np.bool_, (n,)),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                found, wanted = f"{array.dtype} {list(array.shape)}", f"{np.dtype(dtype)} {list(shape)}"
                raise DataError(f"{self.source}: {name} is {found}, expected {wanted}")
        for name, index, names in (
            ("letter", self.letter, self.letters),
            ("signer", self.signer, self.signers),
        ):
            if not isinstance(names, tuple) or len(set(names)) != len(names):
                raise DataError(f"{self.source}: names of {name}s must be a tuple, each once: {names}")
            if n and not 0 <= index.min() <= index.max() < len(names):
                raise DataError(f"{self.source}: a {name} is none of the {len(names)} that are named")
        if np.isinf(self.keypoints).any() or np.diff(np.isnan(self.keypoints), axis=-1).any():
            raise DataError(f"{self.source}: a keypoint is infinite or has only one coordinate")
        of_clip = np.stack([self.clip, self.letter, self.signer])
        if len(np.unique(of_clip, axis=1).T) != len(np.unique(self.clip)):
            raise DataError(f"{self.source}: a clip has more than one letter or signer")
        if len(np.unique(np.stack([self.clip, self.frame]), axis=1).T) != n:
            raise DataError(f"{self.source}: two pictures of a clip have the same frame number")

    def __len__(self) -> int:
        return len(self.image)

    @property
    def size(self) -> int:
        """The side S of the pictures in pixels."""
        return self.image.shape[-1]

    @property
    def sha256(self) -> str:
        """The digest of all arrays and names in use, so after any selection."""
        names = (np.array(self.letters, np.str_), np.array(self.signers, np.str_))
        return array_digest(*(getattr(self, name) for name in ARRAYS), *names)

    def of(self, rows: np.ndarray | slice) -> "LetterImages":
        """Return the pictures of these rows (indices, a boolean mask [N] or a slice); names stay as they are."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})


ARRAYS = ("image", "letter", "signer", "clip", "frame", "keypoints", "left")
