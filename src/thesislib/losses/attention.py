"""The loss that makes attention masks sharp and even: total variation with hard targets (Izutov 2020, eq. 1)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import conv3d

Preset = Literal["paper", "repository"]


def hard_total_variation(mask: Tensor, preset: Preset = "paper") -> Tensor:
    """Return how far confidences are from what most of their neighbours say, 0 or 1 (Izutov 2020, eq. 1).

    mask: [..., T, M, N], values 0 to 1, not logits. At each place it is |s - I(mean of its neighbours > 0.5)|, and
    the mean of that over all places and masks is returned: 0 where every mask is all 0 or all 1, at most 1. The
    indicator has no gradient. Neighbours are the places at most one step away in time, height and width; "paper"
    takes those that exist, 26 inside, without the place itself, which the paper leaves open. "repository" is what
    the author's code does: the mean of all 27, with 0 beyond the edge, so that edges of a mask are pulled to 0.
    Raises ValueError for another shape, values outside 0 to 1, a place without neighbours or an unknown preset.
    """
    if preset not in ("paper", "repository"):
        raise ValueError(f"unknown preset {preset!r}; known: paper, repository")
    if mask.ndim < 3 or mask[..., :1, :1, :1].numel() == 0 or mask.shape[-3:].numel() < 2:
        raise ValueError(f"a mask is [..., T, M, N] with at least two places, got {list(mask.shape)}")
    if not ((mask >= 0) & (mask <= 1)).all():  # NaN fails too
        raise ValueError("a mask holds confidences from 0 to 1; take the sigmoid of logits, and look for NaN")
    with torch.no_grad():
        total, count = _sum_of_27(mask), _sum_of_27(torch.ones_like(mask))
        mean = (total - mask) / (count - 1) if preset == "paper" else total / 27
        target = (mean > 0.5).to(mask)
    return (mask - target).abs().mean()


def _sum_of_27(x: Tensor) -> Tensor:
    """Return the sum over each place of [..., T, M, N] and its up to 26 neighbours."""
    blocks = x.flatten(0, -4)[:, None] if x.ndim > 3 else x[None, None]  # [L, 1, T, M, N]
    return conv3d(blocks, blocks.new_ones(1, 1, 3, 3, 3), padding=1).view_as(x)
