"""A label survives every transform: a dot drawn at a keypoint is found again at the moved keypoint."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from thesislib.synthetic import poses
from thesislib.synthetic.draws import fold
from thesislib.synthetic.hand import draw_anatomy, pose
from thesislib.synthetic.picture import draw_camera
from thesislib.transforms.hands import (
    MEAN,
    STD,
    ReportAugmentation,
    StrongAugmentation,
    ThesisAugmentation,
    about_centre,
    blurred,
    recoloured,
    to_input,
    warped,
)

SIZE = 64
SEEDS = st.integers(0, 2**31)
ALL = [ThesisAugmentation(), ReportAugmentation(probability=1.0), StrongAugmentation()]
QUIET = [  # what moves, blurs and recolours, without what hides a dot
    ThesisAugmentation(noise=0, cutout=0),
    ReportAugmentation(probability=1.0, spots=0, crop=(1.6, 1.7)),
    StrongAugmentation(noise=0, cutout=0),
]


def dots(count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures with one soft dot each, at keypoint 0; the other keypoints lie around it."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.ones(count, 21, 3)
    targets[..., :2] = size * (0.25 + 0.5 * torch.rand(count, 21, 2, generator=generator))
    at = torch.arange(size) + 0.5
    dx, dy = at - targets[:, 0, 0, None], at - targets[:, 0, 1, None]
    sigma = 1.5 * size / SIZE
    dot = torch.exp(-(dy[:, :, None] ** 2 + dx[:, None] ** 2) / (2 * sigma**2))
    return (20 + 220 * dot).round().byte()[:, None].repeat(1, 3, 1, 1), targets


def centroid(x: torch.Tensor) -> torch.Tensor:
    """The centre of what is brighter than the background, [B, 2] in pixels."""
    grey = x.mean(dim=1)
    weight = (grey - grey.flatten(1).median(dim=1).values[:, None, None] - 0.05).clamp_min(0)
    at = torch.arange(x.shape[-1]) + 0.5
    total = weight.sum(dim=(1, 2))
    return torch.stack([(weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1)], dim=1) / total[:, None]


@pytest.mark.parametrize("augmentation", QUIET, ids=lambda a: type(a).__name__)
@settings(max_examples=15)
@given(seed=SEEDS, size=st.sampled_from([64, 96]))
def test_a_dot_at_a_keypoint_is_found_at_the_moved_keypoint(augmentation, seed, size):
    images, targets = dots(16, size, seed)
    torch.manual_seed(seed)
    x, moved = augmentation(images, targets)
    well_inside = ((moved[:, 0, :2] > 8) & (moved[:, 0, :2] < size - 8)).all(dim=1)
    assert well_inside.any() and (moved[well_inside, 0, 2] == 1).all()
    far = (centroid(x) - moved[:, 0, :2]).norm(dim=1)[well_inside]
    assert far.max() < 0.5 * size / SIZE


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_a_picture_is_augmented_alike_whatever_its_batch_mates_show(augmentation, seed):
    torch.manual_seed(seed)
    images = torch.randint(0, 256, (2, 4, 3, SIZE, SIZE), dtype=torch.uint8)
    targets = torch.rand(2, 4, 21, 3) * SIZE
    targets[..., 2] = 1
    images[1, 2], targets[1, 2] = images[0, 2], targets[0, 2]  # the one that both batches share
    results = []
    for batch in (0, 1):
        torch.manual_seed(seed)
        results.append(augmentation(images[batch], targets[batch]))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first[2], second[2])


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
def test_pictures_of_one_batch_get_different_draws_and_fit_a_network(augmentation):
    images = torch.randint(0, 256, (1, 3, SIZE, SIZE), dtype=torch.uint8).repeat(8, 1, 1, 1)
    before, targets = images.clone(), torch.full((8, 21, 3), 20.0)
    targets[..., 0] += torch.arange(21)
    targets[..., 2] = 1
    kept = targets.clone()
    x, moved = augmentation(images, targets)
    assert x.shape == images.shape and x.dtype == torch.float32 and x.isfinite().all()
    assert moved.shape == targets.shape and moved.dtype == targets.dtype
    assert (images == before).all() and (targets == kept).all()  # a data set is not changed under its owner
    assert len({float(picture.sum()) for picture in x}) == 8


def test_a_keypoint_that_leaves_loses_its_weight_and_one_without_label_never_gains_any():
    targets = torch.tensor([[10.0, 20.0, 1.0], [60.0, 20.0, 1.0], [0.0, 0.0, 0.0]]).repeat(1, 7, 1)
    shift = torch.eye(3)[None]
    shift[0, 0, 2] = 5.0
    _, moved = warped(torch.zeros(1, 3, SIZE, SIZE), targets, shift)
    assert moved[0, :3].tolist() == [[15, 20, 1], [65, 20, 0], [5, 0, 0]]


def test_warping_by_whole_pixels_moves_whole_pixels():
    x = torch.rand(2, 3, 8, 8)
    matrix = torch.eye(3).repeat(2, 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = 2.0, -1.0
    moved, _ = warped(x, torch.zeros(2, 21, 3), matrix)
    torch.testing.assert_close(moved[:, :, :-1, 2:], x[:, :, 1:, :-2])
    torch.testing.assert_close(moved[:, :, 0, 0], x[:, :, 1, 0])  # the edge is repeated


@given(seed=SEEDS)
@settings(max_examples=10)
def test_mirroring_twice_is_the_identity(seed):
    torch.manual_seed(seed)
    x, targets = torch.rand(3, 3, SIZE, SIZE), torch.rand(3, 21, 3) * SIZE
    targets[..., 2] = 1
    mirror = about_centre(torch.diag_embed(torch.tensor([[-1.0, 1.0]] * 3)), SIZE)
    once, moved = warped(x, targets, mirror)
    torch.testing.assert_close(once, x.flip(3))
    torch.testing.assert_close(moved[..., 0], SIZE - targets[..., 0])
    twice, back = warped(once, moved, mirror)
    torch.testing.assert_close(twice, x)
    torch.testing.assert_close(back, targets)


def test_the_blur_is_pillows_gaussian():
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)), float)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    found = blurred(x, torch.tensor([2.0]))[0].permute(1, 2, 0).numpy()
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(found[inner] - expected[inner]).mean() < 2  # Pillow's own is an approximation by boxes
    torch.testing.assert_close(blurred(x, torch.tensor([0.0])), x)


def test_each_picture_of_a_batch_has_its_own_blur():
    x = torch.rand(2, 3, SIZE, SIZE)
    both = blurred(x, torch.tensor([0.0, 1.5]))
    torch.testing.assert_close(both[:1], x[:1])
    torch.testing.assert_close(both[1:], blurred(x[1:], torch.tensor([1.5])))
    torch.testing.assert_close(
        blurred(torch.ones(1, 3, 16, 16), torch.tensor([3.0])), torch.ones(1, 3, 16, 16)
    )


def test_colours_change_one_at_a_time_as_their_names_say():
    x = 0.3 + 0.3 * torch.rand(1, 3, SIZE, SIZE)
    one, none = torch.ones(1), torch.zeros(1)
    luma = torch.tensor([0.299, 0.587, 0.114])

    def brightness_of(picture: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bchw,c->bhw", picture, luma)

    torch.testing.assert_close(recoloured(x, one, one, one, none), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(recoloured(x, one * 1.5, one, one, none), x * 1.5, atol=1e-5, rtol=0)
    flat = recoloured(x, one, none, one, none)  # no contrast: the mean grey everywhere
    torch.testing.assert_close(flat, brightness_of(x).mean().expand_as(flat), atol=1e-4, rtol=0)
    grey = recoloured(x, one, one, none, none)  # no saturation: the brightness of each pixel
    torch.testing.assert_close(grey, brightness_of(x)[:, None].expand_as(grey), atol=1e-3, rtol=0)
    turned = recoloured(x, one, one, one, one * 0.25)
    torch.testing.assert_close(brightness_of(turned), brightness_of(x), atol=1e-3, rtol=0)
    assert (turned - x).abs().max() > 0.05


def test_a_quarter_turn_of_hue_four_times_is_no_turn():
    x, one = 0.45 + 0.1 * torch.rand(1, 3, SIZE, SIZE), torch.ones(1)
    turned = x
    for _ in range(4):
        turned = recoloured(turned, one, one, one, one * 0.25)
    torch.testing.assert_close(turned, x, atol=1e-4, rtol=0)


def test_the_thesis_erases_an_eighth_of_the_side_and_adds_little_noise():
    grey = torch.full((4, 3, 128, 128), 128, dtype=torch.uint8)
    x, _ = ThesisAugmentation(jitter=0, hue=0, noise=0.01)(grey, torch.ones(4, 21, 3))
    erased = (x == 0).all(dim=1).flatten(1).sum(dim=1)
    assert (erased == 16 * 16).all()
    noise = (x - to_input(grey))[(x != 0).all(dim=1, keepdim=True).expand_as(x)]
    assert noise.std() == pytest.approx(0.01, rel=0.05)


def test_the_reports_tight_crop_fills_the_picture_with_the_joints():
    targets = torch.ones(1, 21, 3)
    targets[0, :, 0] = torch.linspace(20, 30, 21)
    targets[0, :, 1] = torch.linspace(40, 45, 21)
    images = torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8)
    _, moved = ReportAugmentation(probability=0.0, crop=(1.25, 1.25), off_centre=0.0)(images, targets)
    extent = moved[0, :, 0].max() - moved[0, :, 0].min()
    assert extent == pytest.approx(SIZE / 1.25) and moved[0, :, :2].mean(0).tolist() == pytest.approx(
        [32, 32]
    )
    unlabelled = torch.zeros(1, 21, 3)
    x, _ = ReportAugmentation(probability=0.0)(images + 7, unlabelled)
    torch.testing.assert_close(x, to_input(images + 7))


def test_the_report_cuts_hands_out_as_synthetic_tests_show_them():
    """The joints' box has the sizes and places that the generator's camera gives it."""
    index = torch.arange(2000)
    angles, orientation = poses.random(0, index, index)
    posed = pose(draw_anatomy(index), angles)
    camera = draw_camera(fold(0, index), posed, orientation)
    shown = camera.project(posed.joints)[0]
    torch.manual_seed(0)
    targets = torch.cat([20 + 20 * shown, torch.ones(2000, 21, 1)], dim=-1)  # small, and somewhere
    images = torch.zeros(2000, 3, SIZE, SIZE, dtype=torch.uint8)
    cut = ReportAugmentation(probability=0.0)(images, targets)[1][..., :2] / SIZE
    for measure in (lambda low, high: (high - low).amax(1), lambda low, high: (low + high)[:, 0] / 2):
        tests, training = (measure(points.amin(1), points.amax(1)) for points in (shown, cut))
        levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
        torch.testing.assert_close(training.quantile(levels), tests.quantile(levels), atol=0.03, rtol=0)


def test_the_report_takes_back_a_turn_or_shear_that_would_lose_a_joint():
    torch.manual_seed(0)
    corners = torch.tensor([[1.0, 1.0, 1.0], [63.0, 1.0, 1.0], [63.0, 63.0, 1.0]])
    targets = corners.repeat(7, 1)[None].repeat(64, 1, 1)  # any turn of a few degrees moves a corner out
    small = torch.tensor([[30.0, 30.0, 1.0], [34.0, 30.0, 1.0], [34.0, 34.0, 1.0]]).repeat(7, 1)[None]
    images = torch.zeros(64, 3, SIZE, SIZE, dtype=torch.uint8)
    turned = []
    for keypoints in (targets, small.repeat(64, 1, 1)):
        _, moved = ReportAugmentation(probability=1.0)(images, keypoints)
        assert (moved[..., 2] == 1).all()
        side = moved[:, 1, :2] - moved[:, 0, :2]  # level in the picture given
        turned.append((side[:, 1].abs() > side[:, 0].abs() * 0.1).float().mean())
    assert turned[0] < 0.1 and turned[1] > 0.3


def test_the_report_drops_salts_and_peppers_half_of_the_pictures_it_augments():
    torch.manual_seed(0)
    grey = torch.full((400, 3, SIZE, SIZE), 128, dtype=torch.uint8)
    x, _ = ReportAugmentation(probability=1.0, colour=0, spots=0.1)(grey, torch.zeros(400, 21, 3))
    black, white = (((x - to_input(v)).abs().amax(dim=1) < 1e-5) for v in (grey * 0, grey * 0 + 255))
    share = white.float().mean(dim=(1, 2))
    assert ((share == 0) | ((share - 0.05).abs() < 0.015)).all() and 0.4 < (share > 0).float().mean() < 0.6
    expected = 0.5 * 0.05 + 0.5 * 0.1  # pepper and dropped pixels, less where both meet
    assert float(black.float().mean()) == pytest.approx(expected, rel=0.1)
    rest = ~(black | white)
    assert ((x - to_input(grey)).abs().amax(dim=1)[rest] < 1e-5).all()


def test_input_is_normalised_with_the_usual_constants():
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    expected = (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(to_input(white)[0, :, 0, 0], expected)
