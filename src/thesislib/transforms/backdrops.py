"""Hands that were cut out on black, put before other backgrounds: those that the generator draws.

A network that has only met black learns nothing about rooms. Random backgrounds are an old remedy where the hand's
outline is known; on black it is, and so no mask needs to be given.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import max_pool2d

from thesislib.synthetic.backgrounds import draw_background
from thesislib.synthetic.draws import fold, uniform

BLACK = 12  # of 255: what a JPEG leaves of black; shadows between fingers are lighter
GAMMA = 2.2  # of a screen: backgrounds are drawn in linear light
_BACKDROP, _CLUTTER = 71, 72  # purposes of the draws of this room


def draw_backdrops(count: int, *, size: int, seed: int) -> Tensor:
    """Return backgrounds as a camera would store them, uint8 [count, 3, size, size], plain walls to full rooms."""
    index = torch.arange(count)
    clutter = uniform(fold(_CLUTTER, seed, index), 1)[:, 0]
    parts = [
        draw_background(key, size, how_full).clamp(0, 1).pow(1 / GAMMA)
        for key, how_full in zip(fold(_BACKDROP, seed, index).split(256), clutter.split(256), strict=True)
    ]
    return (torch.cat(parts) * 255).round().byte()


def seen_through(images: Tensor) -> Tensor:
    """Return which share of each pixel is the black around a hand: uint8 [B, 3, S, S] to float [B, 1, S, S].

    1 where black reaches from the picture's edge, so that a dark gap inside the hand stays dark. A pixel of the
    rim, beside it, is partly hand: its share is what it lacks in brightness to its brightest neighbour.
    """
    brightness = images.amax(dim=1, keepdim=True).float()  # [B, 1, S, S]
    dark = (brightness[:, 0] <= BLACK).cpu().numpy()
    black = torch.from_numpy(np.stack([_from_the_edge(picture) for picture in dark]))[:, None].to(brightness)
    beside = max_pool2d(black, 3, stride=1, padding=1) - black
    lacking = 1 - brightness / max_pool2d(brightness, 3, stride=1, padding=1).clamp(min=1)
    return black + beside * lacking


def before(images: Tensor, backdrops: Tensor) -> Tensor:
    """Return pictures uint8 [B, 3, S, S] with backdrops of their shape where they are black around the hand."""
    share = seen_through(images)
    kept = images * (share < 1)  # what noise a JPEG has put on black goes with the black
    return (kept + share * backdrops).clamp(max=255).round().byte()


@dataclass(frozen=True)
class RandomBackdrops:
    """Pictures on black uint8 [B, 3, S, S] to the same, each with chance `share` before one of `backdrops`.

    ``backdrops``, uint8 [M, 3, S, S], are mirrored half of the time. The rest stay on black, for a test may be.
    """

    backdrops: Tensor
    share: float = 0.5

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pictures changed, each by a draw of its own."""
        b = len(images)
        chosen = torch.rand(b) < self.share  # on the CPU: the same draw whatever the device
        which, mirrored = torch.randint(len(self.backdrops), (b,)), torch.rand(b) < 0.5
        behind = self.backdrops[which.to(self.backdrops.device)].to(images.device)
        behind = torch.where(mirrored.to(images.device)[:, None, None, None], behind.flip(-1), behind)
        return torch.where(chosen.to(images.device)[:, None, None, None], before(images, behind), images)


def _from_the_edge(black: np.ndarray) -> np.ndarray:
    """Return what of black, bool [S, S], hangs together with the picture's edge."""
    region, _ = ndimage.label(black)
    edges = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    return np.isin(region, edges[edges > 0])
