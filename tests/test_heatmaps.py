import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from thesislib.heatmaps import (
    _smooth,
    argmax,
    dark,
    decode_bins,
    decode_coordinates,
    decode_stages,
    gaussian_heatmaps,
    soft_argmax,
    spatial_softmax,
)

positions = st.floats(0, 64, width=32)


def points_inside(count: int, margin: float, seed: int = 0) -> torch.Tensor:
    """Keypoints [1, count, 2] in pixels of a 256-pixel input, anywhere but near its border."""
    torch.manual_seed(seed)
    return margin + (256 - 2 * margin) * torch.rand(1, count, 2)


def test_equation_3_8_pixel_by_pixel():
    heat = gaussian_heatmaps(torch.tensor([[[10.0, 30.0], [64.0, 1.0]]]), 64, 16, radius=1.5)
    assert heat.shape == (1, 2, 16, 16)
    for joint, (x, y) in enumerate([(2.5, 7.5), (16.0, 0.25)]):  # in heatmap pixels
        for row in range(16):
            for column in range(16):
                d2 = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2
                assert heat[0, joint, row, column] == pytest.approx(math.exp(-d2 / (2 * 1.5**2)), abs=1e-6)
    assert heat[0, 0, 7, 2] == 1  # on a pixel's centre


def test_a_peak_covers_the_area_that_the_loss_divides_by():
    heat = gaussian_heatmaps(torch.tensor([[[128.0, 131.0]]]), 256, 64, radius=2.0)
    assert heat.square().sum() == pytest.approx(math.pi * 2**2, rel=1e-4)


@given(x=positions, y=positions, radius=st.floats(0.5, 4))
def test_heatmaps_of_a_mirrored_point_are_mirrored(x, y, radius):
    point = torch.tensor([[[x, y]]])
    there = torch.tensor([[[64 - x, y]]])
    torch.testing.assert_close(
        gaussian_heatmaps(there, 64, 32, radius), gaussian_heatmaps(point, 64, 32, radius).flip(-1),
        atol=1e-4, rtol=0,
    )  # fmt: skip


@given(column=st.integers(0, 15), row=st.integers(0, 15))
def test_every_decoder_finds_a_pixels_centre(column, row):
    point = torch.tensor([[[4 * column + 2.0, 4 * row + 2.0]]])  # 16 x 16 maps of a 64-pixel input
    heat = gaussian_heatmaps(point, 64, 16, radius=1.0)
    torch.testing.assert_close(argmax(heat, 64), point)
    torch.testing.assert_close(dark(heat, 64, smoothing=0), point, atol=1e-3, rtol=0)
    if 5 <= column < 11 and 5 <= row < 11:  # elsewhere the border cuts the mass
        torch.testing.assert_close(soft_argmax(heat, 64), point, atol=1e-3, rtol=0)


def test_argmax_costs_what_the_middle_of_a_pixel_costs():
    # The mean distance of a random point of a unit square from its centre, in closed form.
    mean_distance = (math.sqrt(2) + math.log(1 + math.sqrt(2))) / 6
    points = points_inside(10_000, margin=8)
    error = (argmax(gaussian_heatmaps(points, 256, 64, 2.0), 256) - points).norm(dim=-1)
    assert error.mean() == pytest.approx(4 * mean_distance, rel=0.01) == pytest.approx(1.53, abs=0.02)
    assert error.max() <= 4 * math.sqrt(2) / 2 + 1e-3


def test_a_missed_half_pixel_would_cost_2_1_pixels():
    # Counting pixels by index, the same decoder reads x_256 = (x_64 + 0.5) * 4 - 0.5.
    points = points_inside(1000, margin=8)
    index_64 = argmax(gaussian_heatmaps(points, 256, 64, 2.0), 64) - 0.5
    right, naive = (index_64 + 0.5) * 4 - 0.5, index_64 * 4
    torch.testing.assert_close(right + 0.5, argmax(gaussian_heatmaps(points, 256, 64, 2.0), 256))
    assert (naive - right).norm(dim=-1).mean() == pytest.approx(2.12, abs=0.01)


@pytest.mark.parametrize("decode, bound_px", [(dark, 0.01), (soft_argmax, 0.2)])
def test_sub_pixel_decoders_undo_the_rounding(decode, bound_px):
    points = points_inside(2000, margin=36)
    heat = gaussian_heatmaps(points, 256, 64, 2.0)
    error = (decode(heat, 256) - points).norm(dim=-1)
    assert error.max() < bound_px
    assert error.mean() < (argmax(heat, 256) - points).norm(dim=-1).mean() / 5


def test_dark_up_to_the_border():
    torch.manual_seed(0)
    points = 256 * torch.rand(1, 2000, 2)
    heat = gaussian_heatmaps(points, 256, 64, 2.0)
    assert (dark(heat, 256, smoothing=0) - points).norm(dim=-1).max() < 0.01  # exact
    shift = dark(heat, 256) - points
    inwards = (points < 128).float() * 2 - 1
    assert (shift * inwards).min() > -0.5 and (shift * inwards).max() < 2 * 4  # smoothed: inwards, if at all
    assert shift[((points - 128).abs() < 128 - 4 * 8).all(-1)].abs().max() < 0.01


def test_smoothing_finds_the_middle_of_a_rough_peak():
    torch.manual_seed(0)
    points = points_inside(300, margin=40)
    rough = gaussian_heatmaps(points, 256, 64, 2.0) * (1 + 0.3 * torch.rand(1, 300, 64, 64))
    smooth, plain = ((dark(rough, 256, s) - points).norm(dim=-1).mean() for s in (1 / 32, 0))
    assert smooth < 0.4 * plain


@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_smoothing_is_scipys(sigma):
    torch.manual_seed(0)
    maps = torch.rand(2, 3, 12, 12)
    expected = gaussian_filter(maps.numpy(), sigma, axes=(2, 3), mode="constant", radius=round(3 * sigma))
    torch.testing.assert_close(_smooth(maps, sigma), torch.from_numpy(expected))


def test_dark_follows_a_tilted_peak():
    # A Gaussian with correlation: the mixed derivative matters.
    centre = torch.arange(32) + 0.5
    dx, dy = centre - 14.8, (centre - 17.3)[:, None]
    heat = torch.exp(-(dx**2 + dy**2 - 1.2 * dx * dy) / 6)[None, None]
    for smoothing in (0, 1 / 32):
        point = dark(heat, 32, smoothing)
        torch.testing.assert_close(point, torch.tensor([[[14.8, 17.3]]]), atol=5e-3, rtol=0)


@given(seed=st.integers(0, 200), scale=st.floats(0.01, 30))
def test_dark_never_leaves_the_neighbourhood_of_the_highest_pixel(seed, scale):
    torch.manual_seed(seed)
    heat = spatial_softmax(scale * torch.randn(1, 3, 8, 8))
    assert (dark(heat, 8, smoothing=0) - argmax(heat, 8)).abs().max() <= 1 + 1e-4
    smoothed = _smooth(heat, 2.0)
    assert (dark(heat, 8, smoothing=0.25) - argmax(smoothed, 8)).abs().max() <= 1 + 1e-4
    flat = torch.full((1, 1, 8, 8), 0.5)
    assert torch.equal(dark(flat, 8, smoothing=0), argmax(flat, 8))


def test_soft_argmax_is_the_centre_of_mass_of_the_window():
    torch.manual_seed(0)
    heat = torch.rand(2, 3, 12, 12)
    for image in range(2):
        for joint in range(3):
            peak = int(heat[image, joint].argmax())
            mass = x_sum = y_sum = 0.0
            for row in range(12):
                for column in range(12):
                    if abs(row - peak // 12) <= 2 and abs(column - peak % 12) <= 2:
                        value = float(heat[image, joint, row, column])
                        mass += value
                        x_sum += value * (column + 0.5)
                        y_sum += value * (row + 0.5)
            expected = torch.tensor([x_sum / mass, y_sum / mass]) * 2
            torch.testing.assert_close(soft_argmax(heat, 24, window=5)[image, joint], expected)


def test_a_second_peak_does_not_draw_the_point():
    one = gaussian_heatmaps(torch.tensor([[[20.0, 20.0]]]), 64, 64, 2.0)
    two = one + 0.8 * gaussian_heatmaps(torch.tensor([[[50.0, 50.0]]]), 64, 64, 2.0)
    torch.testing.assert_close(soft_argmax(two, 64), soft_argmax(one, 64), atol=1e-3, rtol=0)


def test_softmax_is_a_distribution_and_keeps_dark_exact():
    points = points_inside(50, margin=20)
    logits = gaussian_heatmaps(points, 256, 64, 2.0).log().clamp(min=-50) + 7  # a constant changes nothing
    probability = spatial_softmax(logits)
    torch.testing.assert_close(probability.sum(dim=(-2, -1)), torch.ones(1, 50))
    torch.testing.assert_close(dark(probability, 256), points, atol=0.02, rtol=0)


def test_decoders_of_the_other_outputs():
    coordinates = torch.tensor([[[0.25, 1.0]]])
    assert torch.equal(decode_coordinates(coordinates, 64), torch.tensor([[[16.0, 64.0]]]))
    logits = torch.zeros(1, 1, 2, 128)
    logits[0, 0, 0, 5], logits[0, 0, 1, 127] = 3, 3  # half-pixel bins of a 64-pixel input
    assert torch.equal(decode_bins(logits, 64), torch.tensor([[[2.75, 63.75]]]))


def test_only_the_last_stage_and_no_background():
    torch.manual_seed(0)
    points = 20 + 88 * torch.rand(2, 21, 2)
    stages = torch.rand(2, 3, 22, 16, 16)
    stages[:, -1, :21] = gaussian_heatmaps(points, 128, 16, 1.0)
    error = (decode_stages(stages, 128) - points).norm(dim=-1)
    assert error.mean() < 0.1  # on maps as they are trained DARK is exact; the highest pixel is off by 3.1
    assert (argmax(stages[:, -1, :21], 128) - points).norm(dim=-1).mean() > 2.5


@pytest.mark.parametrize("shape", [(1, 21, 16, 8), (21, 16, 16)])
def test_maps_that_are_not_square_are_refused(shape):
    with pytest.raises(ValueError, match="square"):
        argmax(torch.zeros(shape), 64)
