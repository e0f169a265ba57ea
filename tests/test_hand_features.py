"""Vectors of hands: what they ignore, what they tell, and that a network stays as it was."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thesislib import hand_features, heatmaps
from thesislib.hand_features import (
    adapted,
    angle_vector,
    as_right_hands,
    centred,
    heatmap_features,
    hog,
    keypoint_vector,
    mean_over_views,
    pixels,
    pooled,
    predicted_keypoints,
    spatial,
    views,
)
from thesislib.networks.pose import PoseNetwork
from thesislib.synthetic.hand import BONES, JOINTS
from thesislib.transforms.hands import to_input

BONES_END, BENDS_END, BETWEEN_END = 40, 70, 80  # where the parts of an angle vector end, of 110


def pictures(count: int, size: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth random pictures: blocks of colour, so that small moves change them a little."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (count, 3, size // 8, size // 8), dtype=np.uint8)
    return blocks.repeat(8, axis=2).repeat(8, axis=3)


def hands(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(5, 60, (count, 21, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small pose network whose norms have seen other pictures: untrained ones would let nothing through."""
    torch.manual_seed(0)
    network = PoseNetwork(width=0.25, depth=1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.momentum = 1.0
    with torch.no_grad():
        network(to_input(torch.from_numpy(pictures(16, seed=99))))
    return network.eval()


# Pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64, 96])
def test_pixels_see_no_brightness_and_no_contrast(size):
    image = pictures(4, size) // 4 + 40
    found = pixels(image)
    assert found.shape == (4, 256) and found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(pixels(image * 2 + 7), found, atol=1e-5)


def test_pixels_are_where_they_were_and_a_blank_picture_is_zero():
    image = np.zeros((2, 3, 64, 64), np.uint8)
    image[0, :, 8:12, 20:24] = 255  # the pixel of row 2, column 5, of 16
    found = pixels(image)
    assert found[0].argmax() == 2 * 16 + 5
    assert not found[1].any()


def test_green_is_brighter_than_blue():
    image = np.zeros((1, 3, 64, 64), np.uint8)
    image[0, 1, :, :32], image[0, 2, :, 32:] = 200, 200
    across = pixels(image).reshape(16, 16)
    assert across[:, :8].min() > 0 > across[:, 8:].max()


def test_hog_tells_upright_from_level_edges():
    bars = np.zeros((2, 3, 64, 64), np.uint8)
    bars[0, :, :, 24:40] = 255  # edges run upright: the gradient points sideways
    bars[1] = bars[0].swapaxes(1, 2)
    found = hog(bars)
    assert found.shape == (2, 7 * 7 * 2 * 2 * 9) and found.dtype == np.float32
    directions = found.reshape(2, -1, 9).sum(axis=1)
    assert directions[0].argmax() != directions[1].argmax()
    assert abs(directions[0].argmax() - directions[1].argmax()) in (
        4,
        5,
    )  # ninety degrees of nine times twenty


def test_hog_of_a_larger_picture_is_that_of_the_picture_made_smaller():
    small = pictures(2)
    large = small.repeat(2, axis=2).repeat(2, axis=3)
    assert hog(large).shape == hog(small).shape
    for a, b in zip(hog(large), hog(small), strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.9


def test_only_left_hands_are_mirrored():
    image = pictures(3)
    found = as_right_hands(image, np.array([False, True, False]))
    assert (found[[0, 2]] == image[[0, 2]]).all()
    assert (found[1] == image[1, :, :, ::-1]).all() and found.dtype == np.uint8


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros((2, 3, 64, 64), np.float32),
        np.zeros((2, 3, 64, 48), np.uint8),
        np.zeros((0, 3, 64, 64), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image, network):
    for feature in (pixels, hog, lambda x: pooled(network, x), lambda x: adapted(network, x)):
        with pytest.raises(ValueError, match="uint8 \\[N, 3, S, S\\]"):
            feature(image)


# A network's features -----------------------------------------------------------------------------------


def test_pooled_is_the_mean_of_spatial(network):
    image = pictures(5)
    where = spatial(network, image)
    assert where.shape == (5, 128 * 4 * 4) and pooled(network, image).shape == (5, 128)
    np.testing.assert_allclose(pooled(network, image), where.reshape(5, 128, 16).mean(axis=2), atol=1e-6)
    with torch.no_grad():
        wanted = network.features(to_input(torch.from_numpy(image))).flatten(1)
    np.testing.assert_allclose(where, wanted.numpy(), atol=1e-4)


def test_features_do_not_depend_on_batch_mates(network, monkeypatch):
    image = pictures(7)
    whole = pooled(network, image)
    monkeypatch.setattr(hand_features, "BATCH", 3)
    np.testing.assert_allclose(pooled(network.train(), image), whole, atol=1e-5)  # put in evaluation mode


class Peaks(nn.Module):
    """A network that answers with peaks at given places, whatever it is shown."""

    def __init__(self, keypoints: np.ndarray) -> None:
        super().__init__()
        self.still = nn.Parameter(torch.zeros(1))
        self.heat = heatmaps.gaussian_heatmaps(torch.from_numpy(keypoints), 64, 64, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.logit(self.heat.clamp(1e-4, 1 - 1e-4))


def test_keypoints_are_read_where_the_maps_have_their_peaks():
    truth = np.random.default_rng(0).uniform(12, 52, (4, 21, 2)).astype(np.float32)
    found = predicted_keypoints(Peaks(truth), pictures(4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truth, atol=0.15)


def test_heatmap_features_show_each_joint_in_its_cell():
    truth = np.random.default_rng(1).uniform(10, 54, (3, 21, 2)).astype(np.float32)
    truth = np.floor(truth / 8) * 8 + 4  # the middle of a cell of 8 x 8 pixels
    found = heatmap_features(Peaks(truth), pictures(3)).reshape(3, 21, 64)
    column, row = np.moveaxis((truth // 8).astype(int), -1, 0)
    assert (found.argmax(axis=2) == 8 * row + column).all()
    shares = heatmap_features(Peaks(truth), pictures(3), density=heatmaps.spatial_softmax, side=4)
    np.testing.assert_allclose((shares.reshape(3, 21, 16) ** 2).mean(axis=2) * 64 * 64, 1, rtol=1e-4)


# Adapted statistics -------------------------------------------------------------------------------------


def test_adapted_statistics_are_those_of_the_pictures():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4)).eval()
    image = pictures(9)
    with torch.no_grad():
        y = network[0](to_input(torch.from_numpy(image))).double()
    norm = adapted(network, image)[1]
    torch.testing.assert_close(norm.running_mean.double(), y.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-5)
    spread = y.transpose(0, 1).flatten(1).var(dim=1, unbiased=True)
    torch.testing.assert_close(norm.running_var.double(), spread, atol=1e-4, rtol=1e-4)


def test_adapting_leaves_the_network_as_it_was_and_gives_one_that_only_predicts(network):
    image = pictures(6, seed=3)
    before, answers = deepcopy(network.state_dict()), pooled(network, image)
    copy = adapted(network, image)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not copy.training and not network.training
    assert not np.allclose(pooled(copy, image), answers)
    np.testing.assert_array_equal(pooled(copy, image), pooled(copy, image))
    for (name, own), other in zip(network.named_parameters(), copy.parameters(), strict=True):
        assert torch.equal(own, other), name


def test_half_the_light_makes_no_difference_to_an_adapted_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 5, bias=False), nn.BatchNorm2d(4), nn.ReLU6())
    image = pictures(8, seed=1) // 2 * 2
    x, darker = (to_input(torch.from_numpy(some)) for some in (image, image // 2))
    with torch.no_grad():
        assert (network.eval()(x) - network(darker)).abs().mean() > 0.1
        torch.testing.assert_close(
            adapted(network, image)(x), adapted(network, image // 2)(darker), atol=1e-3, rtol=0
        )


def test_batches_count_alike_when_statistics_are_adapted(network, monkeypatch):
    image = pictures(8, seed=2)
    first = network.encoder.blocks[0][1].running_mean
    whole = adapted(network, image).encoder.blocks[0][1].running_mean
    monkeypatch.setattr(hand_features, "BATCH", 3)  # batches of 3, 3 and 2 pictures
    parts = [adapted(network, part).encoder.blocks[0][1].running_mean for part in np.split(image, [3, 6])]
    found = adapted(network, image).encoder.blocks[0][1].running_mean
    torch.testing.assert_close(found, torch.stack(parts).mean(dim=0))
    assert (found - whole).abs().max() < (first - whole).abs().max()


# Keypoints ----------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    zoom=st.floats(0.2, 9),
    x=st.floats(-300, 300),
    missing=st.sets(st.integers(0, 20)),
)
@pytest.mark.parametrize("vector", [keypoint_vector, angle_vector])
def test_vectors_of_keypoints_do_not_see_place_and_scale(vector, seed, zoom, x, missing):
    points = hands(3, seed)
    points[1, sorted(missing)] = np.nan
    moved = (points * zoom + np.array([x, -x / 2])).astype(np.float32)
    found = vector(points)
    assert np.isfinite(found).all() and found.dtype == np.float32
    np.testing.assert_allclose(vector(moved), found, atol=2e-3)


def test_a_keypoint_vector_is_the_hand_itself():
    points = hands(2)
    vector = keypoint_vector(points).reshape(2, 21, 2)
    assert not vector[:, 0].any()  # the wrist
    for hand, found in zip(points, vector, strict=True):
        size = np.sqrt(((hand - hand.mean(axis=0)) ** 2).sum(axis=1).mean())
        np.testing.assert_allclose(found * size + hand[0], hand, atol=1e-3)


def test_unknown_joints_lie_at_the_wrist_and_count_for_nothing():
    points = hands(1)
    lacking = points.copy()
    lacking[0, 7] = np.nan
    known = np.delete(points[0], 7, axis=0)
    size = np.sqrt(((known - known.mean(axis=0)) ** 2).sum(axis=1).mean())
    found = keypoint_vector(lacking).reshape(21, 2)
    assert not found[7].any()
    np.testing.assert_allclose(np.delete(found, 7, axis=0), (known - points[0, 0]) / size, atol=1e-5)
    assert not keypoint_vector(np.full((1, 21, 2), np.nan, np.float32)).any()
    assert not angle_vector(np.full((1, 21, 2), np.nan, np.float32)).any()


def hand_made(turns: dict[str, float]) -> np.ndarray:
    """A hand with all fingers straight up, one unit a bone, but bent at named joints by so many degrees.

    Degrees turn clockwise to the eye; x to the right and y down, as in a picture.
    """
    points = np.zeros((21, 2))
    for finger in range(5):
        heading = 0.0
        at = np.array([2.0 * finger, -5.0])  # the finger's base
        points[4 * finger + 1] = at
        for joint in range(4 * finger + 1, 4 * finger + 4):
            heading += np.deg2rad(turns.get(JOINTS[joint], 0.0))
            at = at + [np.sin(heading), -np.cos(heading)]
            points[joint + 1] = at
    return points[None].astype(np.float32)


@pytest.mark.parametrize("degrees", [-80.0, -20.0, 0.0, 35.0, 90.0, 140.0])
@pytest.mark.parametrize("joint", ["index PIP", "index DIP", "little PIP", "thumb IP"])
def test_a_bend_of_a_joint_is_read_as_it_was_made(joint, degrees):
    vector = angle_vector(hand_made({joint: degrees}))[0]
    cos, sin = vector[BONES_END:BENDS_END].reshape(2, 15)
    finger, place = divmod(JOINTS.index(joint) - 1, 4)
    bends = np.rad2deg(np.arctan2(sin, cos)).reshape(5, 3)
    assert bends[finger, place] == pytest.approx(degrees, abs=0.1)
    others = np.delete(bends[:, 1:].ravel(), 2 * finger + place - 1)  # of all joints but the fingers' bases
    np.testing.assert_allclose(others, 0, atol=0.1)


def test_bones_point_where_they_point():
    vector = angle_vector(hand_made({"index PIP": 90.0}))[0]
    directions = vector[:BONES_END].reshape(20, 2)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
    names = [JOINTS[child] for _, child in BONES]
    np.testing.assert_allclose(directions[names.index("index PIP")], [0, -1], atol=1e-5)  # up
    np.testing.assert_allclose(directions[names.index("index DIP")], [1, 0], atol=1e-5)  # to the right


def test_distances_between_fingertips_and_from_tips_to_bases():
    points = hand_made({})
    vector = angle_vector(points)[0]
    size = np.sqrt(((points[0] - points[0].mean(axis=0)) ** 2).sum(axis=1).mean())
    between = vector[BENDS_END:BETWEEN_END] * size
    # straight fingers stand 2 apart: thumb to index, middle, ring, little; index to ...
    np.testing.assert_allclose(between, [2, 4, 6, 8, 2, 4, 6, 2, 4, 2], rtol=1e-5)
    reach = vector[BETWEEN_END:].reshape(5, 6) * size
    np.testing.assert_allclose(reach[:, 0], [np.hypot(2 * finger, 8) for finger in range(5)], rtol=1e-5)
    np.testing.assert_allclose(np.diag(reach[:, 1:]), 3, rtol=1e-5)  # a straight finger's length
    assert len(vector) == BETWEEN_END + reach.size == 110


def test_keypoints_of_another_shape_are_refused():
    for vector in (keypoint_vector, angle_vector):
        with pytest.raises(ValueError, match="\\[N, 21, 2\\]"):
            vector(np.zeros((3, 42), np.float32))


# Features -----------------------------------------------------------------------------------------------


def test_centred_takes_out_what_a_signers_pictures_share():
    random = np.random.default_rng(0)
    signer = np.array([7, 3, 7, 3, 3, 7, 11])
    own = random.normal(size=(12, 5)).astype(np.float32)
    x = random.normal(size=(7, 5)).astype(np.float32)
    found = centred(x, signer)
    for name in (3, 7, 11):
        rows = signer == name
        np.testing.assert_allclose(found[rows], x[rows] - x[rows].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(centred(x + own[signer], signer), found, atol=1e-5)


def test_views_are_the_picture_and_small_moves_of_it():
    image = pictures(3)
    seen = list(views(image))
    assert len(seen) == len(hand_features.VIEWS)
    assert (seen[0] == image).all()
    assert all(view.shape == image.shape and view.dtype == np.uint8 for view in seen)
    assert all((view != image).mean() > 0.05 for view in seen[1:])


def test_a_view_moves_by_what_it_says(monkeypatch):
    monkeypatch.setattr(
        hand_features, "VIEWS", ((0, 1, 0, 0), (0, 1, 0.125, -0.25), (90, 1, 0, 0), (0, 2, 0, 0))
    )
    image = np.zeros((1, 3, 64, 64), np.uint8)
    image[0, :, 30:34, 40:44] = 255  # its middle is 10 to the right of the picture's
    plain, shifted, turned, zoomed = (view[0, 0] for view in views(image))

    def middle(view: np.ndarray) -> np.ndarray:
        row, column = np.nonzero(view > 127)
        return np.array([column.mean() + 0.5, row.mean() + 0.5])

    np.testing.assert_allclose(middle(plain), [42, 32])
    np.testing.assert_allclose(middle(shifted), [50, 16], atol=0.1)
    np.testing.assert_allclose(middle(turned), [32, 42], atol=0.1)  # clockwise: from the right to below
    np.testing.assert_allclose(middle(zoomed), [52, 32], atol=0.1)


def test_mean_over_views_is_the_mean():
    image = pictures(2)
    wanted = np.mean([pixels(view) for view in views(image)], axis=0)
    np.testing.assert_allclose(mean_over_views(pixels, image), wanted, atol=1e-6)
