"""Where the skin of the resting hand is palm, nail, crease or knuckle, and how its wrinkles tilt it."""

import torch
from torch import Tensor

from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.skin import MARKS

_STREAM = 23
# The lines of the palm, as points (towards the thumb, towards the fingers) between wrist and knuckles.
_PALM_LINES = (
    ((-0.95, 0.70), (-0.55, 0.72), (-0.10, 0.78), (0.30, 0.88), (0.55, 1.0)),  # heart
    ((0.98, 0.72), (0.45, 0.66), (-0.10, 0.55), (-0.70, 0.40)),  # head
    ((0.98, 0.74), (0.55, 0.62), (0.20, 0.42), (0.10, 0.22), (0.22, 0.05)),  # life
    ((-0.75, -0.03), (0.0, 0.0), (0.75, -0.02)),  # bracelet
)


def mark_skin(
    points: Tensor, normals: Tensor, palmar: Tensor, joint: Tensor, axes: Tensor, radius: Tensor, fine: float
) -> tuple[Tensor, Tensor]:
    """Return marks [P, len(MARKS)] and relief [P, 3] of points [P, 3] of the resting hand.

    palmar: [P, 3], the direction out of the palm where each point is; joint: [5, 4, 3], axes: [5, 3, 3, 3] and
    radius: [5, 4] of the resting fingers; fine: the thinnest line that the points can show, in hand units.
    """
    front = (normals * palmar).sum(-1)  # 1 palm, -1 back
    marks = torch.zeros(len(points), len(MARKS))
    column = dict(zip(MARKS, marks.unbind(1), strict=True))
    on_hand = _step(points[:, 1], -0.25, 0.0)
    column["palm"] += _step(front, -0.35, 0.45) * on_hand
    back = _step(-front, 0.0, 0.6)

    with torch.enable_grad():
        places = points.detach().requires_grad_()
        height, crease = _relief(places, front, joint, axes, radius, fine)
        tilt = torch.autograd.grad(height.sum(), places)[0]
    relief = -(tilt - (tilt * normals).sum(-1, keepdim=True) * normals)
    relief = relief / relief.norm(dim=-1, keepdim=True).clamp(min=1.0)
    column["crease"] += crease.detach().clamp(0, 1)

    for f in range(5):
        for k in range(3):
            far = (points - joint[f, k]).norm(dim=-1) / radius[f, k]
            if f or k:
                column["knuckle"] += torch.exp(-((far / 1.25) ** 2)) * back * (1.0 if k else 0.6)
        local = (points - joint[f, 2]) @ axes[f, 2]
        length = (joint[f, 3] - joint[f, 2]).norm()
        side, along = local[:, 0] / radius[f, 3], local[:, 1] / length
        ours = _step(along, 0.0, 0.3) * (
            1 - _step(local.norm(dim=-1) - length, 1.3 * radius[f, 3], 1.7 * radius[f, 3])
        )
        oval = (side.abs() / 0.80) ** 4 + ((along - 0.93) / 0.42).abs() ** 4
        column["nail"] += (1 - _step(oval, 0.6, 1.2)) * _step(-local[:, 2] / radius[f, 3], 0.1, 0.4) * ours
        rim = torch.exp(-(((oval - 1.0) / 0.35) ** 2)) * _step(-local[:, 2] / radius[f, 3], 0.0, 0.3) * ours
        column["crease"] += 0.5 * rim
        column["flush"] += _step(along, 0.2, 1.0) * ours * (0.4 + 0.6 * column["palm"])
    for pad in ((joint[0, 0] + joint[0, 1]) / 2, torch.tensor([-0.27, 0.35, 0.12])):  # thumb's and little's
        away = (points - pad).norm(dim=-1)
        column["flush"] += 0.6 * torch.exp(-((away / 0.24) ** 2)) * column["palm"]
    column["flush"].clamp_(max=1.2)
    column["mottle"] += 2 * _noise(points, 5.0, 1) - 1 + 1.4 * _noise(points, 13.0, 2) - 0.7
    column["patch"] += 2 * _noise(points, 2.5, 3) - 1
    column["grain"] += 2 * uniform(fold(_STREAM, 4, *(4096 * points).long().unbind(1)), 1)[:, 0] - 1
    column["along"] += points[:, 1]
    skin = 1 - column["nail"]
    for name in ("palm", "flush", "mottle", "patch", "knuckle"):
        column[name] *= skin
    return marks, relief


def _relief(points: Tensor, front: Tensor, joint: Tensor, axes: Tensor, radius: Tensor, fine: float):
    """Return the height [P] of wrinkles, in hand units, differentiable in the points, and where creases are."""
    palm, back = _step(front, -0.1, 0.5), _step(-front, 0.1, 0.6)
    crease = torch.zeros(len(points))
    height = torch.zeros(len(points))
    thin = max(0.010, fine)
    for f in range(5):
        for k in range(3):
            if f == 0 and k == 0:
                continue
            local = (points - joint[f, k]) @ axes[f, k]
            near = torch.exp(-((local.norm(dim=-1) / (1.5 * radius[f, k])) ** 4))
            bend = local[:, 1] + 0.15 * local[:, 0] ** 2 / radius[f, k]
            if k or f == 0:
                shift = (0.0, 0.03) if k == 1 else (0.0,)
                lines = sum(torch.exp(-(((bend - s) / thin) ** 2)) for s in shift) * near * palm
                folds = (-0.05, -0.022, 0.005, 0.032, 0.06) if k == 1 else (-0.02, 0.005, 0.03)
                ripple = sum(torch.exp(-(((bend - s) / thin) ** 2)) for s in folds) * near * back
                crease = crease + lines + 0.45 * ripple
                height = height - 0.6 * thin * (lines + 0.7 * ripple)
            else:
                # the crease at the root of a finger lies well beyond its knuckle
                wide = torch.exp(
                    -(((local - torch.tensor([0.0, 0.19, 0.0])).norm(dim=-1) / (1.5 * radius[f, 0])) ** 4)
                )
                line = torch.exp(-(((bend - 0.19) / thin) ** 2)) * wide * palm
                dimple = torch.exp(-((local[:, :2].norm(dim=-1) / (0.8 * radius[f, 0])) ** 2)) * back
                crease = crease + line
                height = height - 0.6 * thin * line + 0.030 * dimple
        if f:  # the tendon that straightens the finger, on the back of the hand
            start = torch.tensor([0.02 - 0.03 * (f - 2), 0.05])
            away, t = _segment(points[:, :2], start, joint[f, 0, :2])
            height = height + 0.016 * torch.exp(-((away / 0.032) ** 2)) * back * _step(t, 0.25, 0.7) * (
                1 - _step(t, 0.98, 1.0)
            )
    left, right = joint[4, 0, 0] - 0.08, joint[1, 0, 0] + 0.06
    scale, shift = (right - left) / 2, (right + left) / 2
    for line in _PALM_LINES:
        away = torch.stack(
            [
                _segment(
                    points[:, :2],
                    torch.tensor([scale * a[0] + shift, a[1]]),
                    torch.tensor([scale * b[0] + shift, b[1]]),
                )[0]
                for a, b in zip(line, line[1:], strict=False)
            ]
        ).amin(0)
        mark = torch.exp(-((away / (1.2 * thin)) ** 2)) * palm
        crease = crease + (0.4 + 0.6 * _noise(points.detach(), 7.0, 7)) * mark
        height = height - 0.7 * thin * mark
    ripples = _noise(points, 34.0, 5) + 0.8 * _noise(points, 17.0, 6)
    return height + 0.005 * ripples, crease


def _segment(points: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of points [P, 2] from a segment, and where along it they are, 0 to 1."""
    axis = end - start
    t = ((points - start) @ axis / axis.dot(axis)).clamp(0, 1)
    return ((points - start - t[:, None] * axis).pow(2).sum(-1) + 1e-8).sqrt(), t


def _step(x: Tensor, low: float, high: float) -> Tensor:
    x = ((x - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)


def _noise(points: Tensor, frequency: float, stream: int) -> Tensor:
    """Smooth random values [P] between 0 and 1 at points [P, 3]: random at a lattice, blended in between."""
    cell = (points * frequency).detach().floor()
    inside = points * frequency - cell
    inside = inside * inside * (3 - 2 * inside)
    cell = cell.long()
    value = torch.zeros(len(points))
    for corner in torch.cartesian_prod(*3 * [torch.arange(2)]):
        share = torch.where(corner.bool(), inside, 1 - inside).prod(-1)
        at = cell + corner
        value = value + share * uniform(fold(_STREAM, stream, at[:, 0], at[:, 1], at[:, 2]), 1)[:, 0]
    return value
