import numpy as np
import pytest

from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError

RANDOM = np.random.default_rng(0)


def arrays(n: int = 5, size: int = 8) -> dict:
    return dict(
        image=RANDOM.integers(0, 256, (n, 3, size, size), dtype=np.uint8),
        keypoints=RANDOM.uniform(0, size, (n, 21, 2)).astype(np.float32),
        visible=np.ones((n, 21), bool),
        left=np.arange(n) % 2 == 0,
        signer=np.arange(n),
        letter=np.full(n, -1),
        source="made up",
    )


def with_unlabelled() -> HandImages:
    made = arrays()
    made["keypoints"][1, 4] = np.nan
    made["visible"][1, 4] = False
    return HandImages(**made)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image", np.zeros((5, 8, 8, 3), np.uint8), "expected .N, 3, S, S."),
        ("image", np.zeros((5, 3, 8, 8), np.float32), "image is float32"),
        ("keypoints", np.zeros((5, 21, 2)), "keypoints is float64"),
        ("keypoints", np.zeros((4, 21, 2), np.float32), r"keypoints is float32 \[4, 21, 2\]"),
        ("visible", np.ones((5, 20), bool), "visible"),
        ("left", np.zeros(5, np.int64), "left is int64"),
        ("signer", np.arange(5) - 2, "below -1"),
        ("letter", np.zeros(5, np.int32), "letter is int32"),
        ("keypoints", np.full((5, 21, 2), np.nan, np.float32), "visible and has no position"),
        ("keypoints", np.full((5, 21, 2), np.inf, np.float32), "infinite"),
        ("keypoints", np.tile(np.float32([np.nan, 1]), (5, 21, 1)), "only one coordinate"),
    ],
)
def test_arrays_of_another_kind_are_refused_by_name(name, value, message):
    with pytest.raises(DataError, match=message):
        HandImages(**arrays() | {name: value})


def test_selection_keeps_rows_together_and_changes_the_digest():
    hands = HandImages(**arrays())
    chosen = hands.of(np.array([3, 1]))
    assert len(chosen) == 2 and chosen.signer.tolist() == [3, 1] and chosen.size == 8
    assert (chosen.image[0] == hands.image[3]).all() and (chosen.keypoints[1] == hands.keypoints[1]).all()
    assert len(hands.of(hands.left)) == 3 and len(hands.of(slice(0, 0))) == 0
    assert chosen.sha256 != hands.sha256 and hands.of(slice(None)).sha256 == hands.sha256


def test_targets_weigh_labelled_joints_inside_the_picture_and_hold_no_nan():
    made = arrays()
    made["keypoints"][1, 4] = np.nan
    made["visible"][1, 4] = made["visible"][0, 0] = False  # one not labelled, one hidden
    made["keypoints"][2, 7] = (9.0, 1.0)  # outside
    hands = HandImages(**made)
    targets = hands.targets
    assert targets.shape == (5, 21, 3) and targets.dtype == np.float32
    assert (
        targets[1, 4].tolist() == [0, 0, 0] and targets[2, 7, 2] == 0 and targets[..., 2].sum() == 5 * 21 - 2
    )
    assert targets[0, 0].tolist() == [*hands.keypoints[0, 0].tolist(), 1]
    assert hands.labelled.sum() == 5 * 21 - 1
