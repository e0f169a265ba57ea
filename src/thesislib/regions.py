"""Squares in pictures, upright, turned or mirrored: cut them out, and bring points in them back."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Regions:
    """N squares in N pictures: middle [N, 2] and side [N] in pixels, and axes [N, 2, 2].

    The columns of ``axes`` are the unit vectors along which the cut-out's x and y run in the picture. Coordinates
    are pixels with the centre of a pixel at +0.5, as in `datasets.hand_images`.
    """

    middle: Tensor
    side: Tensor
    axes: Tensor

    def in_picture(self, points: Tensor) -> Tensor:
        """Return points [N, P, 2] of the cut-outs, 0 to 1 from edge to edge, in pixels of the pictures."""
        offset = (points - 0.5) * self.side[:, None, None]
        return self.middle[:, None] + offset @ self.axes.mT

    def cut_out(self, images: Tensor, size: int) -> Tensor:
        """Return the squares of pictures uint8 [N, 3, S, S] as uint8 [N, 3, size, size], edges repeated outside."""
        steps = (torch.arange(size) + 0.5) / size
        points = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2)
        at = self.in_picture(points.expand(len(images), -1, -1))  # [N, size * size, 2]
        grid = (2 * at / images.shape[-1] - 1).reshape(-1, size, size, 2)
        cut = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
        return cut.round().to(torch.uint8)


def about_middle(images: Tensor, *, share: float = 1.0, turn: float = 0.0, mirrored: bool = False) -> Regions:
    """Return one square of each picture [N, 3, S, S]: its side a ``share`` of S, turned by ``turn`` radians."""
    n, size = len(images), images.shape[-1]
    angle = torch.tensor(turn)
    x = torch.stack([angle.cos(), angle.sin()]) * (-1 if mirrored else 1)
    axes = torch.stack([x, torch.stack([-angle.sin(), angle.cos()])], -1)  # columns
    return Regions(torch.full((n, 2), size / 2), torch.full((n,), share * float(size)), axes.expand(n, 2, 2))
