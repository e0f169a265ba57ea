"""Augmentation of characters: affine jitter, cutout, and quarter turns that make new classes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from thesislib.transforms.cutout import cutout


def to_input(image: Tensor) -> Tensor:
    """Return grey images uint8 [B, S, S] as network input, float [B, 1, S, S] in 0..1 (ink is bright)."""
    return image[:, None].float() / 255  # [B, S, S] -> [B, 1, S, S]


@dataclass(frozen=True)
class GlyphAugmentation:
    """Affine jitter and cutout for characters; a flip or a colour change would make another character.

    ``rotation`` in degrees, ``shift`` in pixels, ``scale`` and ``shear`` as fractions, ``cutout`` the side of an
    erased square in pixels (DeVries and Taylor 2017; the thesis erases 8 x 8 of 64 x 64 pixels).
    """

    rotation: float = 10.0
    shift: float = 2.0
    scale: float = 0.1
    shear: float = 0.1
    cutout: int = 6

    def __call__(self, x: Tensor) -> Tensor:
        """Return augmented copies: float [B, 1, S, S] to the same."""
        return cutout(self.warp(x), self.cutout)

    def warp(self, x: Tensor) -> Tensor:
        """Return affinely jittered copies, bilinear, empty paper outside: float [B, 1, S, S] to the same."""
        b, size = len(x), x.shape[-1]

        def uniform(limit: float) -> Tensor:
            return torch.empty(b).uniform_(-limit, limit)

        angle = uniform(math.radians(self.rotation))
        cos, sin = angle.cos(), angle.sin()
        zoom_x, zoom_y = 1 + uniform(self.scale), 1 + uniform(self.scale)
        lean = uniform(self.shear)
        shift = 2 / size  # one pixel in the grid's units, where the image spans -1..1
        rows = [cos * zoom_x, (lean * cos - sin) * zoom_y, uniform(self.shift) * shift]
        rows += [sin * zoom_x, (lean * sin + cos) * zoom_y, uniform(self.shift) * shift]
        theta = torch.stack(rows, dim=1).view(b, 2, 3).to(x.device)
        return grid_sample(x, affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def quarter_turn_classes(x: Tensor, label: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return each image turned by a random quarter turn, and its class among four times as many classes.

    A turned character is a new character: it multiplies the training classes by four at no cost (used on
    Omniglot by Santoro et al. 2016). Class c turned q times becomes c + q * num_classes.
    """
    quarters = torch.randint(0, 4, (len(x),)).to(x.device)
    turned = x.clone()
    for q in range(1, 4):
        turned[quarters == q] = torch.rot90(x[quarters == q], q, dims=(2, 3))
    return turned, label + quarters * num_classes
