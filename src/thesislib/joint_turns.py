"""How the joints of a hand turn, read about the bones themselves: flexion, twist, sideways; and how far they may.

A hand model's pose is fifteen free turns. Pictures tell where joints are, but not how a bone is turned about
itself (Komorowicz 2018, figure 7.3a). So the turn of a phalanx against the one before it is taken apart into a
swing, which says where the bone points, and a twist about the bone. The axes are the bone's own: its radial side,
its direction and its palmar normal. Angles are in degrees and right-handed: flexion is positive towards the palm,
sideways towards the little finger. Zero is a straight finger, of the thumb's first joint the hand at rest, so
degrees are those of anatomy. Phalanges go [5 fingers, 3], as in `synthetic.hand`.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import normalize

from thesislib.hand_model import HandModel, rotation_matrices
from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.hand import JOINTS, LIMITS, draw_anatomy, pose

_STEPS = 9  # of each angle, from one of its limits to the other
_PEOPLE = 64  # invented signers, whose fingers fan out more and less
_PLAY = 5.0  # degrees that a real joint gives way to a side


def phalanx_joints(model: HandModel) -> Tensor:
    """Return which of the model's 16 joints carries each phalanx, int64 [5, 3]."""
    return model.keypoint_order[1:].unflatten(0, (5, 4))[:, :3]


@lru_cache(maxsize=8)
def rest_frames(model: HandModel) -> Tensor:
    """Return the axes of each phalanx in the model's template, [5, 3, 3, 3]: radial side, bone, palmar normal.

    They lie along the model's own bones. How a bone is turned about itself cannot be seen of a straight one, so
    the normals are those of the generator's hand at rest, laid into the template by wrist and knuckles.
    """
    points = _rest_keypoints(model)
    normal = _laid(points) @ rest_hand()[1].frames[0, ..., 2:].to(points)  # [5, 3, 3, 1]
    chain = points[1:].unflatten(0, (5, 4))
    along = normalize(chain[:, 1:] - chain[:, :-1], dim=-1)
    radial = normalize(torch.linalg.cross(along, normal[..., 0]), dim=-1)
    return torch.stack([radial, along, torch.linalg.cross(radial, along)], dim=-1)


def phalanx_frames(model: HandModel, turns: Tensor) -> Tensor:
    """Return the axes of posed phalanges, [B, 5, 3, 3, 3], from a mesh's turns [B, 16, 3, 3]."""
    return turns[:, phalanx_joints(model)] @ rest_frames(model)


def swing_and_twist_deg(turn: Tensor) -> Tensor:
    """Return flexion, twist and sideways [..., 3] of turns [..., 3, 3] of a bone that points along y.

    turn = swing twist: the twist about y acts first. Flexion and sideways say where the bone then points, read by
    stereographic projection, so a bend about one axis alone is its own angle; only a bone that points straight
    backwards has none.
    """
    twist = torch.atan2(turn[..., 0, 2] - turn[..., 2, 0], turn[..., 0, 0] + turn[..., 2, 2])
    ahead = 1 + turn[..., 1, 1]
    flexion = 2 * torch.atan2(turn[..., 2, 1], ahead)
    sideways = 2 * torch.atan2(-turn[..., 0, 1], ahead)
    return torch.rad2deg(torch.stack([flexion, twist, sideways], dim=-1))


def joint_turns_deg(model: HandModel, pose: Tensor) -> Tensor:
    """Return flexion, twist and sideways of each phalanx, [B, 5, 3, 3], of a pose [B, 45] in radians."""
    turn = rotation_matrices(pose.unflatten(1, (15, 3)))[:, phalanx_joints(model) - 1]  # [B, 5, 3, 3, 3]
    return swing_and_twist_deg(_zero_frames(model).mT @ turn @ rest_frames(model))


@lru_cache(maxsize=1)
def limits_deg() -> Tensor:
    """Return the least and greatest flexion, twist and sideways of each phalanx, [2, 5, 3, 3].

    The box around all poses that `synthetic.hand.LIMITS` allows to invented signers, and 5 degrees more, because
    real joints have some play. It is measured, because a knuckle that bends and spreads at once twists its finger.
    """
    step = torch.linspace(0, 1, _STEPS)
    share = torch.cartesian_prod(step, step, step)  # [729, 3]
    # the thumb's first joint has three angles, no other joint more than two: all their combinations are there
    share = torch.cat([share] + 9 * [share[:, 1:]], dim=1)  # [729, 21]
    angles = LIMITS[0] + share * (LIMITS[1] - LIMITS[0])
    low, high = [], []
    for signer in range(_PEOPLE):
        frames = pose(draw_anatomy(torch.full((len(angles),), signer)), angles).frames
        turns = swing_and_twist_deg(_zero().mT @ _relative(frames))
        low.append(turns.amin(dim=0))
        high.append(turns.amax(dim=0))
    return torch.stack([torch.stack(low).amin(dim=0) - _PLAY, torch.stack(high).amax(dim=0) + _PLAY])


def beyond_limits_deg(model: HandModel, pose: Tensor) -> Tensor:
    """Return by how much each turn is beyond `limits_deg`, [B, 5, 3, 3], 0 inside, of a pose [B, 45] in radians."""
    low, high = limits_deg().to(pose)
    turns = joint_turns_deg(model, pose)
    return (low - turns).clamp(min=0) + (turns - high).clamp(min=0)


@lru_cache(maxsize=8)
def _zero_frames(model: HandModel) -> Tensor:
    """Return [5, 3, 3, 3]: the axes of each phalanx if its joint alone were moved to zero from the template."""
    rest, points = rest_frames(model), _rest_keypoints(model)
    before = torch.cat([_laid(points).expand(5, 1, 3, 3), rest[:, :2]], dim=1)
    return before @ _zero().to(rest)


@lru_cache(maxsize=1)
def _zero() -> Tensor:
    """Return [5, 3, 3, 3]: each phalanx against the one before it where its turns count as zero."""
    angles = torch.zeros(1, LIMITS.shape[1])
    angles[0, :3] = torch.tensor([38.0, 28.0, -112.0])  # the thumb's first joint has no straight position
    return _relative(pose(rest_hand()[0], angles).frames)[0]


def _relative(frames: Tensor) -> Tensor:
    """Return each phalanx against the one before it, the first against the hand, [B, 5, 3, 3, 3]."""
    return torch.cat([frames[:, :, :1], frames[:, :, :2].mT @ frames[:, :, 1:]], dim=2)


def _rest_keypoints(model: HandModel) -> Tensor:
    """Return the keypoints of the model's template, [21, 3]."""
    points = torch.cat([model.joint_regressor @ model.template, model.template[model.tips]])
    return points[model.keypoint_order]


def _laid(points: Tensor) -> Tensor:
    """Return the turn [3, 3] of the generator's hand frame that lays it on keypoints [21, 3], by the palm."""
    return _palm_axes(points) @ _palm_axes(rest_hand()[1].joints[0].to(points)).mT


def _palm_axes(points: Tensor) -> Tensor:
    """Return [3, 3] of keypoints [21, 3]: columns to the thumb's side, to the fingers, out of the palm."""
    wrist, index, middle, little = (
        points[JOINTS.index(name)] for name in ("wrist", "index MCP", "middle MCP", "little MCP")
    )
    along = normalize(middle - wrist, dim=0)
    side = index - little
    side = normalize(side - (side @ along) * along, dim=0)
    return torch.stack([side, along, torch.linalg.cross(side, along)], dim=1)
