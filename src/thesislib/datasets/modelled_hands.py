"""Pictures of hands that a hand model is fitted to, in one form for invented and real sets.

What `datasets.hand_images.HandImages` is for labels that people gave, this is for joints that a detector found:
each has a certainty, and only invented hands have a truth beside them. Keypoints stand in the order of
`synthetic.hand.JOINTS`; all hands are right hands, left ones are mirrored when they are read.
"""

from dataclasses import dataclass, replace

import numpy as np

from thesislib.datasets.arrays import array_digest
from thesislib.datasets.hand_images import NUM_JOINTS
from thesislib.datasets.sources import DataError

NUM_PARAMETERS = 61  # pose 45, shape 10, rotation 3, translation 2, scale 1
_ARRAYS = ("image", "keypoints", "certainty", "subject", "mirrored")
_TRUTHS = ("keypoints", "joints", "frames", "silhouette", "theta")


@dataclass(frozen=True)
class Truth:
    """What only the maker of N hands knows; DataError for arrays of another kind or shape.

    A hand of which an array knows nothing has a row of NaN there, and a silhouette without a pixel.

    keypoints: float32 [N,21,2], pixels as in ModelledHands; joints: float32 [N,21,3], hand units from the wrist,
    camera axes (x right, y up, z to the viewer); frames: float32 [N,5,3,3,3], orientation of each phalanx in
    camera axes (columns: radial side, along the bone, palmar normal); silhouette: bool [N,S,S], hand, forearm
    and sleeve; theta: float32 [N,61], the parameters of the hand model, or None where the hand is no instance
    of it.
    """

    keypoints: np.ndarray
    joints: np.ndarray
    frames: np.ndarray
    silhouette: np.ndarray
    theta: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, side = len(self.keypoints), self.silhouette.shape[-1]
        _check(
            self,
            "truth",
            ("keypoints", np.float32, (n, NUM_JOINTS, 2)),
            ("joints", np.float32, (n, NUM_JOINTS, 3)),
            ("frames", np.float32, (n, 5, 3, 3, 3)),
            ("silhouette", np.bool_, (n, side, side)),
            *([] if self.theta is None else [("theta", np.float32, (n, NUM_PARAMETERS))]),
        )
        for name in ("keypoints", "joints", "frames", "theta"):
            array = getattr(self, name)
            if array is None:
                continue
            unknown = np.isnan(array.reshape(n, array[:1].size)).any(axis=1)
            if np.isinf(array).any() or not np.isnan(array[unknown]).all():
                raise DataError(f"truth: {name} has a number that is not finite")

    def of(self, rows: np.ndarray | slice) -> "Truth":
        """Return the truth of these rows: indices, a boolean mask [N] or a slice."""
        known = [name for name in _TRUTHS if getattr(self, name) is not None]
        return replace(self, **{name: getattr(self, name)[rows] for name in known})


@dataclass(frozen=True)
class ModelledHands:
    """N square pictures of one right hand each; DataError for arrays of another kind or shape.

    image: uint8 [N,3,S,S], may be memory-mapped; keypoints: float32 [N,21,2], x and y in pixels as a detector
    gave them, the middle of the first pixel at 0.5; certainty: float32 [N,21], 0 to 1, the detector's own;
    subject: int64 [N], whose hand it is; mirrored: bool [N], a left hand before the picture was mirrored.
    `source` says which set it is, `truth` what is known beyond the detector, None for photographs.
    """

    image: np.ndarray
    keypoints: np.ndarray
    certainty: np.ndarray
    subject: np.ndarray
    mirrored: np.ndarray
    source: str
    truth: Truth | None = None

    def __post_init__(self) -> None:
        n = len(self.image)
        if self.image.ndim != 4 or self.image.shape[1] != 3 or self.image.shape[2] != self.image.shape[3]:
            raise DataError(f"{self.source}: image is {list(self.image.shape)}, expected [N, 3, S, S]")
        _check(
            self,
            self.source,
            ("image", np.uint8, self.image.shape),
            ("keypoints", np.float32, (n, NUM_JOINTS, 2)),
            ("certainty", np.float32, (n, NUM_JOINTS)),
            ("subject", np.int64, (n,)),
            ("mirrored", np.bool_, (n,)),
        )
        if not np.isfinite(self.keypoints).all():
            raise DataError(
                f"{self.source}: a keypoint is not finite; one that was not found has certainty 0"
            )
        if n and not 0 <= self.certainty.min() <= self.certainty.max() <= 1:
            raise DataError(f"{self.source}: a certainty is not between 0 and 1")
        if self.truth is not None and self.truth.silhouette.shape != (n, self.size, self.size):
            found = list(self.truth.silhouette.shape)
            raise DataError(f"{self.source}: truth is of {found}, the pictures are {n} of {self.size} pixels")

    def __len__(self) -> int:
        return len(self.image)

    @property
    def size(self) -> int:
        """The side S of the pictures in pixels."""
        return self.image.shape[-1]

    @property
    def sha256(self) -> str:
        """The digest of all arrays in use, the truth's too, so after any selection."""
        arrays = [getattr(self, name) for name in _ARRAYS]
        if self.truth is not None:
            arrays += [a for name in _TRUTHS if (a := getattr(self.truth, name)) is not None]
        return array_digest(*arrays)

    def of(self, rows: np.ndarray | slice) -> "ModelledHands":
        """Return the hands of these rows: indices, a boolean mask [N] or a slice."""
        truth = None if self.truth is None else self.truth.of(rows)
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS}, truth=truth)

    def untold(self) -> "ModelledHands":
        """Return the same hands without the truth: what somebody has who has photographs and a detector."""
        return replace(self, truth=None)


def joined(first: ModelledHands, second: ModelledHands) -> ModelledHands:
    """Return the hands of two sets one after the other; what one of them does not know is unknown of its hands.

    Subjects keep their numbers: equal numbers are one person. Raises DataError for pictures of different sizes.
    """
    if first.size != second.size:
        raise DataError(
            f"{first.source} has pictures of {first.size} pixels, {second.source} of {second.size}"
        )
    arrays = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _ARRAYS}
    truth = None
    if first.truth is not None or second.truth is not None:
        truths = {name: _known(name, first, second) for name in _TRUTHS}
        truth = Truth(**truths)
    return ModelledHands(**arrays, source=f"{first.source} and {second.source}", truth=truth)


def _known(name: str, *sets: ModelledHands) -> np.ndarray | None:
    parts = [None if hands.truth is None else getattr(hands.truth, name) for hands in sets]
    known = [part for part in parts if part is not None]
    if not known:
        return None
    blank = False if name == "silhouette" else np.nan
    return np.concatenate(
        [
            np.full((len(hands), *known[0].shape[1:]), blank, known[0].dtype) if part is None else part
            for hands, part in zip(sets, parts, strict=True)
        ]
    )


def _check(owner: Truth | ModelledHands, source: str, *wanted: tuple[str, type, tuple[int, ...]]) -> None:
    for name, dtype, shape in wanted:
        array = getattr(owner, name)
        if array.dtype != dtype or array.shape != shape:
            found, expected = f"{array.dtype} {list(array.shape)}", f"{np.dtype(dtype)} {list(shape)}"
            raise DataError(f"{source}: {name} is {found}, expected {expected}")
