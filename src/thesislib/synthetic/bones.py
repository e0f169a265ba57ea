"""The bones of a hand and its forearm: where each is at rest, and how a pose moves it.

A bone half-way between the two sides of each joint keeps skin from collapsing where fingers bend.
"""

from functools import lru_cache

import torch
from torch import Tensor

from thesislib.synthetic.hand import Anatomy, PosedHand, draw_anatomy, pose

# Fingers spread, slightly bent, thumb aside: nothing touches, so the smooth union joins only what belongs.
_REST_ANGLES = (38.0, 28.0, -112.0, 8.0, 8.0, 9.0, 6.0, 8.0, 5.0, 0.0, 6.0, 8.0, 5.0, -8.0, 6.0, 8.0, 5.0)
_REST_ANGLES += (-15.0, 6.0, 8.0, 5.0)

# Bones: forearm, half wrist, palm at the wrist; palm at each of five bases; then six a finger: half joint and
# phalanx, three times; last the sleeve.
FOREARM, HALF_WRIST, CARPUS, PALM, FINGER, SLEEVE = 0, 1, 2, 3, 8, 38
NUM_BONES = 39


def bone_maps(anatomy: Anatomy, posed: PosedHand, forearm: Tensor, sleeve: Tensor) -> Tensor:
    """Return [B, NUM_BONES, 3, 4]: the affine map of each bone from the average hand at rest to posed hands.

    forearm: [B, 3, 3], the turn of the forearm against the hand; sleeve: [B, 2], how far behind the wrist
    its cuff is, in hand units, and how wide it is relative to the arm.
    """
    average, rest = rest_hand()
    device = posed.joints.device
    rest_joint = rest.joints[0, 1:].unflatten(0, (5, 4)).to(device)  # [5, 4, 3]
    rest_axes = rest.frames[0].to(device)  # [5, 3, 3, 3]
    joint = posed.joints[:, 1:].unflatten(1, (5, 4))  # [B, 5, 4, 3]

    girth = anatomy.radius / average.radius.to(device)  # [B, 5, 4]
    stretch = anatomy.length / average.length.to(device)  # [B, 5, 3]
    thickness = anatomy.thickness / average.thickness.to(device)
    breadth = _breadth(anatomy) / _breadth(average).to(device)
    reach = anatomy.base[:, 2, 1] / average.base[:, 2, 1].to(device)
    palm = torch.diag_embed(torch.stack([breadth, reach, thickness], dim=-1))  # [B, 3, 3]
    arm_girth = anatomy.forearm / average.forearm.to(device)
    slim = torch.stack([arm_girth, torch.ones_like(arm_girth), arm_girth], dim=-1)
    cuff = torch.stack([sleeve[:, 1], torch.ones_like(arm_girth), sleeve[:, 1]], dim=-1)

    turn = posed.frames @ rest_axes.mT  # [B, 5, 3, 3, 3], each phalanx against its rest
    still = torch.eye(3, device=device).expand(len(turn), 5, 1, 3, 3)
    half_turn = _half_way(torch.cat([still, turn[:, :, :2]], dim=2), turn)
    width = (girth[..., :3] + girth[..., 1:]) / 2
    along = torch.diag_embed(torch.stack([width, stretch, width], dim=-1))  # [B, 5, 3, 3, 3]
    phalanx = turn @ rest_axes @ along @ rest_axes.mT
    half_joint = half_turn * girth[..., :3, None, None]
    fingers = torch.stack([half_joint, phalanx], dim=3).flatten(1, 3)  # [B, 30, 3, 3]

    half_wrist = _half_way(forearm, still[:, 0, 0]) @ ((torch.diag_embed(slim) + palm) / 2)
    linear = torch.cat(
        [
            torch.stack([forearm @ torch.diag_embed(slim), half_wrist], dim=1),
            palm[:, None].expand(-1, 6, -1, -1),
            fingers,
            (forearm @ torch.diag_embed(slim * cuff))[:, None],
        ],
        dim=1,
    )  # [B, NUM_BONES, 3, 3]
    wrist = posed.joints[:, :1].expand(-1, 3, -1)
    twice = joint[:, :, :3, None].expand(-1, -1, -1, 2, -1).flatten(1, 3)
    end = posed.joints[:, :1] - sleeve[:, :1, None] * forearm[:, None, :, 1]
    origin = torch.cat([wrist, joint[:, :, 0], twice, end], dim=1)
    rest_twice = rest_joint[:, :3, None].expand(-1, -1, 2, -1).flatten(0, 2)
    rest_origin = torch.cat(
        [torch.zeros_like(wrist[0]), rest_joint[:, 0], rest_twice, torch.zeros_like(end[0])]
    )
    offset = origin - (linear @ rest_origin[..., None])[..., 0]
    return torch.cat([linear, offset[..., None]], dim=-1)


@lru_cache(maxsize=1)
def rest_hand() -> tuple[Anatomy, PosedHand]:
    """Return the average hand and where its joints are at rest."""
    average = draw_anatomy(torch.zeros(1, dtype=torch.int64), spread=0.0)
    return average, pose(average, torch.tensor([_REST_ANGLES]))


def _breadth(anatomy: Anatomy) -> Tensor:
    return (anatomy.base[:, 1, :2] - anatomy.base[:, 4, :2]).norm(dim=-1)


def _half_way(first: Tensor, second: Tensor) -> Tensor:
    """Return the rotation half-way between two, [..., 3, 3]: their mean, made orthonormal again."""
    mean = first + second
    along = torch.nn.functional.normalize(mean[..., 1], dim=-1)
    side = mean[..., 0] - (mean[..., 0] * along).sum(-1, keepdim=True) * along
    side = torch.nn.functional.normalize(side, dim=-1)
    return torch.stack([side, along, torch.linalg.cross(side, along)], dim=-1)
