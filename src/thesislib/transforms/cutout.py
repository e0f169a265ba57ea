"""Cutout: one erased square an image (DeVries and Taylor 2017)."""

import torch
from torch import Tensor


def cutout(x: Tensor, side: int) -> Tensor:
    """Return a copy with one square of ``side`` pixels an image set to zero: [B, C, S, S] to the same."""
    if side == 0:
        return x
    size = x.shape[-1]
    corner = torch.randint(0, size - side + 1, (2, len(x), 1), device="cpu").to(x.device)  # y and x
    inside = [(at <= (p := torch.arange(size, device=x.device))) & (p < at + side) for at in corner]  # [B, S]
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)
