"""Flat hands on white paper: labels that lie on the hand, a crop that goes by the joints, the same in any batch."""

import pytest
import torch

from thesislib.synthetic.flat_hands import BORDER, photographed
from thesislib.synthetic.hand import draw_anatomy

PEOPLE = range(5)
SIZE = 64


@pytest.fixture(scope="module")
def drawn():
    return photographed("flat", 3, torch.arange(24), subjects=PEOPLE, size=SIZE)


def test_a_hand_depends_on_its_index_alone(drawn):
    chosen = torch.tensor([17, 2, 2, 9, 23])
    again = photographed("flat", 3, chosen, subjects=PEOPLE, size=SIZE)
    for name, values in again.items():
        assert torch.equal(values, drawn[name][chosen]), name
    other = photographed("flat", 4, chosen, subjects=PEOPLE, size=SIZE)
    assert not torch.equal(other["keypoints"], again["keypoints"])


def test_the_square_goes_around_the_joints_with_a_border_on_the_longer_side(drawn):
    points = drawn["keypoints"]
    low, high = points.amin(1), points.amax(1)
    middle, longer = (low + high) / 2, (high - low).amax(1)
    # the camera is crop and projection in one: the middle of the box is the middle of the picture
    assert torch.allclose(middle, torch.full_like(middle, SIZE / 2), atol=0.05)
    assert torch.allclose(longer, torch.full_like(longer, SIZE / (1 + 2 * BORDER)), atol=0.05)


def test_keypoints_lie_on_the_silhouette_and_the_paper_around_it_is_light(drawn):
    column, row = drawn["keypoints"].long().clamp(0, SIZE - 1).unbind(-1)
    hand = torch.arange(24)[:, None].expand_as(row)
    near = torch.nn.functional.max_pool2d(drawn["silhouette"].float()[:, None], 3, 1, 1)[:, 0]
    assert near[hand, row, column].mean() > 0.97  # a tip is on the outline
    grey = drawn["image"].float().mean(1)
    outside = ~(torch.nn.functional.max_pool2d(near[:, None], 3, 1, 1)[:, 0] > 0)
    paper = torch.stack([values[mask].median() for values, mask in zip(grey, outside, strict=True)])
    flesh = torch.stack(
        [values[mask].median() for values, mask in zip(grey, drawn["silhouette"], strict=True)]
    )
    assert paper.min() > 140 and (paper > flesh).float().mean() > 0.9


def test_frames_are_rotations_whose_bones_join_the_joints(drawn):
    frames, joints = drawn["frames"], drawn["joints"][:, 1:].unflatten(1, (5, 4))
    unit = torch.eye(3).expand_as(frames)
    assert torch.allclose(frames.mT @ frames, unit, atol=1e-5)
    assert torch.allclose(torch.linalg.det(frames), torch.ones(frames.shape[:3]), atol=1e-5)
    bone = joints[:, :, 1:] - joints[:, :, :-1]
    along = torch.nn.functional.normalize(bone, dim=-1)
    assert torch.allclose(frames[..., 1], along, atol=1e-4)


def test_hands_are_as_long_as_their_people_and_right_and_from_both_sides(drawn):
    length = draw_anatomy(drawn["signer"]).length
    bone = drawn["joints"][:, 1:].unflatten(1, (5, 4)).diff(dim=2).norm(dim=-1)
    assert torch.allclose(bone, length, atol=1e-4)
    assert set(drawn["signer"].tolist()) <= set(PEOPLE) and not drawn["left"].any()
    # a right hand shows its thumb to the viewer's left when it shows its palm
    normal = drawn["orientation"][:, 2, 2]  # of the palm, towards the viewer
    across = drawn["keypoints"][:, 5, 0] - drawn["keypoints"][:, 17, 0]  # index against little finger
    upright = drawn["orientation"][:, 1, 1]
    assert ((normal > 0) == (across * upright > 0)).all() and 0 < (normal > 0).float().mean() < 1


def test_keypoints_are_the_joints_seen_from_above(drawn):
    """A similarity takes joints to keypoints up to perspective: a hand as flat as these leaves little of it."""
    joints, points = drawn["joints"][..., :2] * torch.tensor([1.0, -1.0]), drawn["keypoints"]
    joints, points = joints - joints.mean(1, keepdim=True), points - points.mean(1, keepdim=True)
    scale = (joints * points).sum((1, 2)) / joints.square().sum((1, 2))
    error = (points - scale[:, None, None] * joints).norm(dim=-1)
    assert error.mean() < 0.02 * SIZE and error.max() > 1e-3 * SIZE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "letters"}, "no photographs of kind"),
        ({"seed": -1}, "seed"),
        ({"index": torch.zeros(2)}, "int64"),
        ({"index": torch.zeros(0, dtype=torch.int64)}, "at least one"),
        ({"subjects": range(0)}, "at least one subject"),
        ({"size": 20}, "multiple of 8"),
        ({"supersample": 7}, "supersample"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(change, message):
    asked = {"kind": "flat", "seed": 0, "index": torch.arange(2), "subjects": PEOPLE} | change
    with pytest.raises(ValueError, match=message):
        photographed(**asked)
