"""Pictures of hands with 21 keypoints, in one form for synthetic and real sets.

Keypoints stand in the order of `synthetic.hand.JOINTS`: wrist, then thumb to little finger, each from base to
tip; `synthetic.hand.BONES` joins them. Coordinates are pixels of the picture with the centre of a pixel at
+0.5: a point in the middle of the first pixel is (0.5, 0.5), and the picture spans 0..S.
"""

from dataclasses import dataclass, replace

import numpy as np

from thesislib.datasets.arrays import array_digest
from thesislib.datasets.sources import DataError
from thesislib.synthetic.hand import JOINTS

NUM_JOINTS = len(JOINTS)
UNKNOWN = -1  # of a signer or a letter


@dataclass(frozen=True)
class HandImages:
    """N square pictures of one hand each; DataError for arrays of another kind or shape.

    image: uint8 [N,3,S,S], may be memory-mapped; keypoints: float32 [N,21,2], x and y in pixels, NaN where a
    set does not label the joint; visible: bool [N,21], labelled and not hidden as far as the set tells; left:
    bool [N]; signer: int64 [N] and letter: int64 [N] (position in the alphabet, A is 0), -1 where not known.
    `source` says which set it is and how its hands were cut out.
    """

    image: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    left: np.ndarray
    signer: np.ndarray
    letter: np.ndarray
    source: str

    def __post_init__(self) -> None:
        n = len(self.image)
        if self.image.ndim != 4 or self.image.shape[1] != 3 or self.image.shape[2] != self.image.shape[3]:
            raise DataError(f"{self.source}: image is {list(self.image.shape)}, expected [N, 3, S, S]")
        for name, dtype, shape in (
            ("image", np.uint8, self.image.shape),
            ("keypoints", np.float32, (n, NUM_JOINTS, 2)),
            ("visible", np.bool_, (n, NUM_JOINTS)),
            ("left", np.bool_, (n,)),
            ("signer", np.int64, (n,)),
            ("letter", np.int64, (n,)),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                found, wanted = f"{array.dtype} {list(array.shape)}", f"{np.dtype(dtype)} {list(shape)}"
                raise DataError(f"{self.source}: {name} is {found}, expected {wanted}")
        if np.isinf(self.keypoints).any() or np.diff(np.isnan(self.keypoints), axis=-1).any():
            raise DataError(f"{self.source}: a keypoint is infinite or has only one coordinate")
        if (self.visible & ~self.labelled).any():
            raise DataError(f"{self.source}: a keypoint is marked visible and has no position")
        if n and min(self.signer.min(), self.letter.min()) < UNKNOWN:
            raise DataError(f"{self.source}: a signer or letter is below -1, which means unknown")

    def __len__(self) -> int:
        return len(self.image)

    @property
    def size(self) -> int:
        """The side S of the pictures in pixels."""
        return self.image.shape[-1]

    @property
    def labelled(self) -> np.ndarray:
        """Where a keypoint has a position, hidden or not: bool [N,21]."""
        return ~np.isnan(self.keypoints).any(axis=-1)

    @property
    def targets(self) -> np.ndarray:
        """What a network is trained on: float32 [N,21,3], x and y in pixels, and a weight.

        The weight is 1 for a labelled joint inside the picture, hidden or not, and 0 for every other.
        """
        position = np.nan_to_num(self.keypoints, nan=-1.0)
        inside = ((position >= 0) & (position <= self.size)).all(axis=-1, keepdims=True)
        return np.concatenate(
            [np.where(self.labelled[..., None], position, 0), inside], axis=-1, dtype=np.float32
        )

    @property
    def sha256(self) -> str:
        """The digest of all arrays in use, so after any selection."""
        return array_digest(self.image, self.keypoints, self.visible, self.left, self.signer, self.letter)

    def of(self, index: np.ndarray | slice) -> "HandImages":
        """Return the hands of these rows: indices, a boolean mask [N] or a slice."""
        arrays = ("image", "keypoints", "visible", "left", "signer", "letter")
        return replace(self, **{name: getattr(self, name)[index] for name in arrays})
