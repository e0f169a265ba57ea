"""Hands with a detector's joints: what fits together is kept together, what does not is refused."""

import dataclasses

import numpy as np
import pytest

from thesislib.datasets.modelled_hands import ModelledHands, Truth, joined
from thesislib.datasets.sources import DataError

N, SIZE = 5, 8


def made(truth=True, theta=False, size=SIZE, seed=0) -> ModelledHands:
    """Random arrays of the right kinds."""
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        return rng.uniform(0, 1, (N, *shape)).astype(np.float32)

    known = None
    if truth:
        known = Truth(
            keypoints=numbers(21, 2),
            joints=numbers(21, 3),
            frames=numbers(5, 3, 3, 3),
            silhouette=numbers(size, size) > 0.5,
            theta=numbers(61) if theta else None,
        )
    return ModelledHands(
        image=rng.integers(0, 256, (N, 3, size, size), np.uint8),
        keypoints=numbers(21, 2),
        certainty=numbers(21),
        subject=np.arange(N) % 3,
        mirrored=numbers() > 0.5,
        source=f"set {seed}",
        truth=known,
    )


@pytest.mark.parametrize("rows", [np.array([3, 0]), np.array([1, 0, 0, 1, 0], bool), slice(1, 4)])
def test_rows_stay_together(rows):
    hands = made(theta=True)
    chosen = hands.of(rows)
    assert len(chosen) == len(np.arange(N)[rows]) and chosen.source == hands.source
    for name in ("image", "keypoints", "certainty", "subject", "mirrored"):
        assert (getattr(chosen, name) == getattr(hands, name)[rows]).all()
    for name in ("keypoints", "joints", "frames", "silhouette", "theta"):
        assert (getattr(chosen.truth, name) == getattr(hands.truth, name)[rows]).all()


def test_a_digest_names_the_arrays_and_the_truth():
    hands = made()
    other = dataclasses.replace(hands, certainty=hands.certainty[::-1].copy())
    names = {hands.sha256, hands.untold().sha256, other.sha256, hands.of([0]).sha256, made(theta=True).sha256}
    assert len(names) == 5 and hands.sha256 == made().sha256
    assert hands.untold().truth is None and (hands.untold().image == hands.image).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((N, 3, 8, 9), np.uint8)}, "image is"),
        ({"image": np.zeros((N, 3, 16, 16), np.uint8)}, "truth is of"),
        ({"keypoints": np.zeros((N, 21, 2))}, "keypoints is float64"),
        ({"keypoints": np.full((N, 21, 2), np.nan, np.float32)}, "not finite"),
        ({"certainty": np.full((N, 21), 1.1, np.float32)}, "between 0 and 1"),
        ({"certainty": np.full((N, 21), np.nan, np.float32)}, "between 0 and 1"),
        ({"subject": np.zeros(N, np.int32)}, "subject is int32"),
        ({"mirrored": np.zeros(N - 1, bool)}, "mirrored is"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        dataclasses.replace(made(), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": np.zeros((N, 20, 3), np.float32)}, "joints is"),
        ({"theta": np.zeros((N, 60), np.float32)}, "theta is"),
        ({"silhouette": np.zeros((N, 8, 9), bool)}, "silhouette is"),
        ({"joints": np.full((N, 21, 3), np.inf, np.float32)}, "joints has a number"),
        ({"frames": np.where(np.arange(3) == 1, np.nan, np.ones((N, 5, 3, 3, 3), np.float32))}, "frames has"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(change, message):
    change = {name: value.astype(np.float32) if name == "frames" else value for name, value in change.items()}
    with pytest.raises(DataError, match=message):
        dataclasses.replace(made().truth, **change)


def test_joined_sets_know_what_each_knew():
    first, second = made(truth=False), made(theta=True, seed=1)
    both = joined(first, second)
    assert len(both) == 2 * N and (both.of(slice(N, None)).truth.theta == second.truth.theta).all()
    for name in ("keypoints", "joints", "frames", "theta"):
        assert np.isnan(getattr(both.truth, name)[:N]).all()
    assert not both.truth.silhouette[:N].any() and (both.of(slice(N)).image == first.image).all()
    assert joined(first, first).truth is None
    half = joined(made(seed=2), second).truth  # one has a truth without theta
    assert np.isnan(half.theta[:N]).all() and np.isfinite(half.joints).all()
    with pytest.raises(DataError, match="pixels"):
        joined(first, made(size=16))


def test_no_hands_are_hands_too():
    assert len(made().of(np.zeros(N, bool))) == 0
