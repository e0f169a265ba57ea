"""Light on skin: one soft lamp or window, light from all around, shadows and dark creases from the depth map."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.synthetic.draws import fold, normal, uniform

_STREAM = 51
_STEPS = (
    0.04,
    0.08,
    0.13,
    0.19,
    0.26,
    0.34,
    0.44,
    0.56,
    0.70,
)  # where a ray towards the lamp is looked at, hand units
_FAR = -50.0  # height of what is not there


@dataclass(frozen=True)
class Light:
    """Light for B pictures, linear: direction [B, 3] towards the lamp (camera axes), key [B, 3] and ambient
    [B, 3] colours, above [B, 3], what the ambient light gains from above, shadow [B], how dark shadows are."""

    direction: Tensor
    key: Tensor
    ambient: Tensor
    above: Tensor
    shadow: Tensor


def draw_light(key: Tensor) -> Light:
    """Draw the light of pictures, key int64 [B]: mostly from above and from the viewer's side."""
    u, z = uniform(fold(_STREAM, key), 8), normal(fold(_STREAM, key, 1), 4)
    towards = torch.stack([0.8 * z[:, 0], 0.45 + 0.6 * z[:, 1], 0.15 + 0.95 * u[:, 0]], -1)
    ratio = 0.10 + 0.60 * u[:, 1]  # of the light that comes from all around
    warm, cool = _tint(0.35 * z[:, 2]), _tint(0.35 * z[:, 3] - 0.15)
    return Light(
        direction=F.normalize(towards, dim=-1),
        key=1.95 * (1 - ratio)[:, None] * warm,
        ambient=1.0 * ratio[:, None] * cool,
        above=(0.10 + 0.35 * u[:, 2])[:, None] * ratio[:, None] * cool,
        shadow=0.5 + 0.45 * u[:, 3],
    )


def _tint(warmth: Tensor) -> Tensor:
    """Return linear colours [B, 3] of warm (1: a light bulb) to cool (-1: an overcast sky) light."""
    warmth = warmth.clamp(-1, 1)
    return torch.stack([1 + 0.22 * warmth, torch.ones_like(warmth), 1 - 0.32 * warmth], -1)


def shade(
    albedo: Tensor,
    normals: Tensor,
    lit: Tensor,
    exposed: Tensor,
    light: Light,
    scatter: Tensor,
    gloss: Tensor,
) -> Tensor:
    """Return linear radiance [B, 3, N] of surfaces seen from +z.

    albedo, normals: [B, 3, N]; lit: [B, 1, N], share of the lamp that gets there; exposed: [B, 1, N], share of
    the light from all around; scatter: [B, 3], how far light creeps into shadow; gloss: [B, 1, N].
    """
    wrap = scatter[..., None]
    cosine = light.direction[:, None] @ normals  # [B, 1, N]
    strength = light.key[..., None] / (1 + wrap)
    diffuse = (cosine * strength).add_(wrap * strength).clamp_(min=0)
    # shadows of flesh are never quite black: red light comes through their edge
    diffuse.mul_((lit * (1 - 0.3 * wrap)).add_(0.3 * wrap))
    around = (normals[:, 1:2] * light.above[..., None]).add_(light.ambient[..., None]).mul_(exposed)
    half = F.normalize(light.direction + torch.tensor([0.0, 0.0, 1.0], device=albedo.device), dim=-1)
    shine = (half[:, None] @ normals).clamp_(min=0).square_().square_()  # [B, 1, N]
    shine = shine * shine.square()  # to the twelfth: skin is rough
    grazing = (1 - normals[:, 2:]).clamp_(0, 1).square_().add_(0.35)
    highlight = shine.mul_(grazing).mul_(lit).mul_(0.30 * gloss)
    return diffuse.add_(around).mul_(albedo).addcmul_(highlight, light.key[..., None])


def occlusion(depth: Tensor, mask: Tensor, wall: Tensor, light: Light, side: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much of the lamp and of the light from all around reaches each pixel, two [B, S, S].

    depth: [B, S, S], height of the hand where mask; wall: [B], height of what is behind it; side: [B], hand
    units to the picture's width. Rays towards the lamp are walked in the depth map.
    """
    size = depth.shape[-1]
    height = torch.where(mask, depth, wall[:, None, None])
    pixels = size / side  # to a hand unit
    flat = height.flatten(1)
    row = torch.arange(size, device=depth.device)[None, :, None]
    column = torch.arange(size, device=depth.device)[None, None, :]
    blocked = torch.zeros_like(depth)
    for step in _STEPS:
        soft = 1 / (0.03 + 0.35 * step)
        base = (soft * (step * light.direction[:, 2] + 0.02))[:, None, None]
        across = (step * pixels * light.direction[:, 0]).round().long()[:, None, None]
        up = (step * pixels * light.direction[:, 1]).round().long()[:, None, None]
        there = (row - up).clamp(0, size - 1) * size + (column + across).clamp(0, size - 1)
        above = flat.gather(1, there.flatten(1)).view_as(height).sub_(height)
        shadow = above.mul_(soft).sub_(base).clamp_(0, 1).mul_(1 - 0.5 * step)
        blocked = torch.maximum(blocked, shadow)
    lit = 1 - light.shadow[:, None, None] * _mean(blocked, 3)
    # what lies lower than its surroundings sees less of the room
    shares = mask.float()
    lower = torch.zeros_like(depth)
    for width, gain in ((max(3, size // 21 | 1), 5.0), (max(5, size // 7 | 1), 2.2)):
        near = _mean(depth * shares, width) / _mean(shares, width).clamp(min=1e-3)
        lower = torch.maximum(lower, gain * (near - depth).clamp(min=0))
    exposed = torch.where(mask, 1 - 0.85 * (1 - torch.exp(-lower)), 1.0)
    return lit, exposed


def _mean(values: Tensor, width: int) -> Tensor:
    """Return means over windows of width x width pixels, cut at the edges; values [B, S, S]."""
    place = torch.arange(values.shape[-1], device=values.device)
    window = ((place[:, None] - place[None, :]).abs() <= width // 2).float()
    window = window / window.sum(1, keepdim=True)
    return window @ values @ window.T
