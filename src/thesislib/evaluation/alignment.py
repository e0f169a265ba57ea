"""Laying sets of points on one another: the best turn, scale and shift (Procrustes), never a mirror image."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Alignment:
    """Turns [B, 3, 3], scales [B] and shifts [B, 3] that lay B sets of points on others."""

    turn: Tensor
    scale: Tensor
    shift: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Return points [B, N, 3] turned, scaled and shifted."""
        return self.scale[:, None, None] * points @ self.turn.mT + self.shift[:, None]


def align(points: Tensor, onto: Tensor, *, scale: bool = True) -> Alignment:
    """Return what brings points [B, N, 3] nearest to others, by least squares (Umeyama 1991); computed in float64.

    Reflections are excluded: a left hand cannot be laid on a right one. Without ``scale`` sizes stay. Raises
    ValueError where the shapes differ or the points of a set are all in one place.
    """
    if points.shape != onto.shape or points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"both are points [B, N, 3], not {list(points.shape)} and {list(onto.shape)}")
    points, onto = points.double(), onto.double()
    middle, goal = points.mean(dim=1, keepdim=True), onto.mean(dim=1, keepdim=True)
    spread = (points - middle).square().sum(dim=(1, 2))
    if len(points) and not spread.min() > 0:
        raise ValueError("points that are all in one place, or not finite, can be laid on nothing")
    u, size, vt = torch.linalg.svd((onto - goal).mT @ (points - middle))
    sign = torch.ones_like(size)
    sign[:, 2] = torch.linalg.det(u @ vt).sign()  # of a mirror image the least important axis is turned round
    turn = u @ (sign[..., None] * vt)
    factor = (size * sign).sum(dim=1) / spread if scale else torch.ones_like(spread)
    shift = goal[:, 0] - factor[:, None] * (turn @ middle[:, 0, :, None])[..., 0]
    return Alignment(turn, factor, shift)
