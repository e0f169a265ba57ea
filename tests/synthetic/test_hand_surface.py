import pytest
import torch
from scipy.spatial import cKDTree

from thesislib.synthetic.bones import FINGER, NUM_BONES, SLEEVE, rest_hand
from thesislib.synthetic.hand_surface import COLUMNS, hand_surface
from thesislib.synthetic.skin import MARKS

SPACING = 0.04


@pytest.fixture(scope="module")
def surface():
    return hand_surface(SPACING)


def columns(surface):
    weight, normal, relief, marks = surface.table.split(COLUMNS, dim=1)
    return weight, normal, relief, dict(zip(MARKS, marks.unbind(1), strict=True))


def test_weights_are_shares(surface):
    weight = columns(surface)[0]
    assert weight.min() >= 0
    torch.testing.assert_close(weight.sum(1), torch.ones(len(weight)))


def test_binding_poses_as_the_weighted_sum_of_moved_points_does(surface):
    maps = torch.randn(NUM_BONES, 3, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(0, len(surface.position), 97)
    weight = columns(surface)[0][rows]
    expected = torch.zeros(len(rows), 3)
    for bone in range(NUM_BONES):
        moved = surface.position[rows] @ maps[bone, :, :3].T + maps[bone, :, 3]
        expected += weight[:, bone, None] * moved
    found = (maps.transpose(0, 1).flatten(1) @ surface.binding).T[rows]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_points_lie_evenly_and_leave_no_gap(surface):
    near = surface.position[:, 1] > -0.4
    skin = (near & (columns(surface)[0][:, SLEEVE] == 0)).nonzero()[:, 0]
    tree = cKDTree(surface.position[skin].numpy())
    # the middles between neighbours on the skin have a point near by: no hole is wider than two spacings
    apart, other = tree.query(surface.position[skin].numpy(), k=4)
    assert (apart[:, 3] < 2 * SPACING).all()
    assert len(skin) > 0.8 * 5.0 / SPACING**2  # the skin of a hand and its wrist is more than 5 square units


def test_fingers_are_tubes_of_the_anatomy_s_radius(surface):
    average, rest = rest_hand()
    weight = columns(surface)[0]
    for finger in range(1, 5):
        ours = weight[:, FINGER + 6 * finger + 3] > 0.9  # the middle phalanx
        start, end = rest.joints[0, 1 + 4 * finger + 1], rest.joints[0, 1 + 4 * finger + 2]
        axis = (end - start) / (end - start).norm()
        off = surface.position[ours] - start
        radius = (off - (off @ axis)[:, None] * axis).norm(dim=1)
        low, high = average.radius[0, finger, 2], average.radius[0, finger, 1]
        assert ours.sum() > 8
        assert radius.min() > low - 0.006 and radius.max() < high + 0.006


def test_normals_point_away_from_the_bones(surface):
    weight, normal, _, _ = columns(surface)
    ours = weight[:, FINGER + 6 + 3] > 0.9
    joint = rest_hand()[1].joints[0, 6:8].mean(0)
    outwards = ((surface.position - joint) * normal).sum(1)
    assert (outwards[ours] > 0).all()
    torch.testing.assert_close(normal.norm(dim=1), torch.ones(len(normal)))


def test_palm_and_nails_are_where_they_belong(surface):
    weight, normal, _, marks = columns(surface)
    middle = (surface.position[:, :2] - torch.tensor([0.0, 0.55])).norm(dim=1) < 0.2
    skin = weight[:, SLEEVE] == 0
    assert marks["palm"][middle & skin & (normal[:, 2] > 0.8)].min() > 0.9
    assert marks["palm"][middle & skin & (normal[:, 2] < -0.8)].max() < 0.1
    nails = marks["nail"] > 0.5
    tips = rest_hand()[1].joints[0, [4, 8, 12, 16, 20]]
    nearest = torch.cdist(surface.position[nails], tips).min(dim=1)
    assert nearest.values.max() < 0.27 and set(nearest.indices.tolist()) == set(range(5))
    fingers = nearest.indices > 0
    assert (normal[nails][fingers, 2] < 0).all()  # on the back
    assert marks["cloth"][skin].max() == 0 and marks["cloth"][~skin].min() == 1
