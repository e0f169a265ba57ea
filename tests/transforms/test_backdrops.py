"""Hands on black before other backgrounds: where black was, and nowhere else."""

import pytest
import torch

from thesislib.transforms.backdrops import RandomBackdrops, before, draw_backdrops, seen_through

SIZE = 32
SKIN = torch.tensor([200.0, 150.0, 120.0])[:, None, None]


def disc(radius: float, size: int = SIZE) -> torch.Tensor:
    """The share of each pixel that a disc in the middle covers, by counting 8 x 8 points in it: [S, S]."""
    at = (torch.arange(8 * size) + 0.5) / 8 - size / 2
    inside = (at[:, None] ** 2 + at[None, :] ** 2 < radius**2).float()
    return inside.unflatten(0, (size, 8)).unflatten(2, (size, 8)).mean(dim=(1, 3))


def on_black(alpha: torch.Tensor) -> torch.Tensor:
    """One hand of one colour, as it is cut out on black and averaged down: uint8 [1, 3, S, S]."""
    return (alpha * SKIN).round().byte()[None]


def test_a_pixel_of_the_rim_is_told_apart_into_hand_and_black():
    alpha = disc(9.3)
    share = seen_through(on_black(alpha))[0, 0]
    sure = (alpha == 0) | (alpha > 13 / 200)  # darker ones count as black altogether
    torch.testing.assert_close(share[sure], 1 - alpha[sure], atol=0.01, rtol=0)
    assert ((share > 0) & (share < 1)).sum() > 30


def test_a_hand_before_a_backdrop_is_what_a_camera_would_have_seen():
    alpha, behind = disc(9.3), torch.randint(0, 256, (1, 3, SIZE, SIZE)).byte()
    expected = alpha * SKIN + (1 - alpha) * behind[0]
    sure = ((alpha == 0) | (alpha > 13 / 200)).expand(3, -1, -1)
    found = before(on_black(alpha), behind)
    assert found.dtype == torch.uint8
    torch.testing.assert_close(found[0][sure].float(), expected[sure], atol=2.0, rtol=0)


def test_a_dark_gap_inside_the_hand_stays_dark():
    alpha = disc(12) - disc(5)
    image, behind = on_black(alpha), torch.full((1, 3, SIZE, SIZE), 255).byte()
    found, middle = before(image, behind), slice(SIZE // 2 - 3, SIZE // 2 + 3)
    assert (found[..., middle, middle] == 0).all()
    assert (found[..., 0, :] == 255).all()
    solid = disc(10) > 0.99  # a pixel from the outer rim and farther
    assert torch.equal(found[0][:, solid], image[0][:, solid])


def test_what_noise_a_jpeg_leaves_on_black_is_taken_for_black():
    alpha, noise = disc(9), torch.randint(0, 8, (1, 3, SIZE, SIZE)).byte()
    far = disc(12) == 0
    assert (seen_through(on_black(alpha) + noise)[0, 0][far] == 1).all()
    behind = torch.randint(0, 256, (1, 3, SIZE, SIZE)).byte()
    assert torch.equal(before(on_black(alpha) + noise, behind)[0][:, far], behind[0][:, far])


def test_a_picture_without_black_at_its_edges_stays_as_it_is():
    images = torch.randint(13, 256, (4, 3, SIZE, SIZE)).byte()
    images[:, :, 10:20, 10:20] = 0  # black, but not around
    assert not seen_through(images).any()
    assert torch.equal(RandomBackdrops(draw_backdrops(3, size=SIZE, seed=0), share=1.0)(images), images)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_so_many_pictures_get_a_backdrop(share):
    torch.manual_seed(0)
    images = on_black(disc(8)).expand(400, -1, -1, -1)
    backdrops = torch.stack([torch.full((3, SIZE, SIZE), level) for level in (90, 250)]).byte()
    corner = RandomBackdrops(backdrops, share)(images)[:, 0, 0, 0]
    assert set(corner.tolist()) <= {0, 90, 250}
    assert (corner > 0).float().mean() == pytest.approx(share, abs=0.08)
    if share:
        assert (corner[corner > 0] == 90).float().mean() == pytest.approx(0.5, abs=0.1)


def test_a_backdrop_is_mirrored_half_of_the_time():
    torch.manual_seed(0)
    backdrop = torch.full((1, 3, SIZE, SIZE), 100).byte()
    backdrop[..., : SIZE // 2] = 200
    found = RandomBackdrops(backdrop, 1.0)(on_black(disc(8)).expand(400, -1, -1, -1))
    assert ((found[:, 0, 0, 0] == 200) ^ (found[:, 0, 0, -1] == 200)).all()
    assert (found[:, 0, 0, 0] == 200).float().mean() == pytest.approx(0.5, abs=0.1)


def test_backdrops_follow_from_the_seed_and_their_number():
    few, more = (draw_backdrops(count, size=16, seed=3) for count in (4, 9))
    assert more.shape == (9, 3, 16, 16) and more.dtype == torch.uint8
    assert torch.equal(more[:4], few)  # however many are drawn
    assert not torch.equal(draw_backdrops(4, size=16, seed=4), few)
    assert more.float().flatten(1).mean(dim=1).std() > 10  # dark rooms and light ones
