"""The skin of the average hand at rest: points on one smooth surface, and how each follows the bones.

The flesh is a smooth union of tapered capsules around the bones (Quilez's polynomial blend), so webs, the
ball of the thumb and the wrist flow into one another. Points are spread evenly over its zero level. Each
point is bound to a few bones by weights, as in linear blend skinning; a bone half-way between the two sides
of each joint keeps bent joints from collapsing. Posing the whole surface is then one matrix product.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from thesislib.synthetic.bones import CARPUS, FINGER, FOREARM, HALF_WRIST, NUM_BONES, PALM, SLEEVE, rest_hand
from thesislib.synthetic.hand import centres
from thesislib.synthetic.skin import MARKS
from thesislib.synthetic.skin_marks import mark_skin

Distance = Callable[[Tensor], Tensor]  # signed, [N] of points [N, 3]
_PIECE = 1 << 16  # points at a time, so that derivatives fit into memory
COLUMNS = (NUM_BONES, 3, 3, len(MARKS))  # of HandSurface.table
ARM_LENGTH = 2.2  # of forearm behind the wrist, in hand units
_WRIST_END = -0.6  # behind it a frame shows the arm only from afar, so points may be coarser


@dataclass(frozen=True)
class HandSurface:
    """P points of the skin and sleeve at rest, float32.

    position: [P, 3] in the hand frame; table: [P, sum(COLUMNS)], side by side the weights of the bones (rows
    sum to one), the normal, the relief (how wrinkles lean it) and the marks of the skin; binding:
    [NUM_BONES * 4, P], weight times (position, 1), so that flattened bone maps times it are posed points.
    """

    position: Tensor
    table: Tensor
    binding: Tensor


@lru_cache(maxsize=4)
@torch.no_grad()
def hand_surface(spacing: float, device: torch.device | str = "cpu") -> HandSurface:
    """Return the points of the resting surface, about `spacing` hand units apart; coarser along the arm."""
    if torch.device(device).type != "cpu":
        return HandSurface(*(values.to(device) for values in vars(hand_surface(spacing)).values()))
    skin, cloth = (
        torch.cat(
            [
                _spread_points(distance, spacing, _WRIST_END, top),
                _spread_points(distance, 1.4 * spacing, -ARM_LENGTH, _WRIST_END),
            ]
        )
        for distance, top in ((_flesh, 2.3), (_cloth, 0.0))
    )
    skin_weight, skin_normal = _bind(skin), _gradient(_flesh, skin)[1]
    marks, relief = _mark(skin, skin_normal, skin_weight, spacing)

    count = len(cloth)
    cloth_weight = torch.nn.functional.one_hot(torch.full((count,), SLEEVE), NUM_BONES).float()
    cloth_marks = torch.zeros(count, len(MARKS))
    cloth_marks[:, MARKS.index("cloth")] = 1
    cloth_marks[:, MARKS.index("along")] = cloth[:, 1]
    cloth_table = torch.cat(
        [cloth_weight, _gradient(_cloth, cloth)[1], torch.zeros(count, 3), cloth_marks], dim=1
    )

    position, weight = torch.cat([skin, cloth]), torch.cat([skin_weight, cloth_weight])
    homogeneous = torch.nn.functional.pad(position, (0, 1), value=1.0)
    return HandSurface(
        position=position,
        table=torch.cat([torch.cat([skin_weight, skin_normal, relief, marks], dim=1), cloth_table]),
        binding=(weight[:, :, None] * homogeneous[:, None]).flatten(1).T.contiguous(),
    )


def _mark(points: Tensor, normals: Tensor, weight: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
    """Return the marks and the relief of the skin; lines are no thinner than the points can show."""
    average, rest = rest_hand()
    joint, axes = centres(average, rest)[0], rest.frames[0]
    palmar = torch.zeros(NUM_BONES, 3)
    palmar[:, 2] = 1
    palmar[FINGER:SLEEVE] = axes[..., 2].repeat_interleave(2, dim=1).flatten(0, 1)
    parts = zip(points.split(_PIECE), normals.split(_PIECE), (weight @ palmar).split(_PIECE), strict=True)
    found = [mark_skin(*part, joint, axes, average.radius[0], 0.7 * spacing) for part in parts]
    marks, relief = (torch.cat(pieces) for pieces in zip(*found, strict=True))
    return marks, relief


def _capsule(points: Tensor, start: Tensor, end: Tensor, first: float, last: float) -> Tensor:
    """Signed distance [N] of points [N, 3] to a tapered capsule."""
    axis = end - start
    t = ((points - start) @ axis / axis.dot(axis)).clamp(0, 1)
    return (points - start - t[:, None] * axis).norm(dim=-1) - (first + t * (last - first))


def _blend(a: Tensor, b: Tensor, reach: float) -> Tensor:
    """Smooth union of two signed distances: Quilez's polynomial minimum; differs only where |a - b| < reach."""
    h = (reach - (a - b).abs()).clamp(min=0) / reach
    return torch.minimum(a, b) - h * h * reach / 4


def _fingers(points: Tensor) -> list[Tensor]:
    """Signed distance to each finger, from its base to its tip."""
    average, rest = rest_hand()
    joint = centres(average, rest)[0]  # [5, 4, 3]
    distances = []
    for f in range(5):
        whole = None
        for k in range(3):
            part = _capsule(points, joint[f, k], joint[f, k + 1], *average.radius[0, f, k : k + 2].tolist())
            whole = part if whole is None else torch.minimum(whole, part)
        # the pulp of the fingertip
        middle = joint[f, 2].lerp(joint[f, 3], 0.7) + 0.018 * rest.frames[0, f, 2, :, 2]
        radius = average.radius[0, f, 3].item()
        distances.append(_blend(whole, (points - middle).norm(dim=-1) - 1.06 * radius, 0.05))
    return distances


def _metacarpals(points: Tensor) -> list[Tensor]:
    """Signed distance to the flesh around each metacarpal of the four fingers."""
    average, rest = rest_hand()
    base = rest.joints[0, 1:].unflatten(0, (5, 4))[:, 0]
    carpal = torch.tensor([[0.17, 0.10, 0.0], [0.06, 0.08, 0.0], [-0.06, 0.08, 0.0], [-0.17, 0.10, 0.0]])
    return [
        _capsule(points, carpal[f], base[f + 1], 0.135, average.radius[0, f + 1, 0].item() + 0.008)
        for f in range(4)
    ]


def _flesh(points: Tensor) -> Tensor:
    """Signed distance [N] to the skin of the average hand at rest and its forearm."""
    _, rest = rest_hand()
    joint = rest.joints[0, 1:].unflatten(0, (5, 4))
    thumb, index, middle, ring, little = _fingers(points)
    palm = None
    for part in _metacarpals(points):
        palm = part if palm is None else _blend(palm, part, 0.10)
    root, knuckle = joint[0, 0], joint[0, 1]
    pads = [
        _capsule(
            points,
            root.lerp(knuckle, 0.1) + torch.tensor([0.0, 0.0, 0.0]),
            root.lerp(knuckle, 0.75),
            0.15,
            0.13,
        ),
        _capsule(points, torch.tensor([-0.22, 0.14, 0.04]), torch.tensor([-0.30, 0.62, 0.045]), 0.145, 0.10),
        _capsule(
            points,
            joint[1, 0] + torch.tensor([-0.02, -0.05, 0.035]),
            joint[4, 0] + torch.tensor([0.02, -0.03, 0.03]),
            0.09,
            0.085,
        ),
        _capsule(
            points, root.lerp(knuckle, 0.45), 0.55 * joint[1, 0] + torch.tensor([0.06, 0.0, 0.0]), 0.09, 0.09
        ),
        _capsule(
            points, root.lerp(knuckle, 0.85), 0.72 * joint[1, 0] + torch.tensor([0.06, 0.0, 0.0]), 0.05, 0.055
        ),
    ]
    for pad in pads:
        palm = _blend(palm, pad, 0.12)
    palm = _blend(palm, thumb, 0.10)
    for finger in (index, middle, ring, little):
        palm = _blend(palm, finger, 0.07)
    flat = torch.tensor([1.0, 1.0, 1.32])  # a forearm is wider than thick
    arm = _capsule(
        points * flat, torch.tensor([0.0, -0.05, 0.0]), torch.tensor([0.0, -ARM_LENGTH, 0.0]), 0.265, 0.40
    )
    return _blend(palm, arm / 1.16, 0.16)


def _cloth(points: Tensor) -> Tensor:
    """Signed distance [N] to a sleeve that begins at the wrist."""
    flat = torch.tensor([1.0, 1.0, 1.22])
    wrist, elbow = torch.tensor([0.0, 0.3, 0.0]), torch.tensor([0.0, -ARM_LENGTH, 0.0])
    return _capsule(points * flat, wrist, elbow, 0.30, 0.48) / 1.1


def _gradient(distance: Distance, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first-order distance [N] to the zero level and the unit gradient [N, 3]."""
    values, slopes = [], []
    for part in points.split(_PIECE):
        with torch.enable_grad():
            part = part.detach().requires_grad_()
            value = distance(part)
            slope = torch.autograd.grad(value.sum(), part)[0]
        values.append(value.detach())
        slopes.append(slope)
    slope = torch.cat(slopes)
    steep = slope.norm(dim=-1).clamp(min=1e-6)
    return torch.cat(values) / steep, slope / steep[:, None]


def _spread_points(distance: Distance, spacing: float, lowest: float, highest: float) -> Tensor:
    """Spread points over the zero level between two heights: the cells of a lattice that it crosses, refined
    three times, their centres moved onto it."""
    step = 8 * spacing
    sides = [torch.arange(a, b + step, step) for a, b in ((-0.8, 1.2), (lowest, highest), (-0.7, 1.1))]
    cells = torch.cartesian_prod(*sides)
    eighths = torch.cartesian_prod(*3 * [torch.tensor([-0.25, 0.25])])
    for _ in range(3):
        value = torch.cat([distance(part) for part in cells.split(_PIECE)])
        cells = cells[value.abs() < 1.3 * step]  # much farther than its half diagonal: no surface in the cell
        cells = (cells[:, None] + step * eighths).flatten(0, 1)
        step /= 2
    value, _ = _gradient(distance, cells)
    cells = cells[value.abs() < 0.55 * step]
    for _ in range(3):
        value, normal = _gradient(distance, cells)
        cells = cells - value[:, None] * normal
    return cells[(cells[:, 1] >= lowest) & (cells[:, 1] < highest)]


def _bind(points: Tensor) -> Tensor:
    """Return the weights [N, NUM_BONES] by which points follow the bones.

    A point belongs to the finger (with its metacarpal) that it is nearest to, and to others in so far as they
    are nearly as near; along the finger it passes from bone to half joint to bone.
    """
    average, rest = rest_hand()
    joint = rest.joints[0, 1:].unflatten(0, (5, 4))
    axes = rest.frames[0]
    fingers = torch.stack(_fingers(points), dim=1)  # [N, 5]
    chain = fingers.clone()
    chain[:, 1:] = torch.minimum(chain[:, 1:], torch.stack(_metacarpals(points), dim=1))
    lead = chain - chain.min(dim=1, keepdim=True).values
    band = torch.tensor([0.16, 0.11, 0.11, 0.11, 0.11])
    share = (1 - lead / band).clamp(min=0) ** 2
    share = share / share.sum(dim=1, keepdim=True)

    weight = torch.zeros(len(points), NUM_BONES)
    for f in range(5):
        left = share[:, f]
        before = PALM + f
        for k in range(3):
            up = axes[f, k, :, 1] if k == 0 else axes[f, k - 1, :, 1] + axes[f, k, :, 1]
            reach = (1.5 if f == 0 and k == 0 else 1.15) * average.radius[0, f, k]
            gone = (points - joint[f, k]) @ (up / up.norm()) / reach
            gone = _smooth_step((gone + 1) / 2)
            half, bone = FINGER + 6 * f + 2 * k, FINGER + 6 * f + 2 * k + 1
            weight[:, before] += left * (1 - 2 * gone).clamp(min=0)
            weight[:, half] += left * (1 - (1 - 2 * gone).abs())
            left, before = left * (2 * gone - 1).clamp(min=0), bone
        weight[:, before] += left
    # what follows the palm: the knuckle ahead, the wrist below, the forearm behind
    ahead = (points[:, 1] / 0.9).clamp(0, 1)
    palm = weight[:, PALM : PALM + 5].sum(dim=1)
    weight[:, PALM : PALM + 5] *= ahead[:, None]
    behind = _smooth_step((0.30 - points[:, 1]) / 0.60)
    rest_of = palm * (1 - ahead)
    weight[:, CARPUS] += rest_of * (1 - 2 * behind).clamp(min=0)
    weight[:, HALF_WRIST] += rest_of * (1 - (1 - 2 * behind).abs())
    weight[:, FOREARM] += rest_of * (2 * behind - 1).clamp(min=0)
    return weight


def _smooth_step(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
