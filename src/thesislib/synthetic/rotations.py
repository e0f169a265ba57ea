"""Turns of a hand as matrices, entry by entry: library kernels would round by the size of the batch."""

import torch
from torch import Tensor


def about(axis: int, degrees: Tensor) -> Tensor:
    """Return [..., 3, 3], the right-handed turn about coordinate axis 0, 1 or 2; degrees [...]."""
    radians = torch.deg2rad(degrees)
    sin, cos = radians.sin(), radians.cos()
    zero, one = torch.zeros_like(sin), torch.ones_like(sin)
    rows = (
        (one, zero, zero, zero, cos, -sin, zero, sin, cos),
        (cos, zero, sin, zero, one, zero, -sin, zero, cos),
        (cos, -sin, zero, sin, cos, zero, zero, zero, one),
    )[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def compose(*turns: Tensor) -> Tensor:
    """Multiply matrices [..., 3, 3]; the last one acts first."""
    product, *rest = turns
    for turn in rest:
        product = (product[..., None] * turn[..., None, :, :]).sum(dim=-2)
    return product


def about_xyz(degrees: Tensor) -> Tensor:
    """Return [..., 3, 3], a turn about y, then x, then z of the viewer; degrees [..., 3] in the order x, y, z."""
    x, y, z = degrees.unbind(-1)
    return compose(about(2, z), about(0, x), about(1, y))
