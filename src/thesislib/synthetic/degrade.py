"""What a camera and a file do to a picture: averaging, blur, few pixels, noise, and JPEG's loss.

Images are float32 [B, 3, S, S]; every strength is one number an image, so images never share a draw.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.synthetic.draws import fold, normal, whole

_STREAM = 41
_BLOCK = 8  # pixels to a side of a JPEG block

# Annex K of the JPEG standard (ITU-T T.81): how coarsely brightness and colour are stored at quality 50
_LUMA = """16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56  14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99"""
_CHROMA = "17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99  24 26 56 99 99 99 99 99  47 66" + 38 * " 99"
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def average_down(image: Tensor, factor: int) -> Tensor:
    """Average factor x factor pixels [..., S * factor, S * factor] into one."""
    return image if factor == 1 else F.avg_pool2d(image, factor)


def blur_and_resample(image: Tensor, blur: Tensor, resolution: Tensor) -> Tensor:
    """Blur by a Gaussian and pass through a picture of fewer pixels, then back to the size.

    blur: [B], standard deviation in pixels of this image; resolution: [B], pixels to a side in between, cut
    to the size itself.
    """
    size = image.shape[-1]
    matrix = _gaussian(blur, size)
    small = resolution.clamp(2, size)
    matrix = torch.where((small < size)[:, None, None], _through(small, size) @ matrix, matrix)  # [B, S, S]
    for _ in range(2):  # along the rows; turned, along the columns
        image = (image.flatten(1, 2) @ matrix.mT).view_as(image).transpose(2, 3).contiguous()
    return image


def _gaussian(blur: Tensor, size: int) -> Tensor:
    """Return [B, size, size], rows that sum to one: blur along a line, edges repeated by renormalising."""
    place = torch.arange(size, device=blur.device)
    apart = (place[:, None] - place[None, :]).square()
    weight = torch.exp(-apart / (2 * blur.clamp(min=0.05).square())[:, None, None])
    weight = torch.where(weight > 1e-6, weight, 0.0)  # numbers too small to matter would be slow to multiply
    return weight / weight.sum(-1, keepdim=True)


def _through(small: Tensor, size: int) -> Tensor:
    """Return [B, size, size]: average into `small` cells along a line, then interpolate linearly back."""
    place = torch.arange(size, device=small.device) + 0.5
    scale = (small / size)[:, None, None]
    exists = (place[None, :] - 0.5 < small.ceil()[:, None])[:, None, :]  # cells beyond `small` take no part
    apart = (place[None, None, :] * scale - place[None, :, None]).abs()
    down = (0.5 + 0.5 * scale - apart).clamp(min=0).minimum(
        scale
    ) * exists.mT  # how much of a pixel a cell covers
    down = down / down.sum(-1, keepdim=True).clamp(min=1e-6)
    up = (1 - apart.mT).clamp(min=0) * exists
    up = up / up.sum(-1, keepdim=True).clamp(min=1e-6)
    return up @ down


def add_noise(image: Tensor, key: Tensor, strength: Tensor) -> Tensor:
    """Add a sensor's noise to images between 0 and 1: strength [B] is the standard deviation of a mid grey.

    The grain comes from one long strip of normal numbers; each image, by its key [B], reads it elsewhere.
    """
    count = image[0].numel()
    strip = _strip(max(1 << 18, 4 * count), str(image.device))
    start = whole(fold(_STREAM, key), len(strip) - count)
    grain = strip[start[:, None] + torch.arange(count, device=image.device)].view_as(image)
    return image + strength[:, None, None, None] * (0.5 + image.clamp(0, 1)) * grain


@lru_cache(maxsize=4)
def _strip(length: int, device: str) -> Tensor:
    return normal(fold(_STREAM, torch.tensor(0, device=device)), length)


def jpeg_loss(image: Tensor, quality: Tensor) -> Tensor:
    """Lose what JPEG of this quality [B], 1 to 100, would lose in images between 0 and 1; size a multiple of 8.

    Colour keeps its resolution, and nothing is entropy-coded: blocks are rounded in frequency, that is all.
    Raises ValueError at other sizes.
    """
    size = image.shape[-1]
    if size % _BLOCK:
        raise ValueError(f"JPEG works on blocks of {_BLOCK} pixels: a size of {size} does not fit")
    to_ycc = torch.tensor(_TO_YCC, device=image.device)
    wave = _cosines(image.device)
    pixels = torch.einsum("cd,bdhw->bchw", to_ycc, 255 * image - 128)
    blocks = (
        pixels.unflatten(3, (-1, _BLOCK)).unflatten(2, (-1, _BLOCK)).transpose(3, 4)
    )  # [B, 3, h, w, 8, 8]
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    table = torch.tensor([[float(step) for step in steps.split()] for steps in (_LUMA, _CHROMA, _CHROMA)])
    table = table.view(3, _BLOCK, _BLOCK).to(image.device)
    step = (table * scale[:, None, None, None] + 0.5).floor().clamp(1, 255)[:, :, None, None]
    kept = (wave @ blocks @ wave.T / step).round() * step
    pixels = (wave.T @ kept @ wave).transpose(3, 4).flatten(2, 3).flatten(3, 4)
    return (torch.einsum("cd,bdhw->bchw", torch.linalg.inv(to_ycc), pixels) + 128) / 255


def _cosines(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform of eight values, [8, 8]."""
    k = torch.arange(_BLOCK, device=device)
    wave = torch.cos(math.pi * (2 * k[None, :] + 1) * k[:, None] / (2 * _BLOCK)) / 2
    return torch.cat([wave[:1] / math.sqrt(2), wave[1:]])
