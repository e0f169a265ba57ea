import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib.transforms.cutout import cutout
from thesislib.transforms.glyphs import GlyphAugmentation, quarter_turn_classes, to_input

SIZE = 28
STILL = dict(rotation=0.0, shift=0.0, scale=0.0, shear=0.0, cutout=0)
MIDDLE = (SIZE - 1) / 2


def dots(count: int, dx: float = 0.0, dy: float = 0.0) -> torch.Tensor:
    """``count`` images of one soft dot, dx and dy pixels off the middle: [count, 1, SIZE, SIZE]."""
    at = torch.arange(SIZE) - MIDDLE
    dot = torch.exp(-((at[None, :] - dx) ** 2 + (at[:, None] - dy) ** 2) / (2 * 1.5**2))
    return dot.expand(count, 1, SIZE, SIZE).clone()


def centres(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The centre of mass of each image, in pixels off the middle: x [B] and y [B]."""
    at = torch.arange(SIZE) - MIDDLE
    mass = x.sum((1, 2, 3))
    return (x * at).sum((1, 2, 3)) / mass, (x * at[:, None]).sum((1, 2, 3)) / mass


def test_input_is_between_0_and_1_with_a_channel():
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    x = to_input(image)
    assert x.shape == (1, 1, 16, 16) and x.dtype == torch.float32
    np.testing.assert_allclose(x.flatten().numpy(), np.arange(256) / 255, rtol=1e-6)


# Warp -----------------------------------------------------------------------------------------------


def test_a_warp_of_nothing_is_the_identity():
    x = torch.rand(5, 1, SIZE, SIZE)
    torch.testing.assert_close(GlyphAugmentation(**STILL)(x), x, atol=1e-5, rtol=0)


def test_a_shift_moves_by_at_most_so_many_pixels():
    torch.manual_seed(0)
    x, y = centres(GlyphAugmentation(**{**STILL, "shift": 3.0}).warp(dots(400)))
    for moved in (x, y):
        assert moved.abs().max() <= 3.01
        assert moved.min() < -2.5 and moved.max() > 2.5  # and uses the room
    assert torch.corrcoef(torch.stack([x, y]))[0, 1].abs() < 0.25  # 5 / sqrt(400): two draws, not one


def test_a_rotation_keeps_the_distance_from_the_middle():
    torch.manual_seed(0)
    x, y = centres(GlyphAugmentation(**{**STILL, "rotation": 20.0}).warp(dots(400, dx=7.0)))
    torch.testing.assert_close(torch.hypot(x, y), torch.full((400,), 7.0), atol=0.02, rtol=0)
    angle = torch.rad2deg(torch.atan2(y, x))
    assert angle.abs().max() <= 20.2 and angle.min() < -17 and angle.max() > 17


def test_a_scale_stretches_each_axis_by_its_own_share():
    torch.manual_seed(0)
    x, y = centres(GlyphAugmentation(**{**STILL, "scale": 0.2}).warp(dots(400, dx=6.0, dy=6.0)))
    for place in (x, y):  # an image drawn 1 + s times as large is read at 1 / (1 + s) of the place
        assert 6 / 1.2 - 0.05 <= place.min() and place.max() <= 6 / 0.8 + 0.05
        assert place.max() - place.min() > 1.5
    assert torch.corrcoef(torch.stack([x, y]))[0, 1].abs() < 0.25


def test_a_shear_moves_rows_and_keeps_their_height():
    torch.manual_seed(0)
    x, y = centres(GlyphAugmentation(**{**STILL, "shear": 0.2}).warp(dots(400, dy=8.0)))
    torch.testing.assert_close(y, torch.full((400,), 8.0), atol=0.05, rtol=0)
    assert x.abs().max() <= 8 * 0.2 + 0.05 and x.min() < -1.2 and x.max() > 1.2


def test_outside_is_empty_paper():
    torch.manual_seed(0)
    x = GlyphAugmentation(**{**STILL, "shift": 10.0}).warp(torch.ones(50, 1, SIZE, SIZE))
    assert x.min() == 0 and x.max() <= 1 + 1e-5


@given(st.integers(2, 6), st.data())
def test_images_of_a_batch_never_mix(count, data):
    torch.manual_seed(data.draw(st.integers(0, 99)))
    inked = data.draw(st.integers(0, count - 1))
    x = torch.zeros(count, 1, SIZE, SIZE)
    x[inked] = dots(1)[0]
    y = GlyphAugmentation()(x)
    assert y[inked].any()
    y[inked] = 0
    assert not y.any()


def test_every_image_gets_its_own_draw():
    torch.manual_seed(0)
    y = GlyphAugmentation(cutout=0)(dots(6, dx=4.0))
    for i in range(6):
        for j in range(i):
            assert (y[i] - y[j]).abs().max() > 1e-3


def test_the_seed_decides():
    x = dots(4)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(GlyphAugmentation()(x))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


# Cutout ---------------------------------------------------------------------------------------------


@given(
    side=st.integers(1, SIZE), count=st.integers(1, 5), channels=st.integers(1, 3), seed=st.integers(0, 99)
)
def test_cutout_erases_one_square_an_image(side, count, channels, seed):
    torch.manual_seed(seed)
    x = torch.rand(count, channels, SIZE, SIZE) + 0.1
    before = x.clone()
    y = cutout(x, side)
    assert torch.equal(x, before)
    for image, original in zip(y, x, strict=True):
        erased = image == 0  # [C, S, S]
        assert erased.sum() == channels * side**2
        rows, columns = erased[0].any(1).nonzero(), erased[0].any(0).nonzero()
        assert rows.max() - rows.min() + 1 == side and columns.max() - columns.min() + 1 == side
        assert torch.equal(image[~erased], original[~erased])


def test_cutout_reaches_every_corner():
    torch.manual_seed(0)
    erased = (cutout(torch.ones(400, 1, 4, 4), 3) == 0).flatten(1)
    assert len(torch.unique(erased, dim=0)) == 4


def test_cutout_of_nothing_is_the_identity():
    x = torch.rand(3, 1, 5, 5)
    assert torch.equal(cutout(x, 0), x)


def test_the_augmentation_erases_the_side_it_names():
    torch.manual_seed(0)
    y = GlyphAugmentation(**{**STILL, "cutout": 5})(torch.ones(7, 1, SIZE, SIZE))
    assert ((y < 0.5).sum((1, 2, 3)) == 25).all()


# Quarter turns --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 99))
def test_the_label_says_how_far_an_image_is_turned(classes, seed):
    torch.manual_seed(seed)
    x, label = torch.rand(len(classes), 1, 5, 5), torch.tensor(classes)
    turned, new_label = quarter_turn_classes(x, label, 7)
    assert turned.shape == x.shape
    for image, original, now, was in zip(turned, x, new_label.tolist(), classes, strict=True):
        quarters, upright = divmod(now, 7)
        assert upright == was and 0 <= quarters < 4
        np.testing.assert_array_equal(image[0].numpy(), np.rot90(original[0].numpy(), quarters))


def test_four_turns_are_none():
    torch.manual_seed(0)
    x, label = torch.rand(50, 1, 5, 5), torch.zeros(50, dtype=torch.long)
    before = x.clone()
    turned, quarters = quarter_turn_classes(x, label, 1)
    assert torch.equal(x, before) and torch.equal(label, torch.zeros(50, dtype=torch.long))
    back = torch.stack(
        [image.rot90(4 - int(q), dims=(1, 2)) for image, q in zip(turned, quarters, strict=True)]
    )
    assert torch.equal(back, x)


def test_every_turn_is_as_likely():
    torch.manual_seed(0)
    n = 4000
    _, quarters = quarter_turn_classes(torch.zeros(n, 1, 2, 2), torch.zeros(n, dtype=torch.long), 1)
    counts = torch.bincount(quarters, minlength=4)
    assert len(counts) == 4
    assert (counts - n / 4).abs().max() < 5 * math.sqrt(n * 3 / 16)  # five standard deviations


@pytest.mark.parametrize("num_classes", [1, 40])
def test_turned_classes_fill_four_times_the_range(num_classes):
    torch.manual_seed(0)
    label = torch.arange(num_classes).repeat(100)
    _, new_label = quarter_turn_classes(torch.zeros(len(label), 1, 2, 2), label, num_classes)
    assert set(new_label.tolist()) == set(range(4 * num_classes))
