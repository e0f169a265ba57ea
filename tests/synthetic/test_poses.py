"""Poses to draw: valid, free of themselves, and a function of (seed, index, signer) alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.synthetic import poses
from thesislib.synthetic.contacts import MAX_PENETRATION, penetration, signer_handshapes
from thesislib.synthetic.hand import LIMITS, draw_anatomy
from thesislib.synthetic.handshapes import alphabet

pytestmark = pytest.mark.usefixtures("solved_apart")
KINDS = ("letters", "random", "flat")


def draw(kind, seed, index, **knobs):
    signers = index * 7 % 4
    if kind == "letters":
        return poses.letters(seed, index, signers, index * 5 % 24, **knobs)
    return getattr(poses, kind)(seed, index, signers, **knobs)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 2**40), st.integers(0, 2**40), st.sampled_from([0.0, 1.0, 3.0]))
def test_poses_are_valid_and_free_of_themselves(kind, seed, start, jitter):
    index = start + torch.arange(48)
    angles, orientation = draw(kind, seed, index, pose_jitter=jitter)
    assert (angles >= LIMITS[0]).all() and (angles <= LIMITS[1]).all()
    assert (penetration(draw_anatomy(index * 7 % 4), angles) <= MAX_PENETRATION).all()
    product = orientation.transpose(1, 2) @ orientation
    assert torch.allclose(product, torch.eye(3).expand_as(product), atol=1e-5)
    assert (torch.linalg.det(orientation) > 0.999).all()


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 32))
def test_a_pose_does_not_depend_on_batch_mates_or_order(kind, seed, start, row):
    index = start + torch.arange(33)
    angles, orientation = draw(kind, seed, index)
    alone = draw(kind, seed, index[row : row + 1])
    assert torch.allclose(alone[0][0], angles[row], atol=1e-4, rtol=0)
    assert torch.allclose(alone[1][0], orientation[row], atol=1e-6, rtol=0)
    backwards = draw(kind, seed, index.flip(0))
    assert torch.allclose(backwards[0].flip(0), angles, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_and_another_index_give_another_pose(kind):
    index = torch.arange(8)
    angles, orientation = draw(kind, 1, index)
    other_angles, other_orientation = draw(kind, 2, index)
    assert (angles != other_angles).any(dim=1).all() and (orientation != other_orientation).flatten(1).any(
        dim=1
    ).all()
    assert len(torch.unique(angles, dim=0)) == 8


def test_knobs_at_zero_leave_the_signers_own_letter_and_the_tables_direction():
    index = torch.arange(24)
    angles, orientation = poses.letters(
        5, index, index % 2, index, signer_spread=0, pose_jitter=0, rotation=0
    )
    expected = signer_handshapes("american letters", index % 2, 0.0)[torch.arange(24), index]
    assert torch.equal(angles, expected)
    facing = torch.stack([shape.orientation() for shape in alphabet("american letters").values()])
    assert torch.allclose(orientation, facing, atol=1e-6)


def test_knobs_turn_up_what_they_name():
    index = torch.arange(200)
    same = torch.zeros_like(index)

    def spread(**knobs):
        angles, orientation = poses.letters(0, index, same, same + 1, **knobs)
        return float(angles.std(0).mean()), float(orientation.std(0).mean())

    plain = spread()
    assert spread(pose_jitter=2)[0] > 1.2 * plain[0] and spread(pose_jitter=0)[0] < 1e-3
    assert spread(rotation=2)[1] > 1.5 * plain[1] and spread(rotation=0)[1] < 1e-3


def test_random_fingers_bend_together_but_not_as_one():
    index = torch.arange(2000)
    angles, orientation = poses.random(0, index, index % 4)
    knuckles = torch.corrcoef(angles[:, [6, 10, 14, 18]].T)
    others = knuckles[~torch.eye(4, dtype=torch.bool)]
    assert (others > 0.15).all() and (others < 0.9).all()
    assert torch.corrcoef(angles[:, [7, 8]].T)[0, 1] > 0.8  # the last joint follows the middle one
    facing = orientation[:, 2, 2]
    assert (facing > 0.5).float().mean() > 0.2 and (facing < -0.5).float().mean() > 0.2


def test_flat_hands_are_open_and_show_palm_or_back():
    index = torch.arange(600)
    angles, orientation = poses.flat(0, index, index % 4)
    assert angles[:, [6, 7, 10, 11, 14, 15, 18, 19]].abs().max() < 20
    facing = orientation[:, 2, 2]
    assert (facing.abs() > 0.6).all() and 0.4 < (facing > 0).float().mean() < 0.6
    assert (orientation[:, 1, 1] > 0.3).all()  # fingers point up
    assert (angles[:, 5] - angles[:, 17]).std() > 4  # together and spread


def test_a_label_that_does_not_exist_is_refused():
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="from 0 to 23"):
        poses.letters(0, one, one, one + 24)
