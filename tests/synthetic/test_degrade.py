import io

import numpy as np
import pytest
import torch
from PIL import Image

from thesislib.synthetic import degrade


def waves(count=2, size=64):
    """Smooth pictures with fine detail on top, [count, 3, size, size], between 0 and 1."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.nn.functional.interpolate(
        torch.rand(count, 3, 6, 6, generator=generator), size, mode="bicubic"
    )
    return (0.8 * coarse + 0.2 * torch.rand(count, 3, size, size, generator=generator)).clamp(0.02, 0.98)


def detail(image):
    return (image[..., 1:] - image[..., :-1]).square().mean((1, 2, 3))


def test_averaging_takes_the_mean_of_blocks():
    image = waves(1, 8)
    assert torch.allclose(degrade.average_down(image, 2)[0, 1, 3, 2], image[0, 1, 6:8, 4:6].mean())
    assert degrade.average_down(image, 1) is image


def test_no_blur_and_enough_pixels_change_nothing():
    image = waves()
    same = degrade.blur_and_resample(image, torch.zeros(2), torch.tensor([64.0, 500.0]))
    torch.testing.assert_close(same, image)


def test_blur_is_a_gaussian_of_the_stated_width():
    dot = torch.zeros(1, 3, 65, 65)
    dot[:, :, 32, 32] = 1
    spread = degrade.blur_and_resample(dot, torch.tensor([2.0]), torch.tensor([65.0]))[0, 0]
    place = torch.arange(65.0) - 32
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    assert float((spread.sum(0) * place**2).sum()) ** 0.5 == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("pixels", [17.0, 24.5, 40.0, 63.0])
def test_fewer_pixels_keep_what_is_even_and_lose_detail(pixels):
    image = waves()
    image[1] = 0.3
    poorer = degrade.blur_and_resample(image, torch.zeros(2), torch.full((2,), pixels))
    torch.testing.assert_close(poorer[1], image[1])
    assert detail(poorer)[0] < 0.8 * detail(image)[0]
    assert poorer[0].mean() == pytest.approx(float(image[0].mean()), abs=0.01)


def test_each_image_has_its_own_strength():
    image = waves()
    out = degrade.blur_and_resample(image, torch.tensor([0.0, 1.5]), torch.tensor([64.0, 64.0]))
    torch.testing.assert_close(out[0], image[0])
    assert detail(out)[1] < 0.3 * detail(image)[1]


def test_noise_has_the_stated_strength_and_follows_from_the_key():
    grey = torch.full((3, 3, 64, 64), 0.5)
    key = torch.tensor([5, 6, 5])
    noisy = degrade.add_noise(grey, key, torch.tensor([0.05, 0.05, 0.0]))
    assert noisy[0].std() == pytest.approx(0.05, rel=0.05) and noisy[0].mean() == pytest.approx(
        0.5, abs=0.003
    )
    assert torch.equal(noisy[2], grey[2])
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(degrade.add_noise(grey[:1], key[2:], torch.tensor([0.05]))[0], noisy[0])


@pytest.mark.parametrize("quality", [20, 50, 85])
def test_jpeg_loses_what_a_real_encoder_loses(quality):
    image = (waves(1) * 255).round()
    ours = (degrade.jpeg_loss(image / 255, torch.tensor([float(quality)])) * 255).clamp(0, 255)[0]
    stored = io.BytesIO()
    pixels = image[0].permute(1, 2, 0).to(torch.uint8).numpy()
    Image.fromarray(pixels).save(stored, "JPEG", quality=quality, subsampling=0)
    theirs = torch.from_numpy(np.array(Image.open(stored))).permute(2, 0, 1).float()
    our_loss, their_loss = ours - image[0], theirs - image[0]
    assert our_loss.abs().mean() == pytest.approx(float(their_loss.abs().mean()), rel=0.05)
    # the encoder rounds colours to whole numbers first, which tips some coefficients to the other side
    assert torch.corrcoef(torch.stack([our_loss.flatten(), their_loss.flatten()]))[0, 1] > 0.85


def test_jpeg_refuses_broken_blocks():
    with pytest.raises(ValueError, match="blocks of 8"):
        degrade.jpeg_loss(torch.zeros(1, 3, 20, 20), torch.tensor([50.0]))
