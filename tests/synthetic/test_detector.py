"""A detector that errs at stated rates: sizes, shares, certainties, and nothing that depends on batch mates."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.synthetic.detector import USUAL, DetectorFaults, detect

COUNT = 4000
PERFECT = DetectorFaults(spread=0, wrist_away=0, whole_hand=0, swapped=0)


@pytest.fixture(scope="module")
def true():
    """Fans of five fingers, in a box of about 0.8 of 100 pixels."""
    generator = torch.Generator().manual_seed(0)
    finger, joint = torch.meshgrid(torch.arange(5), torch.arange(1, 5), indexing="ij")
    angle, reach = (0.35 * (finger - 2)).flatten(), (0.4 + 0.15 * joint).flatten()
    hand = torch.cat([torch.zeros(1, 2), torch.stack([reach * angle.sin(), -reach * angle.cos()], -1)])
    return 80 * hand + 60 + 2 * torch.randn(COUNT, 1, 2, generator=generator)


@pytest.fixture(scope="module")
def found(true):
    return detect(true, 7, torch.arange(COUNT))


def _share_of_box(found, true):
    box = (true.amax(1) - true.amin(1)).amax(-1)
    return (found.keypoints - true).norm(dim=-1) / box[:, None]


def test_a_perfect_detector_says_the_truth(true):
    found = detect(true, 0, torch.arange(COUNT), PERFECT)
    assert torch.equal(found.keypoints, true)
    assert not (found.wrist_away | found.whole_hand | found.swapped).any()


def test_what_is_said_depends_on_the_index_alone(true, found):
    chosen = torch.tensor([999, 3, 3, 40])
    alone = detect(true[chosen], 7, chosen)
    for field in dataclasses.fields(alone):
        assert torch.equal(getattr(alone, field.name), getattr(found, field.name)[chosen]), field.name
    assert not torch.equal(detect(true[chosen], 8, chosen).keypoints, alone.keypoints)


def test_failures_come_at_their_rates(found):
    for name in ("wrist_away", "whole_hand", "swapped"):
        share, expected = getattr(found, name).float().mean().item(), getattr(USUAL, name)
        deviation = (expected * (1 - expected) / COUNT) ** 0.5
        assert abs(share - expected) < 4 * deviation, name


def test_ordinary_errors_are_as_small_as_real_detectors_have_them_and_have_heavy_tails(true, found):
    ordinary = ~(found.wrist_away | found.whole_hand | found.swapped)
    error = _share_of_box(found, true)[ordinary].flatten()
    assert 0.015 < error.mean() < 0.04  # chapter 2, on real hands
    # of a normal error along both axes, the 99th percentile is 2.58 times the median
    assert error.quantile(0.99) / error.median() > 3.2


def test_certainty_falls_as_errors_grow(true, found):
    error, certainty = _share_of_box(found, true), found.certainty
    ordinary = ~(found.wrist_away | found.whole_hand | found.swapped)
    for rows in (ordinary, torch.ones_like(ordinary)):
        pairs = torch.stack([error[rows].flatten(), certainty[rows].flatten()])
        assert torch.corrcoef(pairs)[0, 1] < -0.3
    bins = (certainty[ordinary].flatten() * 5).long().clamp(1, 4)  # monotone in distribution
    means = [error[ordinary].flatten()[bins == number].mean() for number in range(1, 5)]
    assert means == sorted(means, reverse=True)
    assert ((certainty >= 0) & (certainty <= 1)).all()


def test_a_failure_is_where_it_is_said_to_be(true, found):
    error = _share_of_box(found, true)
    away = found.wrist_away & ~found.whole_hand
    assert error[away, 0].median() > 0.15
    assert error[away & ~found.swapped, 1:].mean() < 0.04
    assert error[found.whole_hand].median(1).values.quantile(0.1) > 0.05
    assert (
        found.certainty[away, 0].mean()
        < found.certainty[~found.wrist_away & ~found.whole_hand, 0].mean() - 0.2
    )


def test_swapped_fingers_are_each_others(true):
    found = detect(true, 0, torch.arange(COUNT), dataclasses.replace(PERFECT, swapped=1.0))
    nearest = torch.cdist(found.keypoints, true).argmin(-1)
    exchanged = nearest != torch.arange(21)
    assert ((nearest - torch.arange(21)).abs()[exchanged] == 4).all()
    assert set(exchanged.sum(1).tolist()) == {6, 8}  # from the middle joint on, or whole fingers
    assert not exchanged[:, :5].any()  # never the thumb
    assert (nearest.sort(1).values == torch.arange(21)).all()


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.2, 50), shift=st.floats(-300, 300))
def test_errors_grow_with_the_hand_and_move_with_it(scale, shift):
    hand = 10 * torch.rand(3, 21, 2, generator=torch.Generator().manual_seed(1))
    index = torch.arange(3)
    plain, moved = detect(hand, 0, index), detect(scale * hand + shift, 0, index)
    assert torch.allclose(moved.keypoints, scale * plain.keypoints + shift, rtol=1e-3, atol=1e-2)
    assert torch.equal(moved.certainty, plain.certainty)


@pytest.mark.parametrize(
    "change",
    [{"spread": -0.1}, {"swapped": 1.2}, {"certainty": 0.0}, {"certainty": 1.0}, {"by_joint": float("nan")}],
)
def test_faults_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        DetectorFaults(**change)


@pytest.mark.parametrize(
    ("points", "index"), [((2, 20, 2), 2), ((2, 21, 3), 2), ((2, 21, 2), 3), ((0, 21, 2), 0)]
)
def test_shapes_that_do_not_fit_are_refused(points, index):
    with pytest.raises(ValueError, match="detect needs"):
        detect(torch.zeros(points), 0, torch.arange(index))
