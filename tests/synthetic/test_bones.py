import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.synthetic.bones import FINGER, NUM_BONES, bone_maps, rest_hand
from thesislib.synthetic.hand import LIMITS, draw_anatomy, pose

STRAIGHT = torch.eye(3)[None]
NO_SLEEVE = torch.tensor([[0.0, 1.0]])


def carry(maps, points):
    """Move points [N, 3] by affine maps [N, 3, 4]."""
    return (maps[:, :, :3] @ points[..., None])[..., 0] + maps[:, :, 3]


def test_the_average_hand_at_rest_stays_where_it_is():
    average, rest = rest_hand()
    maps = bone_maps(average, rest, STRAIGHT, NO_SLEEVE)[0]
    still = torch.eye(3, 4).expand(NUM_BONES, 3, 4)
    torch.testing.assert_close(maps, still, atol=2e-6, rtol=0)


@settings(max_examples=25, deadline=None)
@given(signer=st.integers(0, 10**6), draw=st.integers(0, 10**6))
def test_every_phalanx_carries_both_of_its_joints_to_their_place(signer, draw):
    generator = torch.Generator().manual_seed(draw)
    angles = LIMITS[0] + torch.rand(1, 21, generator=generator) * (LIMITS[1] - LIMITS[0])
    anatomy = draw_anatomy(torch.tensor([signer]))
    posed = pose(anatomy, angles)
    maps = bone_maps(anatomy, posed, STRAIGHT, NO_SLEEVE)[0]
    rest = rest_hand()[1].joints[0, 1:].unflatten(0, (5, 4))
    moved = posed.joints[0, 1:].unflatten(0, (5, 4))
    for finger in range(5):
        for phalanx in range(3):
            half_joint = FINGER + 6 * finger + 2 * phalanx
            for bone, joint in (
                (half_joint, phalanx),
                (half_joint + 1, phalanx),
                (half_joint + 1, phalanx + 1),
            ):
                there = carry(maps[bone][None], rest[finger, joint][None])[0]
                torch.testing.assert_close(there, moved[finger, joint], atol=3e-6, rtol=0)


def test_a_half_joint_turns_half_as_far_as_its_phalanx():
    average, rest = rest_hand()
    bent = pose(average, torch.zeros(1, 21).index_fill(1, torch.tensor([7]), 80.0))  # the index's PIP
    straight = pose(average, torch.zeros(1, 21))
    turns = []
    for posed in (straight, bent):
        maps = bone_maps(average, posed, STRAIGHT, NO_SLEEVE)[0, :, :, :3]
        turns.append(maps[[FINGER + 6 + 2, FINGER + 6 + 3]])
    cosine = ((turns[0].mT @ turns[1]).diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    torch.testing.assert_close(torch.rad2deg(cosine.acos()), torch.tensor([40.0, 80.0]), atol=0.5, rtol=0)


def test_the_sleeve_slides_along_the_forearm():
    average, rest = rest_hand()
    maps = bone_maps(average, rest, STRAIGHT, torch.tensor([[0.4, 1.2]]))[0, -1]
    moved = carry(maps[None], torch.tensor([[0.3, -0.5, 0.0]]))[0]
    torch.testing.assert_close(moved, torch.tensor([0.36, -0.9, 0.0]))
