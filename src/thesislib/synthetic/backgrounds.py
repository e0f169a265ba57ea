"""What is behind a hand: walls with a fall of light, furniture, windows, cloth, foliage, people, or nothing.

Everything is a gradient, smooth noise and a few soft-edged shapes, in linear light; soft edges stand for what
is out of focus and need no antialiasing.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.skin import lab_to_linear

_STREAM = 31  # purposes of the draws of this room
_SHAPES, _GRID, _COLOURS = 32, 33, 34
NUM_SHAPES = 7
_COARSE, _FINE = 5, 16  # cells across of the two layers of noise


def draw_background(key: Tensor, size: int, clutter: Tensor) -> Tensor:
    """Draw backgrounds, linear light float32 [B, 3, size, size], key int64 [B].

    clutter: [B], 0 to 1, how much stands around: 0 is a plain wall or studio, 1 a full room.
    """
    u = uniform(fold(_STREAM, key), 12)
    kind = u[:, 0]
    plain = kind > 0.25 + 0.75 * clutter  # nothing but a wall
    black = kind > 0.94
    textured = kind < 0.14 * clutter
    person = (kind > 0.14) & (kind < 0.14 + 0.30 * clutter)

    axis = (torch.arange(size, device=key.device) + 0.5) * (2 / size) - 1
    row, column = axis[:, None], axis[None, :]
    wall, far = _muted(fold(_COLOURS, key, 0)), _muted(fold(_COLOURS, key, 1))
    far = torch.lerp(wall, far, 0.35 * u[:, 1:2])
    angle = 2 * math.pi * u[:, 2]
    slope = torch.cos(angle)[:, None, None] * column + torch.sin(angle)[:, None, None] * row  # [B, S, S]
    image = torch.lerp(wall[:, :, None, None], far[:, :, None, None], (0.5 + 0.4 * slope)[:, None])
    # a pool of light on the wall, or a corner that it does not reach
    pool = torch.exp(
        -((column - 2.4 * u[:, 3, None, None] + 1.2) ** 2 + (row - 2.4 * u[:, 4, None, None] + 1.2) ** 2)
        / 0.9
    )
    image = image * (1 + (1.2 * u[:, 5] - 0.5)[:, None, None, None] * pool[:, None])

    coarse = _noise(fold(_GRID, key, 0), _COARSE, size)
    fine = _noise(fold(_GRID, key, 1), _FINE, size)
    rough = torch.where(textured, 0.8 + 0.7 * u[:, 6], 0.12 * u[:, 6] * (0.4 + clutter))
    speckle = torch.where(textured, 0.3 + 1.1 * u[:, 7], 0.10 * u[:, 7] ** 2)
    image = image * torch.exp(rough[:, None, None] * coarse + speckle[:, None, None] * fine)[:, None]
    image = _shapes(image, key, row, column, torch.where(plain, 0.0, clutter), person)
    return (image * torch.where(black, 0.03 * u[:, 8], 1.0)[:, None, None, None]).clamp(0, 1.3)


def _muted(key: Tensor) -> Tensor:
    """Draw colours of rooms, linear [..., 3]: mostly near grey, a few strong."""
    u = uniform(key, 4)
    lightness = 6 + 90 * u[..., 0] ** 0.7
    chroma = 3 + 36 * u[..., 1] ** 5
    hue = 2 * math.pi * u[..., 2]
    warm = 4.0 * u[..., 3]
    return lab_to_linear(torch.stack([lightness, chroma * hue.cos(), chroma * hue.sin() + warm], -1))


def _noise(key: Tensor, cells: int, size: int) -> Tensor:
    """Draw smooth noise [B, size, size], about -1 to 1."""
    grid = 2 * uniform(key, cells * cells).unflatten(-1, (1, cells, cells)) - 1
    return F.interpolate(grid, size=(size, size), mode="bicubic", align_corners=False)[:, 0]


def _shapes(
    image: Tensor, key: Tensor, row: Tensor, column: Tensor, clutter: Tensor, person: Tensor
) -> Tensor:
    """Paint soft-edged boxes, ellipses, stripes, windows; the last three become head, hair and clothes."""
    order = torch.arange(NUM_SHAPES, device=key.device)
    u = uniform(fold(_SHAPES, key[:, None], order), 16)  # [B, N, 16]
    colour = _muted(fold(_COLOURS, key[:, None], 2 + order))  # [B, N, 3]
    present = u[..., 0] < 0.75 * clutter[:, None]
    upright = u[..., 1] < 0.7  # most things in rooms stand straight, as seen by a slightly tilted camera
    tilt = 0.25 * (u[:, :1, 2] - 0.5)
    angle = torch.where(upright, tilt, math.pi * (u[..., 2] - 0.5))
    x, y = 2.6 * u[..., 3] - 1.3, 2.6 * u[..., 4] - 1.3
    long = 0.08 + 1.1 * u[..., 5] ** 1.5
    thin = long * (0.08 + 0.9 * u[..., 6])
    swap = u[..., 7] < 0.6
    half_x, half_y = torch.where(swap, thin, long), torch.where(swap, long, thin)
    half_x = torch.where(u[..., 8] < 0.25, half_x + 2.0, half_x)  # shelf, table edge, skirting board
    half_y = torch.where(
        (u[..., 8] > 0.25) & (u[..., 8] < 0.45), half_y + 2.0, half_y
    )  # door, curtain, corner
    ellipse = u[..., 9] < 0.3
    softness = 0.025 + 0.30 * u[..., 10] ** 3 + 0.20 * u[:, :1, 10] ** 2
    glow = u[..., 11] < 0.10  # lamp or window: adds light
    stripe = torch.where(u[..., 12] < 0.22, u[..., 13], 0.0)
    frequency = 6 + 22 * u[..., 14] ** 2
    fade = 1.4 * (u[..., 15] - 0.5)

    # a person: clothes below, a head above them, hair around the head
    place = torch.tensor([-3, -2, -1], device=key.device)
    side = 2.2 * u[:, 0, 3] - 1.1
    head = 0.25 + 0.35 * u[:, 0, 5]
    top = -0.7 + 0.9 * u[:, 0, 4]
    tone = u[:, 0, 6] ** 1.4
    face = lab_to_linear(torch.stack([72 - 40 * tone, 12 + 2 * u[:, 0, 7], 18 + 0 * tone], -1))
    hair = lab_to_linear(torch.stack([8 + 45 * u[:, 0, 8] ** 3, 4 + 0 * tone, 10 * u[:, 0, 8]], -1))

    def swap_in(
        values: Tensor, torso: Tensor | float, crown: Tensor | float, front: Tensor | float
    ) -> Tensor:
        stacked = torch.stack(
            [
                torch.as_tensor(v, device=key.device, dtype=values.dtype).expand_as(side)
                for v in (torso, crown, front)
            ],
            1,
        )
        return torch.cat([values[:, :-3], torch.where(person[:, None], stacked, values[:, place])], dim=1)

    present = swap_in(present.float(), 1.0, 1.0, 1.0).bool()
    x, y = swap_in(x, side, side, side), swap_in(y, top + 3.2 * head, top - 0.3 * head, top)
    half_x, half_y = (
        swap_in(half_x, 2.3 * head, 1.05 * head, 0.8 * head),
        swap_in(half_y, 2.1 * head, 1.05 * head, head),
    )
    ellipse = swap_in(ellipse.float(), 1.0, 1.0, 1.0).bool()
    angle = swap_in(angle, 0.0, 0.0, 0.15 * (u[:, 0, 9] - 0.5))
    glow = swap_in(glow.float(), 0.0, 0.0, 0.0).bool()
    stripe = swap_in(stripe, stripe[:, -3], 0.0, 0.0)
    colour = torch.stack(
        [
            torch.cat(
                [
                    colour[:, :-2, c],
                    torch.where(person[:, None], torch.stack([hair[:, c], face[:, c]], 1), colour[:, -2:, c]),
                ],
                1,
            )
            for c in range(3)
        ],
        dim=-1,
    )

    # along its own axes, a shape reaches from -1 to 1; each is a sum of a row's and a column's share
    cos, sin = angle.cos(), angle.sin()
    least = torch.minimum(half_x, half_y)
    edge = least / softness
    full = torch.where(present, 0.5 + edge, -1e6)
    strength = torch.where(glow, 1.5, 1.0)[..., None] * colour
    opaque = 1 - glow.float()

    def at(values: Tensor) -> Tensor:
        return values[:, n, None, None]

    for n in range(NUM_SHAPES):
        across = at(cos / half_x) * column + (at(sin / half_x) * row - at((cos * x + sin * y) / half_x))
        along = at(-sin / half_y) * column + (at(cos / half_y) * row - at((cos * y - sin * x) / half_y))
        box = torch.maximum(across.abs(), along.abs())
        oval = (across * across).addcmul_(along, along).sqrt_()
        reach = torch.where(at(ellipse), oval, box)  # 1 on the edge
        cover = reach.mul_(at(-edge)).add_(at(full)).clamp_(0, 1)
        shade = along.clamp_(-1, 1).mul_(at(0.5 * fade)).add_(1)
        shade.addcmul_(across.mul_(at(frequency * half_x)).sin_(), at(0.7 * stripe)).clamp_(min=0.1).mul_(
            cover
        )
        kept = cover.mul_(-at(opaque)).add_(1)
        image = (image * kept[:, None]).addcmul_(shade[:, None], strength[:, n, :, None, None])
    return image
