import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from thesislib.hand_model import HandModel, axis_angles, rotation_matrices
from thesislib.joint_turns import (
    beyond_limits_deg,
    joint_turns_deg,
    limits_deg,
    phalanx_frames,
    rest_frames,
    swing_and_twist_deg,
)
from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.hand import LIMITS, draw_anatomy, pose

# Keypoints of the 16 joints in MANO's order: wrist, index, middle, little, ring, thumb; then five tips.
MANO_ORDER = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]


def stick_hand() -> HandModel:
    """The generator's resting hand as a model whose vertices are its keypoints."""
    template = rest_hand()[1].joints[0][MANO_ORDER]
    return HandModel(
        template=template,
        faces=torch.tensor([[0, 1, 2]]),
        shape_basis=torch.zeros(21, 3, 10),
        pose_basis=torch.zeros(21, 3, 135),
        joint_regressor=torch.eye(21)[:16],
        skinning=torch.cat([torch.eye(16), torch.eye(16)[[15, 3, 6, 12, 9]]]),
        parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14),
        tips=torch.arange(16, 21),
        keypoint_order=torch.tensor([MANO_ORDER.index(k) for k in range(21)]),
        name="sticks",
    )


def pose_of(angles: torch.Tensor, signer: int = 0) -> torch.Tensor:
    """The pose [B, 45] in which the stick hand's phalanges lie as the generator's, joint by joint."""
    frames = pose(draw_anatomy(torch.full((len(angles),), signer)), angles).frames
    turns = frames @ rest_hand()[1].frames.mT  # from rest, in the hand frame
    pose_ = torch.zeros(len(angles), 16, 3)
    for finger, first in enumerate((13, 1, 4, 10, 7)):  # in MANO's order
        for k in range(3):
            before = turns[:, finger, k - 1] if k else torch.eye(3)
            pose_[:, first + k] = axis_angles(before.mT @ turns[:, finger, k])
    return pose_[:, 1:].flatten(1)


def some_angles(count: int, seed: int = 0) -> torch.Tensor:
    share = torch.rand(count, 21, generator=torch.Generator().manual_seed(seed))
    return LIMITS[0] + share * (LIMITS[1] - LIMITS[0])


@given(vector=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_swing_and_twist_are_those_of_the_quaternion(vector):
    whole = Rotation.from_rotvec(vector)
    x, y, z, w = whole.as_quat()
    twist = Rotation.from_quat([0, y, 0, w]) if abs(y) + abs(w) > 1e-9 else Rotation.identity()
    swing = whole * twist.inv()
    sx, sy, sz, sw = swing.as_quat()
    assert sy == pytest.approx(0, abs=1e-7)  # the swing's axis is at right angles to the bone
    found = swing_and_twist_deg(torch.from_numpy(whole.as_matrix()))
    turn = np.remainder(np.degrees(2 * np.arctan2(y, w)) + 180, 360) - 180
    expected = [np.degrees(2 * np.arctan(sx / sw)), turn, np.degrees(2 * np.arctan(sz / sw))]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("place, axis", list(enumerate("xyz")))
@pytest.mark.parametrize("degrees", [-170.0, -20.0, 0.0, 1e-3, 90.0, 175.0])
def test_a_turn_about_one_axis_is_its_own_angle(place, axis, degrees):
    turn = torch.from_numpy(Rotation.from_euler(axis, degrees, degrees=True).as_matrix())
    found = swing_and_twist_deg(turn)
    assert found[place] == pytest.approx(degrees, abs=1e-6)
    assert found.abs().sum() == pytest.approx(abs(degrees), abs=1e-6)


def test_rest_frames_of_the_generators_own_sticks_are_the_generators():
    torch.testing.assert_close(rest_frames(stick_hand()), rest_hand()[1].frames[0], atol=1e-5, rtol=0)


def test_rest_frames_turn_and_grow_with_the_template():
    model = stick_hand()
    turn = rotation_matrices(torch.tensor([0.4, -0.8, 0.3]))
    turned = HandModel(**vars(model) | {"template": 3 * model.template @ turn.T})
    torch.testing.assert_close(rest_frames(turned), turn @ rest_frames(model), atol=1e-5, rtol=0)
    angles = pose_of(some_angles(5))
    in_its_axes = (turn @ angles.unflatten(1, (15, 3, 1))).flatten(1)
    torch.testing.assert_close(
        joint_turns_deg(turned, in_its_axes), joint_turns_deg(model, angles), atol=2e-2, rtol=0
    )


def test_angles_of_the_generator_are_read_back():
    angles = some_angles(40)
    found = joint_turns_deg(stick_hand(), pose_of(angles))
    fingers = angles[:, 5:].unflatten(1, (4, 4))  # abduction, then flexion of three joints
    torch.testing.assert_close(found[:, 1:, 1:, 0], fingers[..., 2:], atol=2e-2, rtol=0)
    torch.testing.assert_close(found[:, 0, 1:, 0], angles[:, 3:5], atol=2e-2, rtol=0)
    assert found[:, :, 1:, 1:].abs().max() < 2e-2  # hinges neither twist nor give way
    straight = torch.zeros(2, 21)
    straight[:, 9] = torch.tensor([10.0, -15.0])  # the middle finger, towards the thumb and away
    found = joint_turns_deg(stick_hand(), pose_of(straight, signer=3))
    fan = draw_anatomy(torch.tensor([3])).fan[0, 1]  # of the average hand's middle finger 0
    np.testing.assert_allclose(found[:, 2, 0, 2], [-10 - fan, 15 - fan], atol=1e-2)


@given(signer=st.integers(0, 10_000), seed=st.integers(0, 10_000))
def test_no_hand_of_the_generator_is_beyond_the_limits(signer, seed):
    assert beyond_limits_deg(stick_hand(), pose_of(some_angles(8, seed), signer)).max() == 0


def test_what_is_beyond_the_limits_is_counted_in_degrees():
    angles = torch.tensor([[20.0, 20, -112, 10, 10] + 4 * [0, 10, 10, 10]])
    too_far = angles.clone()
    too_far[0, 8] = 85 + 5 + 12  # the index finger's last joint
    too_far[0, 11] = -5 - 20  # the middle finger's second
    beyond = beyond_limits_deg(stick_hand(), pose_of(too_far))[0]
    assert beyond[1, 2, 0] == pytest.approx(12, abs=2e-2)
    assert beyond[2, 1, 0] == pytest.approx(20, abs=2e-2)
    assert beyond.sum() == pytest.approx(32, abs=5e-2)
    low, high = limits_deg()
    assert (low < high).all()


def test_a_twisted_finger_is_beyond_and_its_gradient_untwists_it():
    model = stick_hand()
    bone = rest_frames(model)[3, 1, :, 1]  # the ring finger's second, the model's joint 11
    twisted = torch.zeros(1, 15, 3)
    twisted[0, 10] = torch.deg2rad(torch.tensor(30.0)) * bone
    twisted = twisted.flatten(1).requires_grad_()
    beyond = beyond_limits_deg(model, twisted)
    assert beyond[0, 3, 1, 1].item() == pytest.approx(25, abs=1e-2)
    beyond.sum().backward()
    assert twisted.grad.unflatten(1, (15, 3))[0, 10] @ bone > 50  # degrees to the radian
    still = torch.zeros(2, 45, requires_grad=True)
    joint_turns_deg(model, still).sum().backward()
    assert still.grad.isfinite().all()


def test_frames_of_phalanges_follow_their_joints():
    model, turns = stick_hand(), torch.eye(3).repeat(1, 16, 1, 1)
    turns[0, 15] = rotation_matrices(torch.tensor([0.0, 0.0, 1.0]))  # the thumb's last
    frames, rest = phalanx_frames(model, turns)[0], rest_frames(model)
    torch.testing.assert_close(frames[0, 2], turns[0, 15] @ rest[0, 2])
    torch.testing.assert_close(frames[1:], rest[1:])
