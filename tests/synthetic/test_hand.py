"""Anatomy and kinematics: bones keep their lengths, joints bend the way joints bend, people stay themselves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.synthetic.hand import (
    ANGLES,
    BONES,
    JOINTS,
    LIMITS,
    Anatomy,
    centres,
    draw_anatomy,
    draw_habits,
    pose,
)
from thesislib.synthetic.rotations import about, about_xyz, compose

seeds = st.lists(st.integers(0, 2**40), min_size=1, max_size=6)


def random_angles(count, seed):
    share = torch.rand(count, 21, generator=torch.Generator().manual_seed(seed))
    return LIMITS[0] + share * (LIMITS[1] - LIMITS[0])


def bent(**degrees):
    """A straight hand with some angles set: bent(index_MCP=90)."""
    angles = torch.zeros(1, 21)
    angles[0, ANGLES.index("thumb twist")] = -90
    for name, value in degrees.items():
        angles[0, ANGLES.index(name.replace("_", " "))] = value
    return angles


def test_names_and_tree():
    assert len(JOINTS) == len(set(JOINTS)) == 21 and len(ANGLES) == len(set(ANGLES)) == 21
    assert JOINTS[0] == "wrist" and JOINTS[4] == "thumb tip" and JOINTS[8] == "index tip"
    assert sorted(child for _, child in BONES) == list(range(1, 21))
    assert [child for parent, child in BONES if parent == 0] == [1, 5, 9, 13, 17]
    assert LIMITS.shape == (2, 21) and (LIMITS[0] < LIMITS[1]).all()


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(0, 10_000))
def test_bones_keep_their_lengths_and_frames_are_right_handed(people, seed):
    anatomy = draw_anatomy(torch.tensor(people))
    hand = pose(anatomy, random_angles(len(people), seed))
    assert (hand.joints[:, 0] == 0).all()
    chains = hand.joints[:, 1:].unflatten(1, (5, 4))
    assert torch.equal(chains[:, :, 0], anatomy.base)
    bones = chains[:, :, 1:] - chains[:, :, :-1]
    assert torch.allclose(bones.norm(dim=-1), anatomy.length, atol=1e-5)
    assert torch.allclose(hand.frames[..., 1] * anatomy.length[..., None], bones, atol=1e-5)
    product = hand.frames.transpose(-1, -2) @ hand.frames
    assert torch.allclose(product, torch.eye(3).expand_as(product), atol=1e-5)
    assert torch.allclose(torch.linalg.det(hand.frames), torch.ones(len(people), 5, 3), atol=1e-5)


def test_joints_bend_the_way_joints_bend():
    anatomy = draw_anatomy(torch.tensor([0]), spread=0)
    straight = pose(anatomy, bent()).joints[0]
    tip = JOINTS.index("middle tip")
    assert torch.allclose(
        straight[tip] - straight[9], torch.tensor([0, anatomy.length[0, 2].sum(), 0]), atol=1e-6
    )
    bowed = pose(anatomy, bent(middle_MCP=90)).joints[0]
    assert torch.allclose(bowed[tip] - bowed[9], torch.tensor([0, 0, anatomy.length[0, 2].sum()]), atol=1e-6)
    assert pose(anatomy, bent(index_abduction=10)).joints[0, 8, 0] > straight[8, 0]  # towards the thumb
    assert pose(anatomy, bent(thumb_radial=40)).joints[0, 4, 0] > straight[4, 0]
    assert pose(anatomy, bent(thumb_palmar=40)).joints[0, 4, 2] > straight[4, 2]
    assert pose(anatomy, bent(thumb_MCP=40)).joints[0, 4, 0] < straight[4, 0]  # across the palm


def test_abduction_fades_as_the_knuckle_bends():
    anatomy = draw_anatomy(torch.tensor([0]), spread=0)

    def swing(knuckle):
        aside = pose(anatomy, bent(middle_abduction=20, middle_MCP=knuckle)).frames[0, 2, 0, :, 0]
        still = pose(anatomy, bent(middle_MCP=knuckle)).frames[0, 2, 0, :, 0]
        return float(torch.rad2deg(torch.arccos((aside @ still).clamp(-1, 1))))

    assert swing(0) == pytest.approx(20, abs=0.1)
    assert swing(60) == pytest.approx(10, abs=0.1)
    assert swing(90) == pytest.approx(0, abs=0.1)


def test_flesh_ends_at_the_fingertips():
    anatomy = draw_anatomy(torch.arange(3))
    hand = pose(anatomy, random_angles(3, 2))
    spheres, chains = centres(anatomy, hand), hand.joints[:, 1:].unflatten(1, (5, 4))
    assert torch.equal(spheres[:, :, :3], chains[:, :, :3])
    inside, outside = (
        (spheres[:, :, 3] - chains[:, :, 2]).norm(dim=-1),
        (chains[:, :, 3] - spheres[:, :, 3]).norm(dim=-1),
    )
    assert torch.allclose(outside, anatomy.radius[..., 3], atol=1e-6)
    assert torch.allclose(inside + outside, anatomy.length[..., 2], atol=1e-6)


def test_kinematics_are_differentiable():
    anatomy = draw_anatomy(torch.arange(2))
    exact = Anatomy(**{name: values.double() for name, values in vars(anatomy).items()})
    angles = random_angles(2, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: pose(exact, a).joints, angles, eps=1e-4, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seeds, st.data())
def test_a_person_is_the_same_whatever_the_batch(people, data):
    row = data.draw(st.integers(0, len(people) - 1))
    everyone, one = draw_anatomy(torch.tensor(people)), draw_anatomy(torch.tensor([people[row]]))
    assert all(torch.equal(vars(everyone)[name][row], vars(one)[name][0]) for name in vars(one))
    for together, alone in zip(
        draw_habits(torch.tensor(people)), draw_habits(torch.tensor([people[row]])), strict=True
    ):
        assert torch.equal(together[row], alone[0])


def test_people_differ_within_reason():
    crowd = draw_anatomy(torch.arange(2000))
    assert all((values > 0).all() for values in (crowd.length, crowd.radius, crowd.thickness, crowd.forearm))
    spread = crowd.length.std(0) / crowd.length.mean(0)
    assert (spread > 0.03).all() and (spread < 0.12).all()
    beside = crowd.radius[:, 1:4, 1] + crowd.radius[:, 2:5, 1]
    assert (beside <= 1.1001 * (crowd.base[:, 1:4] - crowd.base[:, 2:5]).norm(dim=-1)).all()
    average = draw_anatomy(torch.arange(3), spread=0)
    assert torch.equal(average.length[0], average.length[1])
    assert not draw_habits(torch.arange(3), spread=0)[0].any()


def test_a_posed_row_does_not_depend_on_the_others():
    anatomy, angles = draw_anatomy(torch.arange(50)), random_angles(50, 1)
    everyone = pose(anatomy, angles)
    for row in (0, 17, 49):
        alone = pose(anatomy[row : row + 1], angles[row : row + 1])
        assert torch.allclose(alone.joints[0], everyone.joints[row], atol=1e-6, rtol=0)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="int64"):
        draw_anatomy(torch.tensor([0.5]))
    with pytest.raises(ValueError, match=r"\[1, 21\]"):
        pose(draw_anatomy(torch.tensor([1])), torch.zeros(2, 21))


def test_turns_are_right_handed_and_act_in_order():
    x, y, z = torch.eye(3)
    assert torch.allclose(about(2, torch.tensor(90.0)) @ x, y, atol=1e-6)
    assert torch.allclose(about(0, torch.tensor(90.0)) @ y, z, atol=1e-6)
    assert torch.allclose(about(1, torch.tensor(90.0)) @ z, x, atol=1e-6)
    a, b, c = about(0, torch.tensor([10.0])), about(1, torch.tensor([20.0])), about(2, torch.tensor([30.0]))
    assert torch.allclose(compose(c, a, b), c @ a @ b, atol=1e-6)
    assert torch.allclose(about_xyz(torch.tensor([[10.0, 20.0, 30.0]])), c @ a @ b, atol=1e-6)
